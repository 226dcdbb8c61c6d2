"""Shares of the gradient and conflicts with the labels over epochs."""

from tutelage.report.drawing import epochs
from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import LINE
from tutelage.report.panels.learning.data import Pull
from tutelage.report.wording import minus, percent

PANEL = 190
"""About the height of a panel, in pixels."""


def over_epochs(pull: Pull, name: str) -> Drawing:
    """Draw the shares on the left, the cosines on the right."""
    look = epochs.looks(course.name for course in pull.shares)
    drawn = []
    with canvas(WIDTH, 270) as figure:
        figure.set_layout_engine("constrained", w_pad=0.14)
        left, right = figure.subplots(1, 2)
        for axes, courses, title in (
            (left, pull.shares, "share of the gradient"),
            (right, pull.cosines, "cosine with the labels"),
        ):
            axes.set_title(title)
            if not courses:
                axes.set_visible(False)
                continue
            epochs.lines(axes, courses, look)
            drawn += [(pull.stage, title, *row) for row in epochs.table(courses)]
        left.set_ylim(0, 1.02)
        epochs.names(left, pull.shares, look, PANEL, lambda value: f"{percent(value, 0)} %", 14)
        if pull.cosines:
            right.set_ylim(-1.05, 1.05)
            right.axhline(0, color=LINE, linewidth=1.6)
            epochs.names(right, pull.cosines, look, PANEL, lambda value: minus(value, 2), 14)
        label = f"Share of the gradient and cosine with the labels over epochs, {pull.stage}"
        columns = ("stage", "quantity", "objective", *epochs.COLUMNS)
        return finish(figure, name, label, columns, drawn)
