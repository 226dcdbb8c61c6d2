"""What an objective reached in training beside what the student then reads: lower is not always better."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from scipy.stats import spearmanr

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.epochs import looks
from tutelage.report.palette import INK
from tutelage.report.wording import listed, minus, short
from tutelage.runs.ledger import Experiment
from tutelage.runs.run import Run

PER_ROW = 3
FEWEST = 4  # runs: fewer dots show nothing
_WIDE = 20  # times the lowest: from there on the axis is logarithmic


@dataclass(frozen=True)
class Reached:
    """An objective of one kind over the runs that were trained by it.

    Args:
        objective: its name in the recipe.
        stages: of each run, [n].
        keys: fold and seed of each run, [n].
        loss: of the objective on training samples in the epoch that was kept, unweighted, [n].
        accuracy: on test samples, in [0, 1], [n].
    """

    objective: str
    stages: tuple[str, ...]
    keys: tuple[tuple[str, int], ...]
    loss: np.ndarray
    accuracy: np.ndarray

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of loss and accuracy over all runs."""
        return float(spearmanr(self.loss, self.accuracy).statistic)


def reached(experiment: Experiment) -> tuple[Reached, ...]:
    """Return every objective but labels that enough runs recorded, whichever stage they belong to.

    Objectives of one name and another class are apart: their losses have nothing in common.
    """
    found: dict[tuple[str, str], list[tuple[Run, float]]] = defaultdict(list)
    for stage in experiment.students:
        for run in experiment.of(stage):
            for (name, kind), loss in _losses(run).items():
                found[name, kind].append((run, loss))
    return tuple(
        made for (name, _), pairs in found.items() if (made := _reached(name, pairs)) is not None
    )


def _reached(name: str, pairs: list[tuple[Run, float]]) -> Reached | None:
    loss = np.array([loss for _, loss in pairs])
    accuracy = np.array([run.evaluations["test"].accuracy for run, _ in pairs])
    if len(pairs) < FEWEST or np.ptp(loss) == 0 or np.ptp(accuracy) == 0:
        return None
    runs = [run for run, _ in pairs]
    return Reached(
        name, tuple(run.stage for run in runs), tuple(run.key for run in runs), loss, accuracy
    )


def _losses(run: Run) -> dict[tuple[str, str], float]:
    """Return name and kind -> what each objective but labels reached in the epoch that was kept."""
    config, kept = run.record.config, run.record.selected
    objectives = config.get("distiller") if isinstance(config, Mapping) else None
    if kept is None or not isinstance(objectives, Mapping) or "test" not in run.evaluations:
        return {}
    train = next((epoch.train for epoch in run.curve() if epoch.epoch == kept.epoch), {})
    return {
        (name, _kind(described)): float(value)
        for name, described in objectives.items()
        if _kind(described) not in ("", "Labels")
        and (value := train.get(name)) is not None
        and np.isfinite(value)
    }


def _kind(described: object) -> str:
    """Return the classes of an objective and of its term."""
    if isinstance(described, str):
        return described
    if not isinstance(described, Mapping):
        return ""
    return " ".join(filter(None, (str(described.get("type", "")), _kind(described.get("term")))))


def sentence(found: tuple[Reached, ...]) -> str:
    """Say how loss and accuracy go together, and that this is no proof of a cause."""
    told = [
        f"{each.objective} {minus(each.correlation, 2)} ({len(each.loss)} runs)" for each in found
    ]
    return (
        f"Rank correlation (Spearman) of loss and accuracy over runs: {listed(told)}. Folds, seeds and methods "
        "are mixed, so it says what goes together, not what causes what."
    )


def against_accuracy(found: tuple[Reached, ...]) -> Drawing:
    """Draw a dot of each run, a panel of each objective."""
    look = looks(stage for each in found for stage in each.stages)
    columns = min(PER_ROW, len(found))
    rows = -(-len(found) // columns)
    with canvas(WIDTH, 60 + 230 * rows) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes, each in zip(grid.flat, found, strict=False):
            _dots(axes, each, {stage: colour for stage, (colour, _) in look.items()})
        for axes in grid.flat[len(found) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel("test accuracy, %")
        marks = [grid[0, 0].scatter([], [], s=44, color=colour) for colour, _ in look.values()]
        figure.legend(marks, [short(stage) for stage in look], loc="outside upper left", ncols=7)
        drawn = [
            (each.objective, stage, fold, seed, loss, 100 * accuracy)
            for each in found
            for stage, (fold, seed), loss, accuracy in zip(
                each.stages, each.keys, each.loss, each.accuracy, strict=True
            )
        ]
        header = ("objective", "stage", "fold", "seed", "loss", "accuracy_percent")
        return finish(figure, "curves-against", "Loss of each objective against test accuracy, a dot of each run",
                      header, drawn)  # fmt: skip


def _dots(axes: Axes, each: Reached, colours: Mapping[str, str]) -> None:
    axes.scatter(each.loss, 100 * each.accuracy, s=44, alpha=0.8, linewidth=0,
                 color=[colours[stage] for stage in each.stages])  # fmt: skip
    if each.loss.min() > 0 and each.loss.max() / each.loss.min() > _WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axes.grid(axis="y")
    axes.set_title(short(each.objective))
    axes.annotate(
        f"rank correlation {minus(each.correlation, 2)}", (1, 1), xycoords="axes fraction", xytext=(0, 6),
        textcoords="offset points", ha="right", fontsize=11, color=INK, alpha=0.55,
    )  # fmt: skip
    axes.set_xlabel("loss in training, unweighted")
