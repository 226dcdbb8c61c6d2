"""Oracles by hand and by scipy, slow loops, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tutelage.statistics.paired import decided, holm, paired_difference
from tutelage.statistics.power import seeds_needed, units_needed
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
def test_of_one_fold_it_is_the_t_interval_of_its_seeds(values):
    found = paired_difference(values, zeros(len(values)))
    if np.ptp(values) < 1e-9:
        return
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.interval is not None and found.question == found.interval.about == "this split"
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )
    if len(values) > 2:
        assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=1e-9)


def cells(folds):
    return {(name, seed): v for name, row in folds.items() for seed, v in enumerate(row)}


def nothing(values):
    return dict.fromkeys(values, 0.0)


def test_over_folds_it_is_the_mixed_model_with_random_folds():
    """The oracle: ANOVA by hand; the mean over folds has the variance of its mean square between folds."""
    table = np.array(
        [[0.03, 0.05, 0.01], [0.06, 0.02, 0.04], [0.01, 0.0, 0.02], [0.05, 0.07, 0.06]]
    )
    values = cells(dict(zip("abcd", table.tolist(), strict=True)))
    found = paired_difference(values, nothing(values))
    between = (
        3 * np.sum((table.mean(axis=1) - table.mean()) ** 2) / 3
    )  # S * sum of squares / (F - 1)
    half = stats.t.ppf(0.975, 3) * np.sqrt(between / table.size)
    assert (found.pairs, found.folds, found.units, found.question) == (12, 4, 4, "new people")
    assert found.mean == pytest.approx(table.mean())
    assert found.interval.low == pytest.approx(table.mean() - half)
    assert found.interval.high == pytest.approx(table.mean() + half)
    within = np.sum((table - table.mean(axis=1, keepdims=True)) ** 2) / 8
    same = stats.t.ppf(0.975, 8) * np.sqrt(within / 12)
    assert found.again.about == "these folds"
    assert found.again.high - found.again.low == pytest.approx(2 * same)
    assert found.within == pytest.approx(np.sqrt(within))


def test_two_folds_of_ten_seeds_claim_nothing():
    generator = np.random.default_rng(0)
    values = cells(
        {"a": 0.03 + generator.normal(0, 0.005, 10), "b": 0.01 + generator.normal(0, 0.005, 10)}
    )
    found = paired_difference(values, nothing(values))
    assert found.pairs == 20 and found.mean == pytest.approx(0.02, abs=0.003)
    assert stats.ttest_1samp(list(values.values()), 0).pvalue < 1e-5  # as if pairs were independent
    assert found.verdict == "not distinguishable" and found.p_value == 1.0
    assert found.interval.low < 0 < found.interval.high
    assert found.again.low > 0  # of these two folds it may be said


def test_more_seeds_do_not_make_more_people():
    generator = np.random.default_rng(1)
    means = {"a": 0.03, "b": 0.01, "c": 0.02}
    few, many = (
        cells({name: mean + generator.normal(0, 1e-4, n) for name, mean in means.items()})
        for n in (2, 200)
    )
    wide, narrow = (paired_difference(values, nothing(values)).interval for values in (few, many))
    assert narrow.high - narrow.low == pytest.approx(wide.high - wide.low, rel=0.03)


def test_a_fold_with_a_hole_counts_as_much_as_any_other():
    values = cells({"a": [0.1, 0.1, 0.1], "b": [0.4], "c": [0.2, 0.2]})
    found = paired_difference(values, nothing(values))
    assert found.mean == pytest.approx((0.1 + 0.4 + 0.2) / 3)
    assert found.sd == pytest.approx(np.std([0.1, 0.4, 0.2], ddof=1))


def test_only_folds_and_seeds_that_both_have_are_compared():
    found = paired_difference({("a", 0): 1.0, ("a", 1): 2.0}, {("a", 1): 0.5, ("b", 0): 9.0})
    assert (found.pairs, found.mean) == (1, 1.5)


@pytest.mark.parametrize(("run", "seeds"), [(2, 10), (3, 5), (3, 3), (5, 2), (6, 3), (9, 1)])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 3.0])
def test_the_deciding_interval_covers_new_people(run, seeds, ratio):
    """Folds that differ so many times more than seeds; 41 to 88 % were covered when pairs were counted."""
    generator = np.random.default_rng([run, seeds, int(ratio)])
    hits = 0
    for _ in range(800):
        table = generator.normal(0.3, ratio, (run, 1)) + generator.normal(0, 1, (run, seeds))
        values = cells({str(fold): row for fold, row in enumerate(table)})
        interval = paired_difference(values, nothing(values)).interval
        hits += interval.low <= 0.3 <= interval.high
    assert 0.93 <= hits / 800 <= 0.97


def test_verdicts_follow_the_corrected_decision():
    """Alone p is 0.022, with five compared 0.11: no claim, whatever the interval of one says."""
    values = [0.010, 0.016, 0.022, 0.012, 0.001, 0.009, -0.002]
    alone = paired_difference(values, zeros(7))
    assert 0.01 < alone.p_value < 0.05 and alone.verdict == "better"
    rest = {name: paired_difference([0.01, -0.01, 0.0], zeros(3)) for name in "bcde"}
    together = decided({"a": alone, **rest})
    assert (
        together["a"].adjusted_p == pytest.approx(5 * alone.p_value) and together["a"].compared == 5
    )
    assert together["a"].interval.low > 0 and together["a"].verdict == "not distinguishable"


def test_what_has_no_pairs_is_no_comparison():
    alone = paired_difference([0.1, 0.11, 0.12], zeros(3))
    none = paired_difference({("a", 0): 1.0}, {("b", 0): 1.0})
    assert decided({"a": alone, "b": none})["a"].adjusted_p == alone.p_value


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_never_claim(n):
    found = paired_difference([0.99, 0.991][:n], [0.1, 0.1][:n])
    assert found.verdict == "not distinguishable"
    assert found.p_value == 1.0


def test_equal_differences_claim_nothing():
    found = paired_difference([0.92, 0.93, 0.94], [0.90, 0.91, 0.92])
    assert found.verdict == "not distinguishable" and found.sd == 0


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="a has 2 values, b has 1"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="not finite"):
        paired_difference([math.nan, 2.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="confidence is 1"):
        paired_difference([1.0], [1.0], confidence=1.0)
    with pytest.raises(ValueError, match="resolution 0"):
        units_needed(1.0, 0.0)


def test_units_needed_against_a_slow_search():
    for sd, resolution in ((1.0, 1.0), (0.5, 0.2), (2.0, 3.0)):
        slow = next(
            n for n in range(3, 500) if stats.t.ppf(0.975, n - 1) * sd / math.sqrt(n) <= resolution
        )
        assert units_needed(sd, resolution) == slow


def test_seeds_needed_against_a_slow_search():
    table = np.array([[0.03, 0.09], [0.06, 0.02], [0.01, -0.03], [0.07, 0.05]])
    values = cells(dict(zip("abcd", table.tolist(), strict=True)))
    found = paired_difference(values, nothing(values))
    between = max(0.0, found.sd**2 - found.within**2 / 2)
    for resolution in (0.045, 0.06, 0.1):
        halves = {
            seeds: stats.t.ppf(0.975, 3) * math.sqrt((between + found.within**2 / seeds) / 4)
            for seeds in range(1, 5000)
        }
        enough = [seeds for seeds, half in halves.items() if half <= resolution]
        assert seeds_needed(found, resolution) == (enough[0] if enough else None)
    assert seeds_needed(found, 0.001) is None  # the folds differ: no number of seeds is enough
    two = {key: value for key, value in values.items() if key[0] in "ab"}
    assert (
        seeds_needed(paired_difference(two, nothing(two)), 1.0) is None
    )  # two folds claim nothing
    with pytest.raises(ValueError, match="resolution 0"):
        seeds_needed(found, 0.0)


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
    seeds = paired_difference([0.12, 0.14], [0.0, 0.0]).interval
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
    t = paired_difference([0.1, 0.2, 0.0], zeros(3)).interval
    assert found.interval.low <= t.low + 1e-12 and found.interval.high >= t.high - 1e-12


def test_few_subjects_or_runs_claim_nothing():
    assert subject_difference([]).verdict == "not distinguishable"
    one = subject_difference(people(gains=(0.2,), sizes=(10,)))
    assert one.interval is None
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


def test_values_by_fold():
    assert by_fold({("a", 1): 2.0}) == {"a": {1: 2.0}}
