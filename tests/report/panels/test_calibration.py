"""Reliability: bins, their intervals and the scaled scores, by plain loops."""

import csv
import io
import math

import numpy as np
import pytest

from tutelage.report.panels.calibration import figures
from tutelage.statistics.temperature import fitted_temperature, softened


class Said:
    def __init__(self, logits, labels):
        self.logits, self.labels = logits, labels


class Told:
    """A run with predictions of two splits."""

    def __init__(self, seed, factor):
        rng = np.random.default_rng(seed)
        self.said = {}
        for split, n in (("validation", 300), ("test", 400)):
            scores = rng.normal(size=(n, 4)) * 2
            labels = np.array([rng.choice(4, p=row) for row in softened(scores, 1.0)])
            self.said[split] = Said(scores * factor, labels)

    def predictions(self, split="test"):
        return self.said[split]


RUNS = (Told(0, 3.0), Told(1, 2.0))


def by_hand(scaled):
    """Return per bin (right, count, sum of confidence) of both runs."""
    bins = [[0, 0, 0.0] for _ in range(figures.BINS)]
    for run in RUNS:
        validation, test = run.said["validation"], run.said["test"]
        t = fitted_temperature(validation.logits, validation.labels) if scaled else 1.0
        for scores, label in zip(test.logits, test.labels, strict=True):
            raised = [math.exp((s - max(scores)) / t) for s in scores]
            sure = max(raised) / sum(raised)
            place = min(max(math.ceil(sure * figures.BINS) - 1, 0), figures.BINS - 1)
            bins[place][0] += int(np.argmax(scores) == label)
            bins[place][1] += 1
            bins[place][2] += sure
    return bins


def wilson(right, count, z=1.959963984540054):
    p, n = right / count, count
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


@pytest.mark.parametrize("scaled", [False, True])
def test_bins_are_those_of_a_loop(scaled):
    found = figures.pooled(RUNS, scaled=scaled)
    error = 0.0
    for number, (right, count, sure) in enumerate(by_hand(scaled)):
        assert found.count[number] == count
        if count:
            assert found.accuracy[number] == pytest.approx(right / count)
            assert found.confidence[number] == pytest.approx(sure / count)
            error += abs(right - sure) / 800
            low, high = figures.intervals(found)[:, number]
            assert (low, high) == pytest.approx(wilson(right, count))
        else:
            assert np.isnan(figures.intervals(found)[:, number]).all()
    assert found.ece == pytest.approx(error)


def test_scaling_mends_what_was_too_sure_and_changes_no_answer():
    before, after = figures.pooled(RUNS), figures.pooled(RUNS, scaled=True)
    assert after.ece < before.ece / 2
    assert np.nansum(before.accuracy * before.count) == pytest.approx(
        np.nansum(after.accuracy * after.count)
    )


def test_the_drawing_has_both_in_its_data_and_pales_few_samples():
    drawn = figures.diagrams([("kd", RUNS)])
    rows = list(csv.DictReader(io.StringIO(drawn.data)))
    assert len(rows) == 2 * figures.BINS and {row["scores"] for row in rows} == {
        "as trained",
        "temperature scaled",
    }
    assert figures.faded(5) < 0.3
    assert figures.faded(figures.FEW) == figures.faded(10**4) > 0.8


def test_a_run_without_validation_stays_as_it_is():
    class Bare(Told):
        def predictions(self, split="test"):
            return None if split == "validation" else super().predictions(split)

    run = Bare(2, 3.0)
    assert figures.temperature_of(run) == 1.0
    assert figures.pooled((run,), scaled=True).ece == figures.pooled((run,)).ece
