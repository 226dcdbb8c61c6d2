"""Learning curves, one panel per stage."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION
from tutelage.report.wording import plural, short
from tutelage.runs.ledger import Experiment

COLOURS = {"train": ORANGE, "validation": BLUE, "test": VERMILLION}
OBJECTIVES = (GREEN, PURPLE, SKY, VERMILLION)
NOT_OBJECTIVES = {"loss", "accuracy", "macro_f1", "classes_predicted"}
PER_ROW = 4


def learning_curves(experiment: Experiment, frame: pd.DataFrame, metric: str) -> Drawing | None:
    """Mean over folds and seeds with the band from lowest to highest run.

    Args:
        experiment: gives the order of the stages.
        frame: from ``curves_frame``.
        metric: ``accuracy`` or ``loss``; beside the loss every objective is drawn, unweighted.
    """
    mine = frame[frame["metric"] == metric].dropna(subset=["value"])
    logged = set(mine["stage"])
    stages = [s for s in (*experiment.teachers, *experiment.students) if s in logged]
    if not stages:
        return None
    columns = min(PER_ROW, len(stages))
    rows = -(-len(stages) // columns)
    with canvas(WIDTH, 46 + 198 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=False, sharey=metric == "accuracy",
                               squeeze=False)  # fmt: skip
        drawn: list[list[object]] = []
        for axes, stage in zip(grid.flat, stages, strict=False):
            drawn += _panel(axes, frame[frame["stage"] == stage], stage, metric)
        for axes in grid.flat[len(stages) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel("accuracy, %" if metric == "accuracy" else "loss, nats")
        _legend(figure, list(grid.flat[: len(stages)]))
        return finish(
            figure,
            f"curves-{metric}",
            f"Learning curves, {metric}, one panel per stage",
            ("stage", "curve", "epoch", "mean", "lowest", "highest", "runs"),
            drawn,
        )


def _panel(axes: Axes, frame: pd.DataFrame, stage: str, metric: str) -> list[list[object]]:
    scale = 100 if metric == "accuracy" else 1
    drawn: list[list[object]] = []
    for split, colour in COLOURS.items():
        part = frame[(frame["split"] == split) & (frame["metric"] == metric)]
        drawn += _band(axes, part, split, colour, scale, stage)
    if metric == "loss":
        train = frame[frame["split"] == "train"]
        names = [str(m) for m in train["metric"].unique() if m not in NOT_OBJECTIVES]
        for name, colour in zip(names if len(names) > 1 else [], OBJECTIVES, strict=False):
            part = train[train["metric"] == name]
            drawn += _band(axes, part, name, colour, 1, stage, style=(0, (3, 1.6)))
    runs = frame.groupby(["fold", "seed"]).ngroups
    axes.set_title(short(stage))
    axes.annotate(plural(runs, "run"), (1, 1), xycoords="axes fraction", xytext=(0, 6),
                  textcoords="offset points", ha="right", fontsize=11, color=INK, alpha=0.55)  # fmt: skip
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("epoch")
    return drawn


def _band(
    axes: Axes,
    part: pd.DataFrame,
    name: str,
    colour: str,
    scale: float,
    stage: str,
    style: str | tuple[float, tuple[float, ...]] = "-",
) -> list[list[object]]:
    if part.empty:
        return []
    grouped = part.groupby("epoch")["value"].agg(["mean", "min", "max", "count"]).reset_index()
    epochs = grouped["epoch"].to_numpy()
    mean, low, high = (scale * grouped[key].to_numpy() for key in ("mean", "min", "max"))
    axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(epochs, mean, color=colour, label=name, linestyle=style)
    counts = grouped["count"].to_numpy()
    return [[stage, name, *row] for row in zip(epochs, mean, low, high, counts, strict=True)]


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    entries: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(list(entries.values()), list(entries), loc="outside upper left", ncols=7)
