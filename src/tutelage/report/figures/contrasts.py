"""The differences of a study as one picture: every pair, the mean and its intervals, cell by cell."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutelage.report.figures.draw import (
    WIDTH,
    Drawing,
    canvas,
    finish,
)
from tutelage.report.palette import (
    INK,
    MUTED,
    PAPER,
    VERDICTS,
)
from tutelage.report.wording import short, signed
from tutelage.study.aggregate import Aggregation
from tutelage.study.contrasts import Contrast, StudyComparison

ROW = 52
LINES = (("t", "same splits, trained again", 6.0, 0.35), ("corrected", "corrected", 2.2, 1.0))


def contrasts(found: StudyComparison, unit: str, png: Path | None = None) -> Drawing | None:
    """Draw every difference that has a pair; below a line the means over cells.

    Args:
        found: what was compared.
        unit: of a difference, in words.
        png: where the picture is written as well.

    Returns:
        The drawing, or None where nothing shares a fold and seed.
    """
    single = [one for one in found.single if one.n and not one.same]
    over = [one for one in found.over_cells if one.n and not one.same] if len(single) > 1 else []
    shown = [*single, *over]
    if not shown:
        return None
    how = Aggregation(metric=found.metric, split=found.split)
    stages = {one.a for one in shown}
    rows: list[tuple[object, ...]] = []
    with canvas(WIDTH, 96 + ROW * len(shown)) as figure:
        axes = figure.subplots()
        for y, one in enumerate(shown):
            rows += _row(axes, y, one, how.scale)
        axes.axvline(0, color=MUTED, linewidth=1)
        if over:
            axes.axhline(len(single) - 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        names = [_name(one, len(stages) > 1) for one in shown]
        axes.set_yticks(range(len(shown)), names)
        axes.tick_params(axis="y", length=0, labelsize=13, labelcolor=INK)
        axes.set_ylim(len(shown) - 0.45, -0.6)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        what = f"{how.metric_title} on {found.split}"
        axes.set_xlabel(f"difference to {short(found.against)} in {unit}, {what}")
        _legend(figure, axes)
        if png is not None:
            figure.savefig(png, dpi=144, facecolor="white")
        return finish(figure, "contrasts", f"Differences to {found.against} with 95 % intervals",
                      ("comparison", "cell", "what", "low_or_value", "high"), rows)  # fmt: skip


def _row(axes: Axes, y: int, one: Contrast, scale: float) -> list[tuple[object, ...]]:
    colour = VERDICTS[one.verdict]
    name = (f"{one.a} - {one.b}", one.where)
    values = {key: scale * (a - b) for key, (a, b) in one.values.items()}
    rows: list[tuple[object, ...]] = [(*name, "difference", scale * one.mean, "")]
    rows += [
        (*name, f"fold {fold} seed {seed}", value, "") for (fold, seed), value in values.items()
    ]
    for kind, _, width, alpha in LINES:
        interval = one.intervals[kind]
        if interval is None:
            continue
        ends = (scale * interval.low, scale * interval.high)
        rows.append((*name, f"{kind} interval", *ends))
        axes.plot(ends, [y, y], color=colour, linewidth=width, alpha=alpha, solid_capstyle="round")
    spread = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(
        list(values.values()), y - 0.3 + spread, s=16, color=MUTED, alpha=0.55, linewidths=0
    )
    axes.scatter([scale * one.mean], [y], s=62, color=PAPER, edgecolors=colour, linewidths=2.4,
                 zorder=4)  # fmt: skip
    told = signed(scale * one.mean, 1 if scale > 1 else 3)
    axes.annotate(
        f"{told}, {one.verdict}", (1.0, y), xycoords=("axes fraction", "data"), xytext=(14, 0),
        textcoords="offset points", va="center", fontsize=12, fontweight="bold",
        color=MUTED if one.verdict == "not distinguishable" else colour,
    )  # fmt: skip
    return rows


def _name(one: Contrast, several: bool) -> str:
    where = one.where or one.stage
    return f"{short(one.a)} ({where})" if several and where != one.a else short(where or one.a)


def _legend(figure: Figure, axes: Axes) -> None:
    marks = [
        axes.plot([], [], color=MUTED, linewidth=width, alpha=alpha, label=f"95 %, {label}")[0]
        for _, label, width, alpha in LINES
    ]
    marks.append(axes.plot([], [], "o", color=MUTED, alpha=0.55, markersize=4, label="a pair")[0])  # fmt: skip
    figure.legend(handles=marks, loc="outside upper left", ncols=3)
