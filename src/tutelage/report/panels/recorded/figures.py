"""Other recorded values over epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tutelage.report.drawing import epochs
from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.wording import short
from tutelage.runs.traces import Course, Recorded

PANEL = 104
"""About the height of a panel, in pixels."""


def over_epochs(recorded: Recorded, look: Mapping[str, epochs.Look], name: str) -> Drawing:
    """Other recorded values over epochs; values that end in the name of a teacher share a panel."""
    panels = _panels(recorded.courses, look)
    columns = min(epochs.PER_ROW, max(2, len(panels)))
    rows = -(-len(panels) // columns)
    with canvas(WIDTH if columns > 2 else 504, 20 + 190 * rows) as figure:
        figure.set_layout_engine("constrained", w_pad=0.14)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, (title, courses) in zip(grid.flat, panels.items(), strict=False):
            epochs.lines(axes, courses, look)
            axes.margins(y=0.12)
            axes.ticklabel_format(axis="y", useOffset=False)
            axes.set_title(short(title, 22))
            if any(course.name for course in courses):
                epochs.names(axes, courses, look, PANEL, lambda value: f"{value:.3g}")
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        label = f"Other recorded values over epochs, {recorded.stage}"
        drawn = [
            (recorded.stage, title, *row)
            for title, courses in panels.items()
            for row in epochs.table(courses)
        ]
        return finish(figure, name, label, ("stage", "value", "teacher", *epochs.COLUMNS), drawn)


def _panels(courses: Sequence[Course], look: Mapping[str, epochs.Look]) -> dict[str, list[Course]]:
    panels: dict[str, list[Course]] = {}
    for course in courses:
        teacher = next((t for t in look if course.name.endswith(f".{t}")), "")
        title = course.name.removesuffix(f".{teacher}") if teacher else course.name
        panels.setdefault(title, []).append(replace(course, name=teacher))
    return panels
