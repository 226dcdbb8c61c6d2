import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from tutelage.evaluate import calibration_error
from tutelage.export.parity import parity_of


def scores(labels: np.ndarray, right: np.ndarray, classes: int = 3) -> np.ndarray:
    logits = np.zeros((len(labels), classes), np.float32)
    said = np.where(right, labels, (labels + 1) % classes)
    logits[np.arange(len(labels)), said] = 5
    return logits


def test_accuracy_and_macro_f1_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    file, run = (scores(labels, random.random(200) < share) for share in (0.8, 0.9))
    parity = parity_of(file, run, labels, None)
    ours, theirs = file.argmax(1), run.argmax(1)
    assert parity.accuracy == pytest.approx(accuracy_score(labels, ours))
    assert parity.accuracy_difference == pytest.approx(
        accuracy_score(labels, ours) - accuracy_score(labels, theirs)
    )
    assert parity.macro_f1 == pytest.approx(f1_score(labels, ours, average="macro"))
    assert parity.equal == pytest.approx((ours == theirs).mean())
    assert (parity.n, parity.drawn) == (200, "windows")


def test_the_interval_of_windows_is_that_of_a_slow_bootstrap() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 300)
    file, run = (scores(labels, random.random(300) < share) for share in (0.7, 0.8))
    gain = (file.argmax(1) == labels).astype(float) - (run.argmax(1) == labels)
    draws = [gain[random.integers(0, 300, 300)].mean() for _ in range(4000)]
    assert parity_of(file, run, labels, None).accuracy_interval == pytest.approx(
        tuple(np.quantile(draws, [0.025, 0.975])), abs=0.008
    )


def test_people_are_drawn_whole() -> None:
    """All of the loss is one person's: drawing windows would call that certain."""
    labels = np.zeros(400, int)
    people = np.repeat(list("abcd"), 100)
    run = scores(labels, np.ones(400, bool))
    file = scores(labels, people != "a")
    by_people = parity_of(file, run, labels, list(people))
    by_window = parity_of(file, run, labels, None)
    assert by_people.drawn == "subjects"
    assert by_window.lossy
    assert not by_people.lossy
    assert by_people.accuracy_difference == pytest.approx(-0.25)


def test_equal_scores_are_exact_and_lose_nothing() -> None:
    labels = np.arange(30) % 3
    run = scores(labels, np.arange(30) % 4 > 0)
    parity = parity_of(run, run, labels, None)
    assert parity.exact
    assert not parity.lossy
    assert parity.accuracy_interval == parity.macro_f1_interval == (0.0, 0.0)
    assert not parity_of(run + np.float32(0.001), run, labels, None).exact


def test_a_confidence_of_one_belongs_to_the_last_bin() -> None:
    logits = np.array([[3.2, 0.0], [40.0, 0.0]], np.float32)
    assert calibration_error(torch.from_numpy(logits), torch.tensor([0, 1])) == pytest.approx(
        0.480, abs=5e-4
    )
