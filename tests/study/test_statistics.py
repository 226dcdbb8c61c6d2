"""Oracles by hand and by scipy, slow loops, and coverage by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tutelage.statistics.paired import holm, minus, paired_difference, pairs_needed
from tutelage.statistics.spreads import by_fold, mean_of_folds, spread
from tutelage.statistics.subjects import SubjectPair, subject_difference

TABLE = {("a", 0): 0.80, ("a", 1): 0.84, ("b", 0): 0.90, ("b", 1): 0.96}
zeros = np.zeros


def test_spreads_by_hand():
    assert mean_of_folds(TABLE) == pytest.approx(0.875)
    # seeds: means over folds 0.85 and 0.90; folds: means 0.82 and 0.93; pooled: (0.0008 + 0.0018) / 2
    assert spread(TABLE, "seeds").value == pytest.approx(0.05 / math.sqrt(2))
    assert spread(TABLE, "folds").value == pytest.approx(0.11 / math.sqrt(2))
    assert spread(TABLE, "pooled").value == pytest.approx(math.sqrt(0.0013))
    names = [spread(TABLE, kind).name for kind in ("seeds", "folds", "pooled")]
    assert names == ["SD over seeds", "SD over folds", "pooled seed SD"]


def test_spread_of_a_plain_sequence_is_the_sample_sd():
    assert spread([1.0, 2.0, 4.0], "seeds").value == pytest.approx(np.std([1, 2, 4], ddof=1))


def test_pooled_spread_weighs_folds_by_their_degrees_of_freedom():
    values = {
        ("a", 0): 0.0,
        ("a", 1): 2.0,
        ("a", 2): 4.0,
        ("b", 0): 0.0,
        ("b", 1): 1.0,
        ("c", 0): 9.0,
    }
    # variances 4 (2 degrees) and 0.5 (1 degree); the single run of c tells nothing
    assert spread(values, "pooled").value == pytest.approx(math.sqrt((4 * 2 + 0.5) / 3))


def test_a_hole_does_not_shift_weight_between_folds():
    values = {("a", 0): 0.5, ("a", 1): 0.5, ("a", 2): 0.5, ("b", 0): 0.9}
    assert mean_of_folds(values) == pytest.approx(0.7)
    seeds = spread(values, "seeds")
    assert (seeds.value, seeds.n) == (None, 1)


def test_spreads_of_one_run_and_of_none():
    for kind in ("seeds", "folds", "pooled"):
        assert spread([0.9], kind).value is None
        assert spread({}, kind).value is None
    assert math.isnan(mean_of_folds({}))
    with pytest.raises(ValueError, match="unknown kind 'sd'"):
        spread([1.0], "sd")


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_t_interval_equals_scipy(values):
    found = paired_difference(values, zeros(len(values)), resamples=10)
    if np.ptp(values) < 1e-9:
        return
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.t is not None
    assert (found.t.low, found.t.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    if len(values) > 2:
        assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=1e-9)


def test_bootstrap_equals_scipy_bca():
    values = np.random.default_rng(4).gamma(2.0, 1.0, 30)
    ours = paired_difference(values, zeros(30), resamples=20_000).bootstrap
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa"
    ).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_bootstrap_of_three_points_against_all_27_resamples():
    values = np.array([0.1, 0.2, 0.6])
    means = sorted(np.mean(pick) for pick in itertools.product(values, repeat=3))
    found = paired_difference(values, zeros(3), resamples=40_000).bootstrap
    assert found is not None
    below = (np.mean(np.array(means) < 0.3 - 1e-12) + np.mean(np.array(means) <= 0.3 + 1e-12)) / 2
    bias = stats.norm.ppf(below)
    left = np.array([(0.2 + 0.6) / 2, (0.1 + 0.6) / 2, (0.1 + 0.2) / 2])
    pull = left.mean() - left
    speed = np.sum(pull**3) / (6 * np.sum(pull**2) ** 1.5)
    z = bias + stats.norm.ppf([0.025, 0.975])
    expected = np.quantile(np.repeat(means, 100), stats.norm.cdf(bias + z / (1 - speed * z)))
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.035)


def test_corrected_interval_by_hand():
    a, b = [0.80, 0.82, 0.85, 0.83], [0.78, 0.81, 0.80, 0.82]
    differences = np.subtract(a, b)  # 0.02 0.01 0.05 0.01: mean 0.0225, sd 0.018930
    found = paired_difference(a, b, test_fraction=0.2)
    half = stats.t.ppf(0.975, 3) * np.std(differences, ddof=1) * math.sqrt(1 / 4 + 0.2 / 0.8)
    assert found.corrected is not None
    assert found.interval is found.corrected
    assert found.corrected.low == pytest.approx(0.0225 - half)
    assert found.corrected.high == pytest.approx(0.0225 + half)
    assert found.t is not None and found.t.low > found.corrected.low


def test_verdicts_and_sentences():
    better = paired_difference([0.92, 0.93, 0.945], [0.90, 0.91, 0.92])
    assert better.verdict == "better"
    low, high = 100 * better.t.low, 100 * better.t.high
    assert better.sentence("Annsp", "alone") == (
        f"Annsp is better than alone by 2.2 points (95 % interval {low:.1f} to {high:.1f}, n = 3 pairs)."
    )
    worse = paired_difference([0.90, 0.91, 0.92], [0.92, 0.93, 0.945])
    assert worse.verdict == "worse"
    assert f"worse than b by 2.2 points (95 % interval {low:.1f} to {high:.1f}" in worse.sentence(
        "a", "b"
    )
    unsure = paired_difference([0.90, 0.92, 0.91], [0.91, 0.90, 0.915])
    assert unsure.verdict == "not distinguishable"
    assert unsure.sentence("Base", "alone").startswith(
        "Base and alone are not distinguishable with n = 3 pairs (difference 0.2, interval −"
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_pairs_never_claim(n):
    found = paired_difference([0.99, 0.991][:n], [0.1, 0.1][:n])
    assert found.verdict == "not distinguishable"
    assert found.p_value == 1.0
    assert "not distinguishable" in found.sentence("a", "b") or n == 0
    if n == 0:
        assert found.sentence("a", "b") == "a and b cannot be compared: no fold and seed has both."


def test_equal_differences_claim_nothing():
    found = paired_difference([0.92, 0.93, 0.94], [0.90, 0.91, 0.92])
    assert found.verdict == "not distinguishable"
    assert "cannot be estimated" in found.sentence("a", "b")


def test_the_bootstrap_decides_only_with_many_pairs():
    generator = np.random.default_rng(0)
    for n, method in ((19, "t"), (20, "bootstrap")):
        assert paired_difference(generator.normal(size=n), zeros(n)).interval.method == method


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="a has 2 values, b has 1"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="not finite"):
        paired_difference([math.nan, 2.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="test_fraction is 1"):
        paired_difference([1.0], [1.0], test_fraction=1.0)
    with pytest.raises(ValueError, match="resolution 0"):
        pairs_needed(1.0, 0.0)


@pytest.mark.parametrize(("n", "low", "high"), [(3, 0.93, 0.97), (6, 0.93, 0.97)])
def test_the_deciding_interval_covers_what_it_promises(n, low, high):
    generator = np.random.default_rng(n)
    hits = [
        paired_difference(generator.normal(0.3, 1, n), zeros(n), resamples=2).t for _ in range(2000)
    ]
    assert low < np.mean([hit.low <= 0.3 <= hit.high for hit in hits]) < high


def test_the_bootstrap_of_three_is_too_narrow_to_decide():
    generator = np.random.default_rng(1)
    hits = [
        paired_difference(generator.normal(0, 1, 3), zeros(3), resamples=300).bootstrap
        for _ in range(600)
    ]
    assert np.mean([hit.low <= 0 <= hit.high for hit in hits]) < 0.85


def test_pairs_needed_against_a_slow_search():
    for sd, resolution in ((1.0, 1.0), (0.5, 0.2), (2.0, 3.0)):
        slow = next(
            n for n in range(3, 500) if stats.t.ppf(0.975, n - 1) * sd / math.sqrt(n) <= resolution
        )
        assert pairs_needed(sd, resolution) == slow


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06}
    )
    assert holm({}) == {}


def people(fold="f", seeds=(0,), gains=(0.1, 0.0, 0.2, 0.1), sizes=(50, 50, 100, 50), shift=()):
    return [
        SubjectPair(fold, seed, f"{fold}{i}", size, 0.8 + gain + (shift[k] if shift else 0.0), 0.8)
        for k, seed in enumerate(seeds)
        for i, (gain, size) in enumerate(zip(gains, sizes, strict=True))
    ]


def test_subject_difference_weighs_runs_like_the_table():
    found = subject_difference(people() + people("g", gains=(0.0, 0.0), sizes=(10, 30)))
    assert found.mean == pytest.approx(((0.1 * 50 + 0.2 * 100 + 0.1 * 50) / 250 + 0.0) / 2)
    assert found.subjects == 6


def test_subject_bootstrap_against_a_slow_loop():
    pairs = people(seeds=(0, 1), shift=(0.0, 0.02))
    generator = np.random.default_rng(0)
    means = []
    for _ in range(4000):
        who = generator.integers(0, 4, 4)
        when = generator.integers(0, 2, 2)
        rows = [p for s in when for w in who for p in pairs if p.seed == s and p.subject == f"f{w}"]
        means.append(sum(p.n * (p.a - p.b) for p in rows) / sum(p.n for p in rows))
    found = subject_difference(pairs, resamples=20_000)
    half = (found.interval.high - found.interval.low) / 2
    seeds = paired_difference([0.12, 0.14], [0.0, 0.0], resamples=2).t
    slow = stats.t.ppf(0.975, 3) * np.std(means) * math.sqrt(4 / 3)
    assert half == pytest.approx(max(slow, (seeds.high - seeds.low) / 2), rel=0.05)
    assert found.percentile.low == pytest.approx(np.quantile(means, 0.025), abs=0.01)


def test_seeds_alone_can_claim_what_new_subjects_cannot():
    gains = (0.3, -0.2, 0.25, -0.1)
    pairs = people(seeds=(0, 1, 2), gains=gains, sizes=(50,) * 4, shift=(0.0, 0.003, -0.003))
    per_seed = [np.mean([p.a - p.b for p in pairs if p.seed == seed]) for seed in (0, 1, 2)]
    assert paired_difference(per_seed, zeros(3)).verdict == "better"
    assert subject_difference(pairs).verdict == "not distinguishable"


def test_new_subjects_are_never_surer_than_the_same_ones():
    pairs = people(seeds=(0, 1, 2), gains=(0.1,) * 4, sizes=(50,) * 4, shift=(0.0, 0.1, -0.1))
    found = subject_difference(pairs)
    t = paired_difference([0.1, 0.2, 0.0], zeros(3)).t
    assert found.interval.low <= t.low + 1e-12 and found.interval.high >= t.high - 1e-12


def test_few_subjects_or_runs_claim_nothing():
    assert subject_difference([]).verdict == "not distinguishable"
    one = subject_difference(people(gains=(0.2,), sizes=(10,)))
    assert one.interval is None and "Nothing can be said" in one.sentence("a", "b")
    single_seed = subject_difference(people(gains=(0.2, 0.21, 0.22, 0.2)))
    assert single_seed.interval.excludes_zero
    assert single_seed.verdict == "not distinguishable"


@pytest.mark.parametrize(("subject_sd", "seed_sd"), [(0.03, 0.01), (0.0, 0.02)])
def test_subject_interval_covers_new_subjects(subject_sd, seed_sd):
    generator = np.random.default_rng(8)
    hits = []
    for _ in range(300):
        gains = generator.normal(0, subject_sd, 10)
        shift = tuple(generator.normal(0, seed_sd, 3))
        found = subject_difference(
            people(seeds=(0, 1, 2), gains=gains, sizes=(50,) * 10, shift=shift), resamples=200
        )
        hits.append(found.interval.low <= 0 <= found.interval.high)
    assert np.mean(hits) > 0.92


def test_minus_sign():
    assert (minus(-0.04), minus(-1.25), minus(3.0)) == ("0.0", "−1.2", "3.0")
    assert by_fold({("a", 1): 2.0}) == {"a": {1: 2.0}}
