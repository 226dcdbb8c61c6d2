"""Greedy selection: loops, brute force, apricot, and what must hold along the way."""

import itertools
import math

import apricot
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.concepts.greedy import lazy_greedy, likeness, naive_greedy, value


def embedded(count, dimensions=6, seed=0, groups=None):
    """Embeddings around a few directions, as sentences about one class are."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(groups or max(count // 4, 1), dimensions))
    found = centres[random.integers(len(centres), size=count)]
    return torch.tensor(found + 0.4 * random.normal(size=(count, dimensions)))


def alike(count, seed=0, kind="cosine"):
    return exact(likeness(embedded(count, seed=seed), kind).numpy())


def exact(x):
    """On a grid where sums are exact, so that apricot and the loops see the same ties as we do."""
    return np.rint(x * 2**30) / 2**30


def slow_value(scores, coverage, picked):
    total = sum(scores[c] for c in picked)
    for i in range(len(coverage[0])):
        total += max((coverage[c][i] for c in picked), default=0.0)
    return total


def slow_greedy(scores, coverage, count):
    picked = []
    for _ in range(min(count, len(scores))):
        now = slow_value(scores, coverage, picked)
        gains = {
            c: slow_value(scores, coverage, [*picked, c]) - now
            for c in range(len(scores))
            if c not in picked
        }
        picked.append(max(gains, key=gains.get))
    return tuple(picked)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("greedy", [naive_greedy, lazy_greedy])
def test_greedy_by_loops(greedy, seed):
    scores = np.random.default_rng(seed).random(14)
    coverage = alike(14, seed)
    found = greedy(scores, coverage, 6)
    assert found.order == slow_greedy(scores, coverage, 6)
    assert value(scores, coverage, found.order) == pytest.approx(
        slow_value(scores, coverage, found.order)
    )
    assert sum(found.gains) == pytest.approx(value(scores, coverage, found.order))
    assert value(scores, coverage, []) == 0.0


def instances():
    """Scores and coverages full of ties (few small integers) and of nearly equal numbers."""
    whole = st.tuples(st.integers(1, 40), st.integers(1, 25), st.integers(0, 10**6)).map(tied)
    return st.one_of(whole, st.tuples(st.integers(1, 60), st.integers(0, 10**6)).map(clustered))


def tied(drawn):
    count, items, seed = drawn
    random = np.random.default_rng(seed)
    return (
        random.integers(-1, 3, size=count).astype(float),
        random.integers(0, 4, size=(count, items)).astype(float),
    )


def clustered(drawn):
    count, seed = drawn
    random = np.random.default_rng(seed)
    scores = random.choice([0.0, 0.1, 10.0]) * random.random(count)
    return scores, alike(count, seed).astype(random.choice([np.float32, np.float64]))


@settings(max_examples=300, deadline=None)
@given(instances(), st.integers(0, 70))
def test_lazy_equals_naive_to_the_bit(instance, count):
    scores, coverage = instance
    naive, lazy = naive_greedy(scores, coverage, count), lazy_greedy(scores, coverage, count)
    assert lazy.order == naive.order
    assert lazy.gains == naive.gains
    assert len(set(lazy.order)) == min(count, len(scores))
    assert all(a >= b for a, b in itertools.pairwise(naive.gains))


def test_lazy_equals_naive_on_a_class_of_full_size_with_less_work():
    for seed in range(4):
        coverage = likeness(embedded(500, 64, seed, groups=40).float()).numpy()
        scores = seed * np.random.default_rng(seed).random(500)
        naive, lazy = naive_greedy(scores, coverage, 50), lazy_greedy(scores, coverage, 50)
        assert (lazy.order, lazy.gains) == (naive.order, naive.gains)
        assert naive.evaluations == 500 * 50
        assert lazy.evaluations < naive.evaluations / 5


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 10), st.integers(1, 3), st.integers(0, 10**6))
def test_greedy_beside_brute_force(count, size, seed):
    random = np.random.default_rng(seed)
    scores = random.choice([0.0, 0.3, 3.0]) * random.random(count)
    coverage = alike(count, seed)
    greedy = value(scores, coverage, lazy_greedy(scores, coverage, size).order)
    best = max(
        value(scores, coverage, chosen) for chosen in itertools.combinations(range(count), size)
    )
    assert greedy <= best * (1 + 1e-12)
    assert greedy >= (1 - 1 / math.e) * best


@pytest.mark.parametrize("seed", range(5))
def test_value_rises_along_the_path(seed):
    scores, coverage = np.random.default_rng(seed).random(30), alike(30, seed)
    picked = lazy_greedy(scores, coverage, 30)
    values = [value(scores, coverage, picked.order[:i]) for i in range(31)]
    assert all(b >= a for a, b in itertools.pairwise(values))
    assert np.diff(values) == pytest.approx(picked.gains, abs=1e-12)


@pytest.mark.parametrize("greedy", [naive_greedy, lazy_greedy])
def test_without_coverage_the_best_scores(greedy):
    scores = np.random.default_rng(0).normal(size=40)
    expected = np.argsort(-scores, kind="stable")[:12]
    assert greedy(scores, np.zeros((40, 40)), 12).order == tuple(expected)


@pytest.mark.parametrize("greedy", [naive_greedy, lazy_greedy])
def test_negative_scores_still_give_the_whole_count(greedy):
    found = greedy(np.full(20, -1.1), alike(20), 8)
    assert len(set(found.order)) == 8
    assert found.order == greedy(np.zeros(20), alike(20), 8).order


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["cosine", "squared_cosine"])
def test_without_scores_apricots_picks(seed, kind):
    coverage = alike(80, seed, kind)
    peer = apricot.FacilityLocationSelection(25, metric="precomputed", optimizer="naive")
    peer.fit(coverage)
    found = lazy_greedy(np.zeros(80), coverage, 25)
    assert list(found.order) == peer.ranking.tolist()
    assert found.gains == pytest.approx(peer.gains, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_with_scores_apricots_picks(seed):
    # A score is an item of its own that one candidate alone covers: 40 more columns, and rows of zeros to make the
    # matrix square.
    scores = exact(3 * np.random.default_rng(seed).random(40))
    coverage = alike(40, seed)
    square = np.zeros((80, 80))
    square[:40, :40], square[:40, 40:] = coverage, np.diag(scores)
    peer = apricot.FacilityLocationSelection(15, metric="precomputed", optimizer="naive")
    peer.fit(square)
    found = lazy_greedy(scores, coverage, 15)
    assert list(found.order) == peer.ranking.tolist()
    assert found.gains == pytest.approx(peer.gains, abs=1e-9)


def test_apricots_cosine_is_squared():
    x = embedded(60, seed=7)
    peer = apricot.FacilityLocationSelection(20, metric="cosine", optimizer="naive").fit(x.numpy())
    assert bool((torch.nn.functional.normalize(x, dim=1) @ x.mT < 0).any())
    squared = lazy_greedy(np.zeros(60), likeness(x, "squared_cosine"), 20)
    # Gains, not picks: apricot's own cosines are off the grid, where rounding breaks ties.
    assert squared.gains == pytest.approx(peer.gains, abs=1e-9)
    assert lazy_greedy(np.zeros(60), likeness(x), 20).gains != pytest.approx(peer.gains, abs=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_a_double_is_taken_last(seed):
    x = embedded(12, seed=seed)
    doubled = likeness(torch.cat([x, x[:4]])).numpy()
    doubled[:, 12:], doubled[12:] = doubled[:, :4], doubled[:4]  # equal to the last bit
    found = lazy_greedy(np.zeros(16), doubled, 16)
    positive = [c for c, gain in zip(found.order, found.gains, strict=True) if gain > 0]
    assert len({c % 12 for c in positive}) == len(positive)
    assert max(positive) < 12  # of two equal ones the first


def test_of_two_alike_the_first_is_taken():
    # Two that only cover each other gain the same: 1 + cosine. Rounding must not choose.
    for seed in range(20):
        x = torch.zeros(8, 16).double()
        pairs = embedded(8, 4, seed).abs()
        for pair in range(4):
            x[2 * pair : 2 * pair + 2, 4 * pair : 4 * pair + 4] = pairs[2 * pair : 2 * pair + 2]
        for like in (likeness(x), likeness(x.float())):
            for greedy in (naive_greedy, lazy_greedy):
                assert {c % 2 for c in greedy(np.zeros(8), like.numpy(), 4).order} == {0}


def test_likeness():
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [-3.0, 0.0]])
    half = 1 / math.sqrt(2)
    expected = [[1, 1, half, 0], [1, 1, half, 0], [half, half, 1, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(likeness(x), torch.tensor(expected))
    expected = [[1, 1, 0.5, 1], [1, 1, 0.5, 1], [0.5, 0.5, 1, 0.5], [1, 1, 0.5, 1]]
    torch.testing.assert_close(likeness(x, "squared_cosine"), torch.tensor(expected))


def test_small_and_wrong_inputs():
    for greedy in (naive_greedy, lazy_greedy):
        assert greedy([], np.zeros((0, 0)), 3).order == ()
        assert greedy([1.0, 2.0], np.eye(2), 5).order == (1, 0)
        assert greedy([1.0, 1.0], np.eye(2), 0).order == ()
        assert greedy([0.0, 0.0, 0.0], np.eye(3), 2).order == (0, 1)
        with pytest.raises(ValueError, match=r"coverage: shape \[3, 3\] for scores of shape \[2\]"):
            greedy([0.0, 0.0], np.eye(3), 1)
        with pytest.raises(ValueError, match=r"coverage: -1 is among it"):
            greedy([0.0, 0.0], -np.eye(2), 1)
        with pytest.raises(ValueError, match="not all numbers are finite"):
            greedy([0.0, np.nan], np.eye(2), 1)
