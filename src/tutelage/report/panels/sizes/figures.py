"""Parameters and multiply-adds of every network, on logarithmic axes."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import BLUE, INK, LINE, ORANGE
from tutelage.report.wording import human, short
from tutelage.runs.ledger import Experiment


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
