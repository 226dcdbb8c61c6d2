"""Which teacher was trusted when and for which classes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tutelage.report.drawing.canvas import Drawing, canvas, finish
from tutelage.report.drawing.epochs import COLUMNS, PLAIN, Look, lines, names, table
from tutelage.report.drawing.heat import NUMBERS_UP_TO, SEQUENTIAL, ink_on
from tutelage.report.palette import INK, MUTED
from tutelage.report.wording import minus, plural, short
from tutelage.runs.traces import Trust

HALF = 504
"""Natural width of a figure that shares its row with another, in pixels."""
LONGEST, LONGEST_HEADING, LETTER = 30, 14, 7.3
"""Letters of a class and of a teacher; pixels of a letter."""


def over_epochs(trust: Trust, look: Mapping[str, Look], name: str) -> Drawing:
    """Mean weight of each teacher over epochs."""
    with canvas(HALF, 300) as figure:
        axes = figure.subplots()
        lines(axes, trust.courses, look)
        axes.set_ylim(min(axes.get_ylim()[0], 0.0), None)
        names(axes, trust.courses, look, 220, lambda value: minus(value, 2))
        axes.set_ylabel("mean weight")
        axes.set_title(plural(trust.runs, "run"), loc="right", fontsize=11, fontweight="normal",
                       color=MUTED)  # fmt: skip
        label = f"Weight of each teacher over epochs, {trust.stage}, {trust.objective}"
        rows = [(trust.stage, trust.objective, *row) for row in table(trust.courses)]
        return finish(figure, name, label, ("stage", "objective", "teacher", *COLUMNS), rows)


def by_class(trust: Trust, look: Mapping[str, Look], name: str) -> Drawing:
    """Mean weight of each teacher for each class in the last epoch."""
    shown = classes_shown(trust)
    many = len(trust.teachers)
    named = [short(trust.classes[i], LONGEST) for i in shown if i is not None]
    beside = 24 + LETTER * max((len(text) for text in named), default=0)
    heading = LETTER * max(len(short(teacher, LONGEST_HEADING)) for teacher in trust.teachers)
    wanted = many * min(max(78, heading + 8), 112)
    width = round(min(beside + wanted, HALF))
    cell = (width - beside) / many
    turned = heading > cell - 4
    row = 30 if len(shown) <= 12 else 25
    with canvas(width, round(34 + 0.6 * heading * turned + row * max(len(shown), 1))) as figure:
        axes = figure.subplots()
        _cells(axes, trust, shown, numbers=cell >= 32)
        _headings(axes, trust.teachers, look, bar=4 / row, turned=turned)
        label = f"Weight of each teacher by class, {trust.stage}, {trust.objective}"
        rows = [
            (trust.stage, trust.objective, teacher, text, trust.by_class[i, k])
            for i, text in enumerate(trust.classes)
            for k, teacher in enumerate(trust.teachers)
        ]
        header = ("stage", "objective", "teacher", "class", "mean_in_last_epoch")
        return finish(figure, name, label, header, rows)


def classes_shown(trust: Trust) -> list[int | None]:
    """Return the classes of the heat map from top to bottom; None is a gap.

    Up to 20 classes are shown in the order of the data. Of more, those for which the teacher that is
    trusted most on the whole weighs most, and those for which it weighs least: ten each.
    """
    if len(trust.classes) <= NUMBERS_UP_TO:
        return list(range(len(trust.classes)))
    weights = trust.by_class[:, trust.leader]
    order = [int(i) for i in np.argsort(-weights, kind="stable") if np.isfinite(weights[i])]
    half = NUMBERS_UP_TO // 2
    return [*order] if len(order) <= NUMBERS_UP_TO else [*order[:half], None, *order[-half:]]


def _cells(axes: Axes, trust: Trust, shown: Sequence[int | None], *, numbers: bool) -> None:
    many = len(trust.teachers)
    for row, i in enumerate(shown):
        if i is None:
            left_out = int(np.isfinite(trust.by_class[:, trust.leader]).sum()) - len(shown) + 1
            axes.text(many / 2, row + 0.5, f"{plural(left_out, 'class')} between", ha="center",
                      va="center", color=MUTED, fontsize=11.5)  # fmt: skip
            continue
        for k in range(many):
            _cell(axes, row, k, float(trust.by_class[i, k]), numbers=numbers)
    middles = [row + 0.5 for row, i in enumerate(shown) if i is not None]
    axes.set_yticks(middles, [short(trust.classes[i], LONGEST) for i in shown if i is not None])
    axes.set_xlim(0, many)
    axes.set_ylim(max(len(shown), 1), 0)
    axes.spines[:].set_visible(False)


def _cell(axes: Axes, row: int, column: int, value: float, *, numbers: bool) -> None:
    x, y = column + 0.5, row + 0.5
    if not np.isfinite(value):
        axes.text(x, y, "–", ha="center", va="center", color=MUTED)
        return
    colour = SEQUENTIAL(min(max(value, 0.0), 1.0))
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, linewidth=0))
    if numbers:
        axes.text(x, y, minus(value, 2), ha="center", va="center", fontsize=12,
                  color=ink_on(colour))  # fmt: skip


def _headings(
    axes: Axes, teachers: Sequence[str], look: Mapping[str, Look], *, bar: float, turned: bool
) -> None:
    """Name each column, over a bar in the colour of its line."""
    for k, teacher in enumerate(teachers):
        colour = look.get(teacher, PLAIN)[0]
        axes.add_patch(
            Rectangle(
                (k + 0.02, -bar), 0.96, 0.75 * bar, facecolor=colour, clip_on=False, linewidth=0
            )
        )
    axes.xaxis.tick_top()
    axes.set_xticks(
        [k + 0.5 for k in range(len(teachers))],
        [short(teacher, LONGEST_HEADING) for teacher in teachers],
        rotation=35 if turned else 0, ha="left" if turned else "center", rotation_mode="anchor",
    )  # fmt: skip
    axes.tick_params(length=0, labelcolor=INK, labelsize=12)
    axes.tick_params(axis="x", pad=7)
