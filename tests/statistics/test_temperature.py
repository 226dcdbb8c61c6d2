"""The temperature is where a fine grid has its least loss, and puts right what was made wrong."""

import numpy as np
import pytest

from tutelage.statistics.temperature import fitted_temperature, softened


def drawn(temperature, n=4000, seed=0):
    """Scores that are too sure by a factor, and labels that follow their true probabilities."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 5)) * 2
    labels = np.array([rng.choice(5, p=row) for row in softened(scores, 1.0)])
    return scores * temperature, labels


@pytest.mark.parametrize("wrong", [0.5, 1.0, 3.0])
def test_it_finds_what_the_scores_were_multiplied_by(wrong):
    logits, labels = drawn(wrong)
    found = fitted_temperature(logits, labels)
    assert found == pytest.approx(wrong, rel=0.1)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    losses = [-np.log(softened(logits, t)[np.arange(len(labels)), labels]).mean() for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=2e-3)


def test_samples_without_labels_are_left_out_and_none_at_all_change_nothing():
    logits, labels = drawn(2.0)
    hidden = labels.copy()
    hidden[::2] = -1
    assert fitted_temperature(logits, hidden) == fitted_temperature(logits[1::2], labels[1::2])
    assert fitted_temperature(logits, np.full(len(labels), -1)) == 1.0


def test_probabilities_sum_to_one_however_large_the_scores_are():
    probabilities = softened(np.array([[1e4, -1e4, 0.0]]), 0.05)
    assert probabilities.sum() == pytest.approx(1.0) and np.isfinite(probabilities).all()
