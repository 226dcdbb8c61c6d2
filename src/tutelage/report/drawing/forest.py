"""Differences as lines of a forest: pairs as dots, their mean as a ring, intervals as bars."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from tutelage.report.palette import INK, MUTED, PAPER, VERDICTS
from tutelage.statistics.paired import Verdict


@dataclass(frozen=True)
class IntervalBar:
    """One interval of a difference: its ends, how far below the mean it lies, and its line."""

    low: float
    high: float
    below: float
    width: float
    alpha: float


@dataclass(frozen=True)
class ForestRow:
    """One difference.

    Args:
        name: on the left.
        mean, shown: of the pairs, and as it is written.
        pairs: single differences.
        bars: its intervals.
        verdict: gives the colour and stands on the right.
    """

    name: str
    mean: float
    shown: str
    pairs: Sequence[float]
    bars: Sequence[IntervalBar]
    verdict: Verdict


def forest(axes: Axes, rows: Sequence[ForestRow], across: str, above: float) -> None:
    """Draw differences from top to bottom.

    Args:
        axes: to draw on.
        rows: the differences.
        across: label of the axis.
        above: how far over the mean the pairs lie; 1 is the distance of two rows.
    """
    for y, row in enumerate(rows):
        _row(axes, y, row, above)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", length=0, labelsize=13, labelcolor=INK)
    axes.set_ylim(len(rows) - 0.45, -0.6)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(across)


def _row(axes: Axes, y: int, row: ForestRow, above: float) -> None:
    colour = VERDICTS[row.verdict]
    for bar in row.bars:
        axes.plot([bar.low, bar.high], [y + bar.below] * 2, color=colour, linewidth=bar.width,
                  alpha=bar.alpha, solid_capstyle="round")  # fmt: skip
    jitter = np.linspace(-0.06, 0.06, len(row.pairs)) if len(row.pairs) > 1 else np.zeros(1)
    axes.scatter(list(row.pairs), y - above + jitter, s=16, color=MUTED, alpha=0.55, linewidths=0)
    axes.scatter([row.mean], [y], s=62, color=PAPER, edgecolors=colour, linewidths=2.4, zorder=4)
    axes.annotate(
        f"{row.shown}, {row.verdict}", (1.0, y), xycoords=("axes fraction", "data"),
        xytext=(14, 0), textcoords="offset points", va="center", fontsize=12, fontweight="bold",
        color=MUTED if row.verdict == "not distinguishable" else colour,
    )  # fmt: skip
