"""Reliability diagrams."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tutelage.report.drawing.canvas import Drawing, canvas, finish
from tutelage.report.palette import BLUE, LINE, MUTED, VERMILLION
from tutelage.report.wording import percent, short
from tutelage.runs.run import Run

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy by bin; NaN where a bin is empty."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap, weighted by samples."""
        gap = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gap * self.count) / max(self.count.sum(), 1))


def reliability(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Reliability:
    """Bin the confidence of the predicted class into 15 bins of equal width, (low, high].

    Source:
        Guo et al. 2017, arXiv:1706.04599, sec. 2.
    """
    confidence = softmax(logits, axis=1).max(axis=1)
    right = logits.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.bincount(bins, confidence, BINS) / count,
            np.bincount(bins, right, BINS) / count,
            count,
        )


def pooled(runs: Sequence[Run]) -> Reliability | None:
    """Reliability of the test predictions of several runs together; None without predictions."""
    predictions = [run.predictions() for run in runs]
    kept = [prediction for prediction in predictions if prediction is not None]
    if not kept:
        return None
    logits = np.concatenate([prediction.logits for prediction in kept])
    return reliability(logits, np.concatenate([prediction.labels for prediction in kept]))


def diagrams(stages: Sequence[tuple[str, Sequence[Run]]]) -> Drawing | None:
    """One reliability diagram per stage, side by side, with the share of samples below."""
    measured = [(name, pooled(runs), len(runs)) for name, runs in stages]
    kept = [(name, bins, n) for name, bins, n in measured if bins is not None]
    if not kept:
        return None
    rows: list[list[object]] = []
    middles = (np.arange(BINS) + 0.5) / BINS
    with canvas(522 * len(kept), 480) as figure:
        grid = figure.subplots(2, len(kept), sharex=True, sharey="row", squeeze=False,
                               height_ratios=(4, 1))  # fmt: skip
        for (name, bins, n), upper, lower in zip(kept, *grid, strict=True):
            upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            upper.bar(middles, bins.accuracy, 0.9 / BINS, color=BLUE, alpha=0.85, linewidth=0,
                      label="accuracy in the bin")  # fmt: skip
            upper.plot(bins.confidence, bins.confidence, "_", markersize=18, markeredgewidth=2.2,
                       color=VERMILLION, label="mean confidence")  # fmt: skip
            upper.set_title(f"{short(name)}   ECE {percent(bins.ece)} %")
            upper.set_ylim(0, 1.02)
            upper.set_xlim(0, 1)
            upper.grid(axis="y")
            lower.bar(middles, 100 * bins.count / bins.count.sum(), 0.9 / BINS, color=LINE)
            lower.set_xlabel(f"confidence ({n} run{'s' if n != 1 else ''} together)")
            rows += [[name, m, a, c, k] for m, a, c, k in
                     zip(middles, bins.accuracy, bins.confidence, bins.count, strict=True)]  # fmt: skip
        grid[0, 0].set_ylabel("accuracy")
        grid[1, 0].set_ylabel("% of samples")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        header = ("stage", "bin_middle", "accuracy", "confidence", "count")
        return finish(figure, "reliability", "Reliability diagrams", header, rows)
