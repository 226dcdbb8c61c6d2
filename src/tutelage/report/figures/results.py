"""The answer as pictures: differences, honest against legacy, sizes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from tutelage.report.figures.draw import (
    WIDTH,
    Drawing,
    canvas,
    finish,
)
from tutelage.report.palette import (
    BLUE,
    INK,
    LINE,
    MUTED,
    ORANGE,
    PAPER,
    VERDICTS,
    VERMILLION,
)
from tutelage.report.table import Table
from tutelage.report.wording import human, short, signed
from tutelage.runs.ledger import Experiment
from tutelage.study.comparison import Comparison


def forest(comparisons: Sequence[Comparison]) -> Drawing:
    """Paired differences with both intervals and every pair."""
    shown = [one for one in comparisons if one.retrained.n]
    rows: list[list[object]] = []
    with canvas(WIDTH, 76 + 64 * len(shown)) as figure:
        axes = figure.subplots()
        for y, one in enumerate(shown):
            rows += _forest_row(axes, y, one)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_yticks(range(len(shown)), [short(one.student) for one in shown])
        axes.tick_params(axis="y", length=0, labelsize=13, labelcolor=INK)
        axes.set_ylim(len(shown) - 0.45, -0.6)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"difference to {short(shown[0].baseline)}, points of accuracy")
        return finish(figure, "forest", "Paired differences to the baseline with 95 % intervals",
                      ("student", "what", "low_or_value", "high"), rows)  # fmt: skip


def _forest_row(axes: Axes, y: int, one: Comparison) -> list[list[object]]:
    pairs, colour = one.retrained, VERDICTS[one.retrained.verdict]
    rows: list[list[object]] = [[one.student, "difference", 100 * pairs.mean, ""]]
    values = [
        100 * (mine.evaluations["test"].accuracy - other.evaluations["test"].accuracy)
        for mine, other in one.pairs
    ]
    rows += [[one.student, f"pair {mine.key[0]} seed {mine.key[1]}", value, ""]
             for (mine, _), value in zip(one.pairs, values, strict=True)]  # fmt: skip
    lines = [("these subjects", pairs.t, 0.0, 7.0, 1.0)]
    if one.subjects is not None:
        lines.append(("new subjects", one.subjects.interval, 0.20, 2.2, 0.9))
    for name, interval, offset, width, alpha in lines:
        if interval is None:
            continue
        ends = [100 * interval.low, 100 * interval.high]
        rows.append([one.student, name, *ends])
        axes.plot(ends, [y + offset] * 2, color=colour, linewidth=width, alpha=alpha,
                  solid_capstyle="round")  # fmt: skip
    jitter = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(values, y - 0.26 + jitter, s=16, color=MUTED, alpha=0.55, linewidths=0)
    axes.scatter([100 * pairs.mean], [y], s=62, color=PAPER, edgecolors=colour, linewidths=2.4,
                 zorder=4)  # fmt: skip
    axes.annotate(
        f"{signed(100 * pairs.mean)}, {pairs.verdict}",
        (1.0, y), xycoords=("axes fraction", "data"), xytext=(14, 0), textcoords="offset points",
        va="center", color=colour if pairs.verdict != "not distinguishable" else MUTED,
        fontsize=12, fontweight="bold",
    )  # fmt: skip
    return rows


def legacy_gap(table: Table) -> Drawing:
    """Honest and legacy accuracy of every stage, joined by their gap."""
    rows: list[list[object]] = []
    with canvas(WIDTH, 70 + 38 * len(table.rows)) as figure:
        axes = figure.subplots()
        for y, row in enumerate(table.rows):
            name, honest, legacy, gap = row.cells
            a, b = 100 * float(honest.value or 0), 100 * float(legacy.value or 0)
            rows.append([name.text, a, b])
            axes.plot([a, b], [y, y], color=LINE, linewidth=6, solid_capstyle="round")
            axes.scatter([a], [y], s=58, color=BLUE, zorder=3, label="on validation (honest)")
            axes.scatter([b], [y], s=58, color=PAPER, edgecolors=VERMILLION, linewidths=2.2,
                         zorder=3, label="on the test split (legacy)")  # fmt: skip
            axes.annotate(gap.text, (max(a, b), y), xytext=(12, 0), textcoords="offset points",
                          va="center", color=MUTED, fontsize=11.5)  # fmt: skip
        axes.set_yticks(range(len(table.rows)), [short(row.cells[0].text) for row in table.rows])
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=12)
        axes.set_ylim(len(table.rows) - 0.4, -0.6)
        axes.margins(x=0.08)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("test accuracy, %, by where the epoch was chosen")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[:2], labels[:2], loc="outside upper left", ncols=2)
        return finish(figure, "legacy", "Accuracy under the honest and the legacy protocol",
                      ("stage", "honest_percent", "legacy_percent"), rows)  # fmt: skip


def sizes(experiment: Experiment) -> Drawing:
    """Parameters and multiply-adds of every network, on logarithmic axes."""
    stages = [s for s in (*experiment.teachers, *experiment.students) if experiment.of(s)]
    networks = [experiment.of(stage)[0].record.network for stage in stages]
    colours = [BLUE if stage in experiment.students else ORANGE for stage in stages]
    with canvas(WIDTH, 80 + 32 * len(stages)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        _dots(left, [network.parameters for network in networks], colours, "parameters")
        macs = [network.macs or 0 for network in networks]
        _dots(right, macs, colours, "multiply-adds of one window")
        left.set_yticks(range(len(stages)), [short(stage) for stage in stages])
        left.tick_params(axis="y", labelcolor=INK, labelsize=12)
        left.set_ylim(len(stages) - 0.4, -0.6)
        marks = [left.scatter([], [], s=58, color=ORANGE), left.scatter([], [], s=58, color=BLUE)]
        figure.legend(marks, ["teacher", "student"], loc="outside upper left", ncols=2)
        rows = [(s, n.parameters, n.macs) for s, n in zip(stages, networks, strict=True)]
        return finish(figure, "sizes", "Parameters and multiply-adds of teachers and student",
                      ("stage", "parameters", "macs"), rows)  # fmt: skip


def _dots(axes: Axes, values: Sequence[int], colours: Sequence[str], label: str) -> None:
    known = [value for value in values if value > 0]
    axes.set_xscale("log")
    if known:
        axes.set_xlim(min(known) / 2.2, max(known) * 6)
        for y, (value, colour) in enumerate(zip(values, colours, strict=True)):
            if value > 0:
                axes.plot([min(known) / 2.2, value], [y, y], color=LINE, linewidth=2)
                axes.scatter([value], [y], s=58, color=colour, zorder=3)
                axes.annotate(human(value), (value, y), xytext=(10, 0), va="center",
                              textcoords="offset points", fontsize=11.5, color=INK)  # fmt: skip
    axes.set_xlabel(f"{label} (logarithmic)")
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: human(round(value)))
