"""Quality against flash, with the front that nothing else beats."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish, save
from tutelage.report.palette import INK, MUTED, PAPER, SERIES
from tutelage.report.study.devices.data import DevicePoint

__all__ = ["device_figure"]

_HEADER = ("cell", "stage", "flash_bytes", "arena_bytes", "what", "low_or_value", "high", "front")


def device_figure(
    points: Sequence[DevicePoint], unit: str = "macro-F1", png: Path | None = None
) -> Drawing | None:
    """Draw shipped students: flash across, quality of the int8 file up; dots are runs.

    Args:
        points: of :func:`~tutelage.report.study.devices.data.device_points`.
        unit: what quality is.
        png: where the picture is written as well.

    Returns:
        The drawing with its numbers as CSV, or None where nothing was shipped.
    """
    if not points:
        return None
    stages = list(dict.fromkeys(point.stage for point in sorted(points, key=lambda p: p.stage)))
    with canvas(WIDTH, 460) as figure:
        axes = figure.subplots()
        axes.grid(True)
        _front(axes, points)
        sizes = [point.flash / 1000 for point in points]
        apart = max(0.05, (max(sizes) - min(sizes)) / 80)
        for number, stage in enumerate(stages):
            mine = [point for point in points if point.stage == stage]
            shift = (number - (len(stages) - 1) / 2) * apart
            _series(axes, mine, SERIES[number % len(SERIES)], stage, shift)
        axes.set_ylim(*_limits(points))
        _names(axes, points)
        axes.set_xlabel("flash of the int8 file in kB")
        axes.set_ylabel(f"{unit} of the int8 file on test subjects in %")
        figure.legend(loc="outside upper left", ncols=len(stages) + 1)
        if png is not None:
            save(figure, png)
        label = f"{unit} of shipped int8 files against their flash, with 95 % intervals"
        return finish(figure, "devices", label, _HEADER, _rows(points))


def _limits(points: Sequence[DevicePoint]) -> tuple[float, float]:
    """Return what is shown of quality: all runs; the bar of very few runs may go on beyond."""
    runs = [100 * value for point in points for value in point.values.values()]
    return max(0.0, min(runs) - 4), min(100.5, max(runs) + 4)


def _series(
    axes: Axes, points: Sequence[DevicePoint], colour: str, stage: str, shift: float
) -> None:
    """Draw a stage; ``shift`` in kB keeps stages of one size apart."""
    for number, point in enumerate(points):
        across = point.flash / 1000 + shift
        runs = [100 * value for value in point.values.values()]
        axes.plot([across] * len(runs), runs, "o", color=colour, alpha=0.28, markersize=4)
        if point.again is not None:
            ends = [100 * point.again.low, 100 * point.again.high]
            axes.plot([across] * 2, ends, color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(
            across, 100 * point.mean, "o", color=colour if point.front else PAPER,
            markeredgecolor=colour, markeredgewidth=2, markersize=9, zorder=4,
            label=stage if number == 0 else None,
        )  # fmt: skip


def _names(axes: Axes, points: Sequence[DevicePoint]) -> None:
    """Name each cell once, above its students."""
    for cell in dict.fromkeys(point.cell for point in points):
        mine = [point.flash / 1000 for point in points if point.cell == cell]
        axes.annotate(
            cell, (sum(mine) / len(mine), 1), (0, -6), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", color=INK, fontsize=11.5,
        )  # fmt: skip


def _front(axes: Axes, points: Sequence[DevicePoint]) -> None:
    """Draw the front as a staircase: what a given flash buys."""
    front = sorted((point.flash / 1000, 100 * point.mean) for point in points if point.front)
    across, up = zip(*front, strict=True)
    axes.step(
        across, up, where="post", color=MUTED, linewidth=1.2, linestyle=(0, (3, 3)),
        label="front (filled): nothing else is better with as little flash", zorder=1,
    )  # fmt: skip


def _rows(points: Sequence[DevicePoint]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for point in points:
        which = (point.cell, point.stage, point.flash, point.arena or "")
        rows.append((*which, "mean", point.mean, "", point.front))
        if point.again is not None:
            rows.append((*which, "95 %, these folds again", point.again.low, point.again.high, ""))
        rows += [
            (*which, f"fold {fold} seed {seed}", value, "", "")
            for (fold, seed), value in point.values.items()
        ]
    return rows
