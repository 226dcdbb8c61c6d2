"""Recorded values over epochs: mean over runs, band from lowest to highest run."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tutelage.report.palette import BLUE, INK, SERIES
from tutelage.report.wording import short
from tutelage.runs.traces import Course

Look = tuple[str, str | tuple[float, tuple[float, ...]]]
"""Colour and line style."""

SOLID, DASHED = "-", (0, (3, 1.6))
PLAIN: Look = (BLUE, SOLID)
COLUMNS = ("epoch", "mean", "lowest", "highest", "runs")
PER_ROW = 4
"""Panels."""


def looks(teachers: Iterable[str]) -> dict[str, Look]:
    """Give each teacher one colour on the whole page; from the seventh on, lines are dashed."""
    return {
        name: (SERIES[i % len(SERIES)], SOLID if i < len(SERIES) else DASHED)
        for i, name in enumerate(dict.fromkeys(teachers))
    }


def table(courses: Iterable[Course]) -> list[tuple[object, ...]]:
    """Return the rows that are drawn: name, then ``COLUMNS``."""
    return [
        (course.name, *row)
        for course in courses
        for row in zip(
            course.epochs, course.mean, course.low, course.high, course.runs, strict=True
        )
    ]


def lines(axes: Axes, courses: Sequence[Course], look: Mapping[str, Look]) -> None:
    """Draw each course; a single epoch is a dot at the right edge."""
    for course in courses:
        colour, style = look.get(course.name, PLAIN)
        x = course.epochs
        if len(x) == 1:
            axes.vlines(x, course.low, course.high, color=colour, alpha=0.3, linewidth=6)
            axes.scatter(x, course.mean, s=44, color=colour, zorder=3, clip_on=False)
        else:
            axes.fill_between(x, course.low, course.high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(x, course.mean, color=colour, linestyle=style)
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    seen = sorted({int(epoch) for course in courses for epoch in course.epochs})
    axes.set_xlim(seen[0] if len(seen) > 1 else seen[0] - 1, seen[-1])
    if len(seen) > 1:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.set_xticks(seen)


def names(
    axes: Axes,
    courses: Sequence[Course],
    look: Mapping[str, Look],
    height: int,
    show: Callable[[float], str],
    longest: int = 12,
) -> None:
    """Write name and last value where each line ends; the panel is ``height`` pixels high."""
    kept = [course for course in courses if np.isfinite(course.mean[-1])]
    low, high = axes.get_ylim()
    ends = [float(course.mean[-1]) for course in kept]
    gap = (high - low) * min(15.5 / height, 1 / max(len(kept), 1))
    for course, end, height_at in zip(kept, ends, apart(ends, gap, low, high), strict=True):
        axes.annotate(
            f"{short(course.name, longest)} {show(end)}".strip(),
            (float(course.epochs[-1]), end), xytext=(1.05, height_at),
            textcoords=axes.get_yaxis_transform(), va="center", color=INK, fontsize=11.5,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look.get(course.name, PLAIN)[0],
                        "linewidth": 1.6, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
        )  # fmt: skip
    axes.set_ylim(low, high)


def apart(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move values apart, so that neighbours keep a gap and all stay in the range if they fit.

    Examples:
        >>> apart([0.5, 0.5, 0.0], 0.25, 0.0, 1.0), apart([1.0, 1.0], 0.25, 0.0, 1.0)
        ([0.5, 0.75, 0.0], [0.75, 1.0])
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = list(values)
    for i, floor in zip(order, [None, *order], strict=False):
        placed[i] = max(placed[i], low if floor is None else placed[floor] + gap)
    order.reverse()
    for i, ceiling in zip(order, [None, *order], strict=False):
        placed[i] = min(placed[i], high if ceiling is None else placed[ceiling] - gap)
    return placed
