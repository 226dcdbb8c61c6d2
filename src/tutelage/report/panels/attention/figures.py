"""Where networks look, one column for each, and the angles at which they do."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.sheet import rgb
from tutelage.report.palette import BLUE, INK, ORANGE
from tutelage.report.panels.attention.data import Looked
from tutelage.report.wording import short

MOST = 5
"""Networks in a figure."""
SAMPLES = 4
"""Rows of a figure; more are in the run folder."""
CELLS = 8
"""Of an image the data beside the figure are means of so many by so many cells."""

Rows = list[list[object]]


def map_figure(
    shown: Sequence[Looked], kind: str, title: str, class_names: Sequence[str]
) -> Drawing:
    """Return one of the maps of every network on the same samples, with the data that are drawn.

    Args:
        shown: at least one network.
        kind: one of :data:`tutelage.runs.attention.MAPS`.
        title: what a screen reader says.
        class_names: C names.
    """
    count = min(SAMPLES, len(shown[0].found.index))
    # Of thousands of short lines nobody sees a bend below a pixel.
    with canvas(WIDTH, 40 + 100 * count) as figure, rc_context({"path.simplify_threshold": 1.0}):
        rows = paint_maps(figure, shown, kind, class_names)
        return finish(
            figure,
            f"attention-{kind}",
            title,
            ("stage", "sample", "class", "position", "value"),
            rows,
        )


def paint_maps(
    figure: Figure, shown: Sequence[Looked], kind: str, class_names: Sequence[str]
) -> Rows:
    """Draw the maps into a figure of any size; return what is drawn."""
    count = min(SAMPLES, len(shown[0].found.index))
    grid = figure.subplots(count, len(shown), squeeze=False)
    rows: Rows = []
    for column, one in enumerate(shown):
        grid[0, column].set_title(short(one.stage, 24 if len(shown) < MOST else 16))
        for row in range(count):
            axes, name = grid[row, column], class_names[one.found.labels[row]]
            values = one.found.maps[kind][row]
            _input(axes, one.found.inputs[row], values)
            if column == 0:
                axes.set_ylabel("\n".join(wrap(name, 12)[:2]), color=INK, fontsize=11)
            rows += _rows(one.stage, int(one.found.index[row]), name, values)
    return rows


def angle_figure(shown: Sequence[Looked]) -> Drawing:
    """Return the angles of all test samples, where networks look and elsewhere, with their data."""
    rows: Rows = []
    with canvas(WIDTH, 300) as figure:
        grid = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        degrees = np.arange(90)
        for axes, one in zip(grid, shown, strict=True):
            for name, counts, colour in (("where it looks", one.found.inside, ORANGE),
                                         ("elsewhere", one.found.outside, BLUE)):  # fmt: skip
                shares = 100 * counts / max(1, counts.sum())
                axes.fill_between(
                    degrees, shares, step="mid", color=colour, alpha=0.45, linewidth=0, label=name
                )
                axes.step(degrees, shares, where="mid", color=colour, linewidth=1.2)
                rows += [
                    [one.stage, name, int(d), int(n)] for d, n in zip(degrees, counts, strict=True)
                ]
            axes.set_title(f"{short(one.stage, 16)}   {one.gap:.1f}°")
            axes.set_xlabel("angle, degrees")
            axes.set_xlim(0, 90)
        grid[0].set_ylabel("% of positions")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        label = "Angular distributions of the last feature map of networks"
        return finish(
            figure, "attention-angles", label, ("stage", "where", "degrees", "positions"), rows
        )


def _input(axes: Axes, values: NDArray[np.float64], strength: NDArray[np.float64]) -> None:
    """Draw an input with colour where its map is high."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if values.ndim == 2:
        spread = np.maximum(values.std(axis=1, keepdims=True), 1e-9)
        heights = (values - values.mean(axis=1, keepdims=True)) / (4 * spread)
        heights -= np.arange(len(values))[:, None]
        ends = (-0.5, values.shape[1] - 0.5, heights.min(), heights.max())
        veil = np.empty((1, len(strength), 4))
        veil[..., :3], veil[..., 3] = to_rgb(ORANGE), 0.85 * strength
        axes.imshow(veil, aspect="auto", extent=ends, interpolation="none")
        axes.plot(heights.T, color=INK, linewidth=0.8)
        return
    grey = rgb(values).mean(axis=2)
    axes.imshow(grey, cmap="gray", interpolation="none")
    axes.imshow(strength, cmap="inferno", alpha=0.55, vmin=0, vmax=1, interpolation="none")


def _rows(stage: str, sample: int, name: str, values: NDArray[np.float64]) -> Rows:
    if values.ndim == 1:
        return [[stage, sample, name, place, float(value)] for place, value in enumerate(values)]
    rows = np.array_split(values, CELLS, axis=0)
    return [
        [stage, sample, name, f"{y}:{x}", float(cell.mean())]
        for y, band in enumerate(rows)
        for x, cell in enumerate(np.array_split(band, CELLS, axis=1))
        if cell.size
    ]
