"""Confusion and difference matrices that stay readable with many classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import Drawing, canvas, finish
from tutelage.report.drawing.heat import DIVERGING, NUMBERS_UP_TO, SEQUENTIAL, ink_on
from tutelage.report.palette import INK
from tutelage.report.wording import minus, short
from tutelage.runs.run import Run

NAMES_UP_TO = 50


def counts(runs: Sequence[Run]) -> NDArray[np.int64]:
    """Sum of the confusion counts over runs, rows = true class."""
    counted = [run.evaluations["test"].confusion for run in runs]
    total: NDArray[np.int64] = np.asarray(counted, dtype=np.int64).sum(axis=0)
    return total


def row_percent(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Percent of each true class; a class without samples gives NaN."""
    total = confusion.sum(axis=1, keepdims=True)
    return np.where(total > 0, 100 * confusion / np.maximum(total, 1), np.nan)


def confusion(runs: Sequence[Run], names: Sequence[str]) -> Drawing:
    """The confusion matrix of some runs, in percent of the true class."""
    counted = counts(runs)
    values = row_percent(counted)
    with canvas(*_size(names)) as figure:
        axes = figure.subplots()
        _matrix(axes, values, names, Normalize(0, 100), SEQUENTIAL)
        rows = [
            (names[i], names[j], int(counted[i, j]), float(values[i, j]))
            for i in range(len(names))
            for j in range(len(names))
        ]
        label = f"Confusion matrix of {runs[0].stage}"
        return finish(figure, "confusion", label, ("true", "predicted", "count", "percent"), rows)


def difference(mine: Sequence[Run], other: Sequence[Run], names: Sequence[str]) -> Drawing:
    """Confusion of some runs minus that of the matched baseline runs, in points."""
    values = row_percent(counts(mine)) - row_percent(counts(other))
    reach = max(float(np.nanmax(np.abs(values), initial=0.0)), 1.0)
    with canvas(*_size(names)) as figure:
        axes = figure.subplots()
        colours = _good_is_blue(values)
        _matrix(axes, values, names, TwoSlopeNorm(0, -reach, reach), DIVERGING, colours)
        rows = [
            (names[i], names[j], float(values[i, j]))
            for i in range(len(names))
            for j in range(len(names))
        ]
        label = f"Confusion of {mine[0].stage} minus {other[0].stage}"
        return finish(figure, "difference", label, ("true", "predicted", "points"), rows)


def _good_is_blue(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flip the sign off the diagonal: fewer mistakes are as good as more hits."""
    return np.where(np.eye(len(values), dtype=bool), values, -values)


def _size(names: Sequence[str]) -> tuple[int, int]:
    many = len(names)
    cell = 58 if many <= 6 else 50 if many <= 8 else 46 if many <= NUMBERS_UP_TO else 900 / many
    margin = 26 + min(158, 7.2 * max(len(short(name, 22)) for name in names))
    side = round(cell * many + margin)
    return side, side - 4


def _matrix(
    axes: Axes,
    values: NDArray[np.float64],
    names: Sequence[str],
    norm: Normalize,
    colours: LinearSegmentedColormap,
    painted: NDArray[np.float64] | None = None,
) -> None:
    many = len(names)
    painted = values if painted is None else painted
    edge = 1.4 if many <= NUMBERS_UP_TO else 0
    axes.pcolormesh(painted, cmap=colours, norm=norm, edgecolors="none" if not edge else "#ffffff",
                    linewidth=edge, rasterized=many > NAMES_UP_TO)  # fmt: skip
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.tick_params(length=0, labelcolor=INK, labelsize=11 if many > 8 else 12)
    for spine in axes.spines.values():
        spine.set_visible(False)
    shown = [short(name, 22) for name in names] if many <= NAMES_UP_TO else []
    middles = [i + 0.5 for i in range(len(shown))]
    axes.set_yticks(middles, shown)
    turn = 0 if many <= 8 and max(len(name) for name in names) <= 7 else 45
    axes.set_xticks(middles, shown, rotation=turn, ha="right" if turn else "center",
                    rotation_mode="anchor")  # fmt: skip
    axes.set_ylabel("true class")
    axes.set_xlabel("predicted class")
    if many <= NUMBERS_UP_TO:
        _numbers(axes, values, painted, norm, colours)


def _numbers(
    axes: Axes,
    values: NDArray[np.float64],
    painted: NDArray[np.float64],
    norm: Normalize,
    colours: LinearSegmentedColormap,
) -> None:
    size = 13 if len(values) <= 8 else 11
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value) or round(abs(value), 1 if len(values) <= 8 else 0) == 0:
            continue
        text = minus(value, 1 if len(values) <= 8 and abs(value) < 99.95 else 0)
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=size,
                  color=ink_on(colours(norm(painted[i, j]))))  # fmt: skip
