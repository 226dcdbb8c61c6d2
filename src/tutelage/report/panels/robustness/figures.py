"""Curves over severity, one panel for each kind of damage: accuracies, and differences to the baseline."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.epochs import DASHED, Look
from tutelage.report.palette import MUTED, SERIES
from tutelage.report.panels.robustness.data import DamagePoint, curve, gain_curve
from tutelage.report.wording import short
from tutelage.runs.ledger import Experiment

PER_ROW = 4
MOST = len(SERIES)
"""Lines in a panel; more could not be told apart."""
HEADER = ("corruption", "severity", "amount", "stage", "mean", "low", "high", "runs")

Curve = Callable[[Experiment, str, str], list[DamagePoint]]


def accuracies(experiment: Experiment, stages: Sequence[str], look: Mapping[str, Look]) -> Drawing:
    """Draw the accuracy of each stage over severity; band: its 95 % interval, of the question that decides."""
    label = "Accuracy over severity of damage, one panel for each kind"
    return _panels(
        experiment,
        {stage: look[stage] for stage in stages},
        curve,
        "robustness",
        "accuracy, %",
        label,
    )


def gains(experiment: Experiment, stages: Sequence[str], look: Mapping[str, Look]) -> Drawing:
    """Draw each student minus the baseline over severity; band: the 95 % interval that decides."""
    label = "Difference to the baseline over severity of damage, one panel for each kind"
    across = f"minus {short(experiment.record.baseline)}, points"
    return _panels(
        experiment,
        {stage: look[stage] for stage in stages},
        gain_curve,
        "robustness-gains",
        across,
        label,
    )


def looks_of(experiment: Experiment, stages: Sequence[str]) -> dict[str, Look]:
    """Give each stage one colour in all panels; teachers are dashed."""
    order = [*experiment.students, *experiment.teachers]
    numbered = {
        name: number for number, name in enumerate(name for name in order if name in stages)
    }
    return {
        name: (SERIES[number % MOST], "-" if name in experiment.students else DASHED)
        for name, number in numbered.items()
    }


def _panels(
    experiment: Experiment,
    look: Mapping[str, Look],
    points: Curve,
    name: str,
    axis: str,
    label: str,
) -> Drawing:
    assert experiment.asked is not None, "damage was asked for"
    kinds = list(experiment.asked.corruptions)
    columns = min(PER_ROW, len(kinds))
    rows = -(-len(kinds) // columns)
    drawn: list[tuple[object, ...]] = []
    with canvas(WIDTH, 62 + 214 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, kind in zip(grid.flat, kinds, strict=False):
            for stage in look:
                drawn += _line(
                    axes, experiment, points(experiment, stage, kind), (kind, stage), look
                )
            _dress(axes, kind, experiment.asked.severities)
        for axes in grid.flat[len(kinds) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel(axis)
        for at in range(columns):  # the lowest panel that is shown
            grid[(len(kinds) - 1 - at) // columns, at].set_xlabel("severity")
            grid[(len(kinds) - 1 - at) // columns, at].tick_params(labelbottom=True)
        _legend(figure, grid[0, 0])
        return finish(figure, name, label, HEADER, drawn)


def _line(
    axes: Axes, experiment: Experiment, points: Sequence[DamagePoint], of: tuple[str, str],
    look: Mapping[str, Look],
) -> list[tuple[object, ...]]:  # fmt: skip
    """Draw one stage; return what is drawn, in percent."""
    kind, stage = of
    colour, style = look[stage]
    x = np.array([point.severity for point in points])
    mean = np.array([100 * point.mean for point in points])
    ends = [(point.mean, point.mean) if point.interval is None
            else (point.interval.low, point.interval.high) for point in points]  # fmt: skip
    low, high = (100 * np.array(side) for side in zip(*ends, strict=True))
    axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
    axes.plot(
        x, mean, color=colour, linestyle=style, marker="o", markersize=3.6, label=short(stage)
    )
    assert experiment.asked is not None, "damage was asked for"
    amounts = dict(
        zip(experiment.asked.severities, experiment.asked.corruptions[kind].amounts, strict=True)
    )
    return [
        (kind, point.severity, amounts.get(point.severity, "none"), stage, 100 * point.mean,
         "" if point.interval is None else 100 * point.interval.low,
         "" if point.interval is None else 100 * point.interval.high, point.runs)
        for point in points
    ]  # fmt: skip


def _dress(axes: Axes, kind: str, severities: Sequence[int]) -> None:
    axes.set_title(short(kind, 24))
    axes.grid(axis="y")
    axes.set_xticks([0, *severities], ["none", *map(str, severities)])
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0, color=MUTED, linewidth=1)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=MOST)
