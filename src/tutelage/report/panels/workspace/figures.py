"""A workspace over epochs, and how much of each slot is bound and read for each class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.epochs import COLUMNS, DASHED, Look, lines, names, table
from tutelage.report.drawing.heat import NUMBERS_UP_TO, SEQUENTIAL, ink_on
from tutelage.report.palette import BLUE, INK, MUTED, ORANGE
from tutelage.report.panels.workspace.data import Slots, Workspace, by_class, effective
from tutelage.report.wording import minus, short, significant
from tutelage.runs.traces import Course

LONGEST, LETTER = 22, 7.3
"""Letters of a class name, pixels of a letter."""
STUDENT = "student"
ACCURACY: dict[str, tuple[str, Look]] = {
    "with": ("training, with teachers", (INK, DASHED)),
    "train": ("training, as deployed", (ORANGE, "-")),
    "validation": ("validation, as deployed", (BLUE, "-")),
}
"""Label, colour and line of each accuracy."""

DISTANCE, SUM = "distance to each teacher", "sum of the distances, the regulariser"
IN_USE = "slots in use, effective number"

Floats = NDArray[np.float64]


def over_epochs(workspace: Workspace, look: Mapping[str, Look], name: str) -> Drawing:
    """Distances to the teachers, their sum, effective number of slots, accuracy with and without teachers."""
    looks = {**look, STUDENT: (INK, DASHED)}
    looks |= {label: style for label, style in ACCURACY.values()}
    panels = {
        DISTANCE: workspace.distances,
        SUM: workspace.alignment,
        IN_USE: tuple(_named(course, course.name or STUDENT) for course in workspace.in_use),
        "accuracy, %": tuple(_named(course, ACCURACY[course.name][0], 100) for course in workspace.accuracy),
    }  # fmt: skip
    shown = {title: courses for title, courses in panels.items() if courses}
    rows = -(-len(shown) // 2)
    with canvas(WIDTH, 20 + 205 * rows) as figure:
        figure.set_layout_engine("constrained", w_pad=0.2, h_pad=0.1)
        grid = figure.subplots(rows, 2, squeeze=False)
        for axes, (title, courses) in zip(grid.flat, shown.items(), strict=False):
            _panel(axes, title, courses, looks)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        label = f"Workspace over epochs, {workspace.stage}, {workspace.objective}"
        drawn = [(workspace.stage, workspace.objective, title, *row)
                 for title, courses in shown.items() for row in table(courses)]  # fmt: skip
        return finish(figure, name, label, ("stage", "objective", "value", "name", *COLUMNS), drawn)


def _named(course: Course, name: str, scale: float = 1) -> Course:
    return Course(
        name,
        course.epochs,
        scale * course.mean,
        scale * course.low,
        scale * course.high,
        course.runs,
    )


def _panel(axes: Axes, title: str, courses: Sequence[Course], look: Mapping[str, Look]) -> None:
    lines(axes, courses, look)
    axes.margins(y=0.12)
    if title in (DISTANCE, SUM):
        axes.set_ylim(0, None)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title(title)
    if title == IN_USE:
        full = np.ceil(max(float(np.nanmax(course.high)) for course in courses) - 0.01)
        axes.set_ylim(min(axes.get_ylim()[0], full - 1), full + 0.06)
    show = significant if title in (DISTANCE, SUM) else "{:.1f}".format
    names(axes, courses, look, 130, show, longest=24)


def shares(slots: Slots) -> dict[str, Floats]:
    """Return the panels of the heat map: heading -> [n, K]."""
    panels = {f"bound from {name}": values for name, values in slots.bound.items()}
    panels["read by the student, with teachers"] = slots.read
    if slots.alone is not None:
        panels["read by the student, as deployed"] = slots.alone
    return panels


def classes_shown(slots: Slots) -> list[int]:
    """Return the classes of the heat map: of more than 20 those that use slots most unlike the others."""
    labels, many = slots.samples.labels, len(slots.classes)
    known = [int(c) for c in np.unique(labels)]
    if len(known) <= NUMBERS_UP_TO:
        return known
    off = sum(
        np.abs(by_class(values, labels, many) - values.mean(axis=0)).sum(axis=1)
        for values in shares(slots).values()
    )
    return sorted(sorted(known, key=lambda c: -np.asarray(off)[c])[:NUMBERS_UP_TO])


def heat(slots: Slots, look: Mapping[str, Look], name: str) -> Drawing:
    """How much of each slot every class binds from each teacher and reads; the top row is all samples."""
    panels, kept = shares(slots), classes_shown(slots)
    labels, many = slots.samples.labels, len(slots.classes)
    cells = {head: np.vstack([values.mean(axis=0), by_class(values, labels, many)[kept]])
             for head, values in panels.items()}  # fmt: skip
    rows = ["all samples", *(short(slots.classes[c], LONGEST) for c in kept)]
    beside = 30 + LETTER * max(map(len, rows))
    room = (WIDTH - beside) / len(panels) - 14
    cell = min(max(room / slots.count, 26 if slots.count <= 10 else 300 / slots.count), 38)
    each = max(cell * slots.count, 140) + 14
    columns = max(1, min(len(panels), int((WIDTH - beside + 1) // each)))
    lines_of = -(-len(panels) // columns)
    top = max(2.5 / slots.count, *(float(np.nanmax(values)) for values in cells.values()))
    height = 29 if len(rows) <= 13 else 24
    with canvas(
        round(beside + each * columns), round(lines_of * (66 + height * len(rows)))
    ) as figure:
        figure.set_layout_engine("constrained", w_pad=0.09, h_pad=0.1)
        grid = figure.subplots(lines_of, columns, squeeze=False, sharey=True)
        for axes, (head, values) in zip(grid.flat, cells.items(), strict=False):
            _cells(axes, values, min(top, 1.0), numbers=cell >= 26)
            colour = look.get(head.removeprefix("bound from "), (INK, "-"))[0]
            axes.add_patch(Rectangle((0, -4 / height), slots.count, 3 / height, facecolor=colour,
                                     clip_on=False, linewidth=0))  # fmt: skip
            axes.set_title(_head(head), fontsize=12.5, pad=24, y=1)
            used = float(effective(panels[head].mean(axis=0)))
            axes.set_xlabel(f"{minus(used, 1)} of {slots.count} slots in use", fontsize=11)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
        header = ("stage", "fold", "seed", "what", "class", "slot", "mean_share")
        run = slots.run
        drawn = [(run.stage, run.fold, run.seed, head, text, k + 1, values[i, k])
                 for head, values in ((h, by_class(v, labels, many)) for h, v in panels.items())
                 for i, text in enumerate(slots.classes) for k in range(slots.count)]  # fmt: skip
        label = f"Share of tokens in each slot by class, {run.stage}"
        return finish(figure, name, label, header, drawn)


def _head(text: str) -> str:
    return text.replace(", ", ",\n") if len(text) > 26 else text


def _cells(axes: Axes, values: Floats, top: float, *, numbers: bool) -> None:
    for (i, k), value in np.ndenumerate(values):
        y = i + 0.5
        if not np.isfinite(value):
            axes.text(k + 0.5, y, "–", ha="center", va="center", color=MUTED)
            continue
        colour = SEQUENTIAL(value / top)
        axes.add_patch(Rectangle((k + 0.03, i + 0.04), 0.94, 0.92, facecolor=colour, linewidth=0))
        if numbers:
            axes.text(k + 0.5, y, minus(100 * value, 0), ha="center", va="center", fontsize=12,
                      color=ink_on(colour))  # fmt: skip
    slots = values.shape[1]
    axes.set_xlim(0, slots)
    axes.set_ylim(len(values), 0)
    axes.spines[:].set_visible(False)
    axes.axhline(1, color=MUTED, linewidth=1)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("bottom")
    step = 1 if slots <= 20 else 5
    axes.set_xticks(np.arange(0, slots, step) + 0.5, [str(k + 1) for k in range(0, slots, step)])
    axes.tick_params(length=0, labelcolor=INK, labelsize=12)
