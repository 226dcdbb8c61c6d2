"""Reliability diagrams."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import binomtest

from tutelage.report.drawing.canvas import Drawing, canvas, finish
from tutelage.report.palette import BLUE, GREEN, INK, LINE, MUTED, PAPER, VERMILLION
from tutelage.report.wording import percent, short
from tutelage.runs.run import Run
from tutelage.statistics.temperature import fitted_temperature

BINS = 15
FEW = 50  # samples of a bin; a bar of fewer is paler
MIDDLES = (np.arange(BINS) + 0.5) / BINS
COLUMNS = ("stage", "scores", "bin_middle", "accuracy", "low", "high", "confidence", "count")


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


def pooled(runs: Sequence[Run], *, scaled: bool = False) -> Reliability | None:
    """Reliability of the test predictions of several runs together; None without predictions.

    Args:
        runs: of a stage.
        scaled: each run's scores are divided by the temperature that fits its validation predictions.
    """
    said = [(run, prediction) for run in runs if (prediction := run.predictions()) is not None]
    if not said:
        return None
    logits = [p.logits / (temperature_of(run) if scaled else 1.0) for run, p in said]
    return reliability(np.concatenate(logits), np.concatenate([p.labels for _, p in said]))


def temperature_of(run: Run) -> float:
    """Return the temperature that fits a run's validation predictions; 1 where it has none."""
    known = run.predictions("validation")
    return 1.0 if known is None else fitted_temperature(known.logits, known.labels)


def diagrams(stages: Sequence[tuple[str, Sequence[Run]]]) -> Drawing | None:
    """One reliability diagram per stage, side by side, with the samples of each bin below."""
    measured = [(name, pooled(runs), pooled(runs, scaled=True), len(runs)) for name, runs in stages]
    kept = [(name, bins, after, n) for name, bins, after, n in measured if bins and after]
    if not kept:
        return None
    rows: list[list[object]] = []
    with canvas(522 * len(kept), 500) as figure:
        grid = figure.subplots(2, len(kept), sharex=True, sharey="row", squeeze=False,
                               height_ratios=(4, 1))  # fmt: skip
        for (name, bins, after, n), upper, lower in zip(kept, *grid, strict=True):
            _bins(upper, bins)
            _scaled(upper, after)
            gained = f"ECE {percent(bins.ece)} → {percent(after.ece)} %"
            upper.set_title(f"{short(name)}   {gained}")
            upper.set_ylim(0, 1.02)
            upper.set_xlim(0, 1)
            upper.grid(axis="y")
            _counts(lower, bins)
            lower.set_xlabel(f"confidence ({n} run{'s' if n != 1 else ''} together)")
            rows += [*_rows(name, "as trained", bins), *_rows(name, "temperature scaled", after)]
        grid[0, 0].set_ylabel("accuracy")
        grid[1, 0].set_ylabel("% of samples")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return finish(figure, "reliability", "Reliability diagrams", COLUMNS, rows)


def _bins(axes: Axes, bins: Reliability) -> None:
    """Draw accuracy with its interval, paler where few samples are behind it, and the mean confidence."""
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    there = bins.count > 0
    for middle, height, count in zip(
        MIDDLES[there], bins.accuracy[there], bins.count[there], strict=True
    ):
        full = count == bins.count.max()
        axes.bar(middle, height, 0.9 / BINS, color=BLUE, linewidth=0, alpha=faded(int(count)),
                 label="accuracy in the bin, 95 %" if full else None)  # fmt: skip
    low, high = intervals(bins)[:, there]
    axes.vlines(MIDDLES[there], low, high, color=INK, linewidth=1.1)
    axes.plot(bins.confidence, bins.confidence, "_", markersize=18, markeredgewidth=2.2,
              color=VERMILLION, label="mean confidence")  # fmt: skip


def _scaled(axes: Axes, after: Reliability) -> None:
    many = after.count >= FEW
    axes.plot(after.confidence[many], after.accuracy[many], "o", markersize=6, color=GREEN,
              markeredgecolor=PAPER, label=f"temperature scaled, bins of {FEW} or more")  # fmt: skip


def _counts(axes: Axes, bins: Reliability) -> None:
    """Draw the share of each bin; where only few samples are in one, say how many."""
    shares = 100 * bins.count / bins.count.sum()
    axes.bar(MIDDLES, shares, 0.9 / BINS, color=LINE)
    for middle, share, count in zip(MIDDLES, shares, bins.count.tolist(), strict=True):
        if 0 < count < FEW:
            axes.annotate(str(count), (middle, share), (0, 2), textcoords="offset points", ha="center",
                          fontsize=9, color=MUTED)  # fmt: skip


def faded(count: int) -> float:
    """Return how opaque a bar of so many samples is: fully from 50 on."""
    return 0.15 + 0.7 * min(1.0, count / FEW)


def intervals(bins: Reliability) -> NDArray[np.float64]:
    """Return Wilson's 95 % interval of the accuracy of every bin, [2, bins]; NaN where a bin is empty."""
    ends = np.full((2, BINS), np.nan)
    for number, count in enumerate(bins.count.tolist()):
        if count:
            right = round(float(bins.accuracy[number]) * count)
            found = binomtest(right, count).proportion_ci(method="wilson")
            ends[:, number] = found.low, found.high
    return ends


def _rows(name: str, what: str, bins: Reliability) -> list[list[object]]:
    low, high = intervals(bins)
    columns = (MIDDLES, bins.accuracy, low, high, bins.confidence, bins.count)
    return [[name, what, *row] for row in zip(*columns, strict=True)]
