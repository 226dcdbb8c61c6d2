"""Accuracy and loss on the line between two students."""

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import BLUE, MUTED, VERMILLION
from tutelage.report.wording import short
from tutelage.runs.interpolation import Interpolation

HEADER = ("quantity", "side", "eta", "mean", "lowest", "highest", "pairs")
_LINES = {"test": (BLUE, "-"), "train": (VERMILLION, "--")}

Rows = list[list[object]]


def interpolation_figure(found: Interpolation) -> Drawing:
    """Return the figure with the data that are drawn."""
    with canvas(WIDTH, 340) as figure:
        rows = paint_interpolation(figure, found)
        label = (
            f"Accuracy and loss of weights between {found.header.first} and {found.header.second}"
        )
        return finish(figure, "interpolation", label, HEADER, rows)


def paint_interpolation(figure: Figure, found: Interpolation) -> Rows:
    """Draw into a figure of any size: lines are means over pairs, bands from the lowest to the highest."""
    rows: Rows = []
    for axes, quantity, unit in zip(
        figure.subplots(1, 2), ("accuracy", "loss"), ("accuracy, %", "loss, nats"), strict=True
    ):
        factor = 100 if quantity == "accuracy" else 1
        for side, (colour, style) in _LINES.items():
            values = factor * found.curves[f"{side}_{quantity}"]
            mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
            axes.plot(found.eta, mean, color=colour, linestyle=style, label=side)
            axes.fill_between(found.eta, low, high, color=colour, alpha=0.18, linewidth=0)
            rows += [[quantity, side, *map(float, row), len(values)]
                     for row in zip(found.eta, mean, low, high, strict=True)]  # fmt: skip
        if quantity == "loss":
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        for place, name in ((0, found.header.first), (1, found.header.second)):
            axes.axvline(place, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(short(name, 16), (place, 1), (4, -4), xycoords=("data", "axes fraction"),
                          textcoords="offset points", va="top", color=MUTED, fontsize=11)  # fmt: skip
        axes.set_xlabel("eta")
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        axes.margins(x=0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return rows
