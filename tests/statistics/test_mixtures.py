"""Mixtures: weights against an independent optimiser, and never read on those who chose them."""

import numpy as np
import pytest
from scipy.optimize import minimize

from tutelage.statistics.mixtures import blocks, cross_fitted, likeliest, probabilities


def random_answers(seed, networks=3, samples=80, classes=4):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, samples)
    logits = random.normal(size=(networks, samples, classes))
    for k in range(networks):
        logits[k, np.arange(samples), labels] += k + 0.5
    return probabilities(logits), labels


@pytest.mark.parametrize("seed", range(3))
def test_fitted_weights_are_the_optimum_that_another_optimiser_finds(seed):
    said, labels = random_answers(seed)
    truth = said[:, np.arange(len(labels)), labels]

    def loss(free):
        weights = np.exp(free) / np.exp(free).sum()
        return -np.log(weights @ truth).mean()

    best = minimize(
        loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
    )
    weights = likeliest(truth, steps=20_000, tolerance=1e-13)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert -np.log(weights @ truth).mean() == pytest.approx(best.fun, abs=1e-7)


def test_probabilities_are_a_softmax_that_bears_masked_classes():
    found = probabilities(np.array([[1000.0, 999.0, -np.inf], [0.0, 0.0, 0.0]]))
    assert found[0].tolist() == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0])
    assert found[1].tolist() == pytest.approx([1 / 3] * 3)


def test_nobody_is_mixed_with_weights_that_were_chosen_on_their_own_samples():
    said, labels = random_answers(5)
    people = np.repeat(["a", "b", "c", "d"], 20)
    parts = blocks(people, len(people))
    mixed, weights = cross_fitted(said, labels, parts)
    # Another truth for one person changes what others are mixed with, and nothing of its own.
    other = labels.copy()
    other[people == "b"] = (other[people == "b"] + 1) % 4
    again, _ = cross_fitted(said, other, parts)
    mine = people == "b"
    assert np.array_equal(mixed[mine], again[mine])
    assert not np.allclose(mixed[~mine], again[~mine])
    truth = said[:, ~mine][:, np.arange(60), labels[~mine]]
    assert mixed[mine] == pytest.approx(np.tensordot(likeliest(truth), said[:, mine], axes=1))
    assert weights.sum() == pytest.approx(1)


def test_noise_does_not_look_good_by_being_chosen():
    """Fifty networks that know nothing: weights chosen and read on the same samples seem to know something."""
    chosen, honest = [], []
    for seed in range(10):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 2, 60)
        said = probabilities(3 * random.normal(size=(50, 60, 2)))
        truth = said[:, np.arange(60), labels]
        greedy = np.tensordot(likeliest(truth), said, axes=1).argmax(axis=1)
        mixed, _ = cross_fitted(said, labels, blocks(np.arange(60) % 10, 60))
        chosen.append((greedy == labels).mean())
        honest.append((mixed.argmax(axis=1) == labels).mean())
    assert np.mean(chosen) > 0.65
    assert abs(np.mean(honest) - 0.5) < 0.06


def test_people_stay_whole_and_a_single_one_is_cut_into_neighbours():
    parts = blocks(["a", "b", "a", "c", "d", "e", "f", "g"], 8)
    assert parts[0] == parts[2] and len(set(parts.tolist())) == 5
    assert blocks([""] * 10, 10).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
