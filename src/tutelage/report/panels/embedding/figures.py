"""Maps of the last features: one column for each network, t-SNE above, principal components below."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import INK, MUTED, SERIES
from tutelage.report.panels.embedding.data import StageMap
from tutelage.report.wording import percent, short

MOST = 5
"""Networks in the figure."""
DOTS = 400
"""Samples of a map that are drawn; more only hide one another, and make the page slow."""
HEADER = ("stage", "fold", "seed", "map", "sample", "class", "x", "y")

_MARKERS = ("o", "^", "s", "D", "v", "P")
_LEGEND = len(SERIES) * len(_MARKERS)  # classes that colour and shape tell apart

Rows = list[tuple[object, ...]]


def embedding_maps(shown: Sequence[StageMap], class_names: Sequence[str]) -> Drawing:
    """Return the figure with the data that are drawn.

    Args:
        shown: at least one map, all of the same samples.
        class_names: C names.
    """
    present = len(np.unique(shown[0].found.labels))
    lines = 0 if present > _LEGEND else -(-present // 6)
    with canvas(WIDTH, 60 + 2 * round(WIDTH / max(3, len(shown))) + 20 * lines) as figure:
        rows = paint_maps(figure, shown, class_names)
        label = "The last features of networks on the same test samples, in two dimensions"
        return finish(figure, "embedding", label, HEADER, rows)


def paint_maps(figure: Figure, shown: Sequence[StageMap], class_names: Sequence[str]) -> Rows:
    """Draw the maps into a figure of any size and return what is drawn, in the order of ``HEADER``."""
    grid = figure.subplots(2, len(shown), squeeze=False)
    rows: Rows = []
    for column, one in enumerate(shown):
        explained = percent(sum(one.found.header.explained), 0)
        kinds = {"t-SNE": one.found.tsne, f"PCA, {explained} % of variance": one.found.pca}
        for axes, (kind, points) in zip(grid[:, column], kinds.items(), strict=True):
            assert points is not None, "only maps by t-SNE are shown"
            rows += _map(axes, one, points, class_names, kind.partition(",")[0])
            axes.set_xlabel(kind)
        grid[0, column].set_title(short(one.stage, 24 if len(shown) < MOST else 16))
        axes = grid[0, column]
        axes.text(1, 1.02, f"V {one.found.header.scores.v_score:.2f}", ha="right", va="bottom",
                  transform=axes.transAxes, color=MUTED)  # fmt: skip
    _legend(figure, grid[0, 0])
    return rows


def _map(
    axes: Axes,
    one: StageMap,
    points: NDArray[np.float64],
    class_names: Sequence[str],
    kind: str,
) -> Rows:
    found = one.found
    drawn = np.linspace(0, len(found.index) - 1, min(DOTS, len(found.index))).astype(int)
    numbers = np.unique(found.labels)
    for place, number in enumerate(numbers):
        mine = drawn[found.labels[drawn] == number]
        axes.plot(
            *points[mine].T, linestyle="", marker=_MARKERS[place // len(SERIES) % len(_MARKERS)],
            color=SERIES[place % len(SERIES)], markersize=3.4, markeredgewidth=0, alpha=0.75,
            label=short(class_names[number], 22),
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    return [
        (one.stage, one.fold, one.seed, kind, int(found.index[i]), class_names[found.labels[i]],
         float(points[i, 0]), float(points[i, 1]))
        for i in drawn
    ]  # fmt: skip


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) <= _LEGEND:
        figure.legend(handles, labels, loc="outside upper left", ncols=6, markerscale=1.8, labelcolor=INK,
                      handletextpad=0.1, columnspacing=1.2)  # fmt: skip
