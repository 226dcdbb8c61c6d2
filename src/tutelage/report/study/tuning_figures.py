"""What a search tried and what came out: a panel for each hyper-parameter, and a triangle for three weights."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish, save
from tutelage.report.drawing.heat import SEQUENTIAL
from tutelage.report.palette import BLUE, INK, LINE, MUTED, PAPER, VERMILLION
from tutelage.study.tune import Axis, Plateau, Setting, Tuning

METRICS = {"accuracy": "accuracy, %", "macro_f1": "macro-F1, %", "nll": "NLL, nats"}
PER_ROW = 3
GREY = "#9aa3b1"
_CORNERS = np.array([[0.5, np.sqrt(3) / 2], [0.0, 0.0], [1.0, 0.0]])


def shown(tuning: Tuning, value: float) -> float:
    """Return a value of the metric in the unit of the figures."""
    return value if tuning.metric == "nll" else 100 * value


def sweep(tuning: Tuning, plateau: Plateau, png: Path) -> Drawing:
    """Every setting that was trained to the end over each hyper-parameter, with the band of the plateau.

    Args:
        tuning: the search.
        plateau: its plateau.
        png: where the picture is written as well.
    """
    panels = [(axis, parameter) for axis in tuning.axes for parameter in _panels(axis)]
    columns = min(PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    with canvas(round(WIDTH * max(columns, 2) / PER_ROW), 40 + 270 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for number, (axes, (axis, parameter)) in enumerate(zip(grid.flat, panels, strict=False)):
            _panel(axes, tuning, plateau, axis, parameter)
            if number % columns == 0:
                axes.set_ylabel(f"validation {METRICS[tuning.metric]}")
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        _legend(figure, plateau)
        save(figure, png)
        return finish(figure, "settings", f"Settings of {tuning.stage} that were tried",
                      *_table(tuning, plateau))  # fmt: skip


def _panels(axis: Axis) -> tuple[str, ...]:
    """One panel for each part; of two parts the second tells both."""
    return axis.columns[1:] if len(axis.columns) == 2 else axis.columns


def _panel(axes: Axes, tuning: Tuning, plateau: Plateau, axis: Axis, parameter: str) -> None:
    names = [str(value) for value in axis.values]

    def x(setting: Setting) -> float:
        value = setting.values[parameter]
        return float(names.index(str(value)) if names else value)

    reference = shown(tuning, plateau.reference)
    if plateau.margin is not None:
        edge = shown(tuning, plateau.reference - tuning.sign * plateau.margin)
        axes.axhspan(edge, reference, color=BLUE, alpha=0.12, linewidth=0)
    axes.axhline(reference, color=BLUE, linewidth=1.2, dashes=(4, 2))
    for one in tuning.complete:
        inside = one in plateau.inside
        axes.scatter([x(one)], [shown(tuning, one.value or 0.0)], s=34, zorder=3, linewidths=0,
                     color=BLUE if inside else GREY)  # fmt: skip
    best = tuning.best
    if best is not None:
        axes.scatter([x(best)], [shown(tuning, best.value or 0.0)], s=120, zorder=4,
                     facecolors="none", edgecolors=VERMILLION, linewidths=2)  # fmt: skip
        if plateau.fresh and tuning.again is not None:
            values = [shown(tuning, one.value) for one in tuning.again.scores]
            axes.scatter([x(best)] * len(values), values, s=44, marker="_", color=VERMILLION,
                         zorder=5, linewidths=1.6)  # fmt: skip
    stopped = [x(one) for one in tuning.settings if one.state == "stopped early"]
    if stopped:  # an empty line has no extent, and the layout would collapse
        axes.plot(stopped, [0.02] * len(stopped), "|", color=MUTED, markersize=9, clip_on=False,
                  transform=axes.get_xaxis_transform())  # fmt: skip
    if axis.log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if names:
        axes.set_xticks(range(len(names)), names)
        axes.margins(x=0.25)
    axes.margins(y=0.12)
    axes.grid(axis="y")
    axes.set_xlabel(parameter.replace("distiller.", "").replace("stages.", ""))


def _legend(figure: Figure, plateau: Plateau) -> None:
    axes = figure.axes[0]
    handles = [
        axes.scatter([], [], s=34, color=BLUE, linewidths=0),
        axes.scatter([], [], s=34, color=GREY, linewidths=0),
        axes.scatter([], [], s=120, facecolors="none", edgecolors=VERMILLION, linewidths=2),
        axes.scatter([], [], s=44, marker="_", color=VERMILLION, linewidths=1.6),
        axes.scatter([], [], s=60, marker="|", color=MUTED),
    ]  # fmt: skip
    labels = ["on the plateau", "worse", "best of the search", "best, fresh seeds", "stopped early"]
    kept = [0, 1, 2, 3, 4] if plateau.margin is not None else [1, 2, 4]
    if plateau.margin is None:
        labels[1] = "tried"
    figure.legend([handles[i] for i in kept], [labels[i] for i in kept],
                  loc="outside upper left", ncols=5, columnspacing=1.2)  # fmt: skip


def ternary(tuning: Tuning, plateau: Plateau, axis: Axis, png: Path) -> Drawing:
    """Three weights that sum to one, as a triangle: colour is the metric, linear between the settings.

    The scale of colours spans at least the margin of the plateau: noise must not look like a landscape.

    Args:
        tuning: the search.
        plateau: its plateau.
        axis: with three parts.
        png: where the picture is written as well.
    """
    best = _best_at_each_point(tuning, axis)
    weights = np.array(
        [[float(one.values[parameter]) for parameter in axis.columns] for one in best]
    )
    values = np.array([shown(tuning, one.value or 0.0) for one in best])
    points = weights @ _CORNERS
    with canvas(620, 540) as figure:
        axes = figure.subplots()
        colours = _norm(tuning, plateau, values)
        if len(best) > 3 and np.linalg.matrix_rank(points - points[0], tol=1e-6) == 2:
            _heat(axes, tuning, plateau, points, values, colours)
        _frame(axes, axis)
        for one, point in zip(best, points, strict=True):
            _mark(axes, point, one in plateau.inside, one == tuning.best)
        stopped = [one for one in tuning.settings if one.state == "stopped early"]
        if stopped:
            at = np.array(
                [[float(one.values[parameter]) for parameter in axis.columns] for one in stopped]
            )
            x, y = (at @ _CORNERS).T
            for colour, size, width in ((PAPER, 44, 3.4), (INK, 30, 1.3)):
                axes.scatter(x, y, marker="x", s=size, color=colour, linewidths=width, zorder=4)
        scale = figure.colorbar(ScalarMappable(colours, SEQUENTIAL), ax=axes, shrink=0.72, pad=0.03)
        scale.set_label(f"validation {METRICS[tuning.metric]}", color=MUTED)
        scale.outline.set_visible(False)
        _ternary_legend(figure, axes, plateau, bool(stopped))
        save(figure, png)
        return finish(
            figure, png.stem, f"Weights of {', '.join(axis.parts)}", *_table(tuning, plateau)
        )


def _best_at_each_point(tuning: Tuning, axis: Axis) -> list[Setting]:
    """Keep the best of several settings with the same weights: other hyper-parameters may differ."""
    best: dict[tuple[float, ...], Setting] = {}
    for one in sorted(tuning.complete, key=lambda one: -tuning.sign * (one.value or 0.0)):
        best.setdefault(tuple(one.values[parameter] for parameter in axis.columns), one)
    return list(best.values())


def _norm(tuning: Tuning, plateau: Plateau, values: NDArray[np.float64]) -> Normalize:
    low, high = float(values.min()), float(values.max())
    least = shown(tuning, plateau.margin) if plateau.margin is not None else 0.0
    spare = max(0.0, least - (high - low), 1e-6) / 2
    return Normalize(low - spare, high + spare)


def _heat(
    axes: Axes,
    tuning: Tuning,
    plateau: Plateau,
    points: NDArray[np.float64],
    values: NDArray[np.float64],
    colours: Normalize,
) -> None:
    surface = Triangulation(points[:, 0], points[:, 1])
    axes.tripcolor(surface, values, shading="gouraud", cmap=SEQUENTIAL, norm=colours, zorder=1)
    if plateau.margin is None:
        return
    edge = shown(tuning, plateau.reference - tuning.sign * plateau.margin)
    if values.min() < edge < values.max():
        for colour, width, style in ((PAPER, 3.0, "solid"), (INK, 1.4, "dashed")):
            axes.tricontour(surface, values, levels=[edge], colors=[colour], linewidths=width,
                            linestyles=style, zorder=2)  # fmt: skip


def _frame(axes: Axes, axis: Axis) -> None:
    """Draw the triangle, its grid and the names of the corners."""
    closed = np.vstack([_CORNERS, _CORNERS[:1]])
    axes.plot(*closed.T, color=MUTED, linewidth=1.2, zorder=3)
    for share in (0.25, 0.5, 0.75):
        for k in range(3):
            a, b = np.zeros(3), np.zeros(3)
            a[k] = b[k] = share
            a[(k + 1) % 3] = b[(k + 2) % 3] = 1 - share
            ends = np.array([a, b]) @ _CORNERS
            axes.plot(*ends.T, color=LINE, linewidth=0.8, zorder=2, alpha=0.7)
    corners = [((0.5, 0.90), "center", "bottom"), ((-0.01, -0.06), "center", "top"),
              ((1.01, -0.06), "center", "top")]  # fmt: skip
    for (point, side, above), name in zip(corners, axis.parts, strict=True):
        axes.text(
            *point, f"{name} = 1", ha=side, va=above, color=INK, fontsize=13, fontweight="bold"
        )
    outward = [(-0.035, 0.02), (0.0, -0.04), (0.035, 0.02)]
    for k, (right, up) in enumerate(outward):  # along each edge the share of the corner it leads to
        for share in (0.25, 0.5, 0.75):
            x, y = share * _CORNERS[k] + (1 - share) * _CORNERS[(k + 1) % 3]
            axes.text(x + right, y + up, f"{share:g}", ha="center", va="center", color=MUTED,
                      fontsize=10)  # fmt: skip
    axes.set_aspect("equal")
    axes.set_axis_off()


def _mark(axes: Axes, point: NDArray[np.float64], inside: bool, best: bool) -> None:
    x, y = point
    if best:
        axes.scatter(
            x, y, s=230, marker="*", color=VERMILLION, edgecolors=PAPER, zorder=6, clip_on=False
        )
    elif inside:
        axes.scatter(
            x, y, s=40, color=PAPER, edgecolors=INK, linewidths=1.4, zorder=5, clip_on=False
        )
    else:
        axes.scatter(
            x, y, s=26, color=INK, edgecolors=PAPER, linewidths=0.9, zorder=5, clip_on=False
        )


def _ternary_legend(figure: Figure, axes: Axes, plateau: Plateau, stopped: bool) -> None:
    handles = [
        axes.scatter([], [], s=230, marker="*", color=VERMILLION),
        axes.scatter([], [], s=40, color=PAPER, edgecolors=INK, linewidths=1.4),
        axes.scatter([], [], s=26, color=INK, linewidths=0),
        axes.scatter([], [], marker="x", s=30, color=INK),
    ]  # fmt: skip
    labels = ["best", "on the plateau", "worse", "stopped early"]
    kept = [i for i in range(4) if (i < 3 or stopped) and (i != 1 or plateau.margin is not None)]
    figure.legend([handles[i] for i in kept], [labels[i] for i in kept],
                  loc="outside lower center", ncols=4)  # fmt: skip


def _table(tuning: Tuning, plateau: Plateau) -> tuple[list[str], list[list[object]]]:
    parameters = list(
        dict.fromkeys(parameter for axis in tuning.axes for parameter in axis.columns)
    )
    header = ["setting", "state", *parameters, tuning.metric, "on_plateau"]
    rows: list[list[object]] = [
        [one.number, one.state, *(one.values[parameter] for parameter in parameters),
         "" if one.value is None else one.value, int(one in plateau.inside)]
        for one in tuning.settings
    ]  # fmt: skip
    return header, rows
