"""Which run is shipped: one that was named, or the best on validation of a method of an experiment or a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.errors import UserError, unknown
from tutelage.export.refit import Refit
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.run import Run
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.ledger import StudyCell, StudyLedger, read_study

__all__ = ["ShippedRun", "find_source", "of_experiment"]


@dataclass(frozen=True)
class ShippedRun:
    """A run to ship, and what is known of its method.

    Args:
        experiment: it belongs to.
        run: the one whose network is shipped.
        siblings: every complete run of the same stage, the run among them.
        chosen: why this method, in words; empty where it was named.
        picked: why this run of the method; empty where it was named, or there is no other.
        refit: the network that is shipped instead, trained on everybody; None for the run's own.
    """

    experiment: Experiment
    run: Run
    siblings: tuple[Run, ...]
    chosen: str = ""
    picked: str = ""
    refit: Refit | None = None

    @property
    def shipped(self) -> Run:
        """The run whose network leaves the house."""
        return self.run if self.refit is None else self.refit.run

    @property
    def origin(self) -> Experiment:
        """The experiment that made it."""
        return self.experiment if self.refit is None else self.refit.experiment


def find_source(path: Path, method: str | None = None) -> ShippedRun:
    """Return what a path names: a run folder, or the best run of a method of an experiment or of a study.

    Args:
        path: the folder of a run, an experiment or a study.
        method: stage of the experiment; ``cell/stage`` or ``cell`` of a study. None takes the best on validation.

    Raises:
        UserError: nothing complete is there, or no such method.
    """
    if (path / "study.json").is_file():
        return _of_study(path, method)
    if (path / "experiment.json").is_file():
        return of_experiment(read_experiment(path), method)
    if (path / "run.json").is_file():
        return _of_run(path)
    raise UserError(f"{path}: is no folder of a run, an experiment or a study")


def _of_run(path: Path) -> ShippedRun:
    for folder in path.resolve().parents:
        if (folder / "experiment.json").is_file():
            experiment = read_experiment(folder)
            for run in experiment.runs:
                if run.folder.resolve() == path.resolve():
                    return ShippedRun(experiment, run, experiment.of(run.stage))
    raise UserError(f"{path}: no experiment.json above it lists it as a complete run")


def of_experiment(
    experiment: Experiment, method: str | None, compared: Sequence[str] | None = None
) -> ShippedRun:
    """Return the best run of a stage; of the best of those that are compared, where none is named."""
    stages = tuple(dict.fromkeys(run.stage for run in experiment.runs))
    if not stages:
        raise UserError(f"{experiment.folder}: no run is complete")
    if method is not None and method not in stages:
        raise unknown("--method", "method", method, stages)
    chosen = ""
    if method is None:
        method, chosen = _best_stage(experiment, compared or experiment.students)
    runs = experiment.of(method)
    run = max(runs, key=lambda run: _accuracy(run) or 0.0)
    best = "has the best validation accuracy" if _accuracy(run) else "is the first, unvalidated,"
    picked = f"fold {run.fold}, seed {run.seed} {best} of its {len(runs)} runs"
    return ShippedRun(experiment, run, runs, chosen, picked if len(runs) > 1 else "")


def _best_stage(experiment: Experiment, compared: Sequence[str]) -> tuple[str, str]:
    """Return the stage with the best validation accuracy of those that a device can run, and why.

    Raises:
        UserError: several are there, and validation compares none.
    """
    scores = _scores(experiment, compared)
    if not scores:
        raise UserError(
            f"{experiment.folder}: no student reads the {_sensed(experiment)} alone, and a device has nothing "
            "else (--method names another stage)"
        )
    if len(scores) == 1:
        return next(iter(scores)), ""
    if max(scores.values()) < 0:
        raise UserError(
            f"{experiment.folder}: nothing was validated, so nothing chooses a method (allowed: --method with "
            f"one of {', '.join(scores)})"
        )
    best = max(scores, key=lambda name: scores[name])
    return best, f"{best} has the best validation accuracy of {', '.join(scores)}"


def _scores(experiment: Experiment, stages: Sequence[str]) -> dict[str, float]:
    """Return the validation accuracy of stages that read what a device has; -1 where there is none."""
    scores = {}
    for name in stages:
        runs = [r for r in experiment.of(name) if r.record.data.modality == _sensed(experiment)]
        if runs:
            scores[name] = _level(runs)
    return scores


def _sensed(experiment: Experiment) -> str:
    """Return what a device has: the data set's own input."""
    return str(experiment.record.data["modality"])


def _accuracy(run: Run) -> float | None:
    evaluation = run.evaluations.get("validation")
    return None if evaluation is None else evaluation.accuracy


def _level(runs: Sequence[Run]) -> float:
    """Return the mean over folds of the validation accuracy; -1 without any."""
    values = {run.key: value for run in runs if (value := _accuracy(run)) is not None}
    return mean_of_folds(values) if values else -1.0


def _of_study(path: Path, method: str | None) -> ShippedRun:
    study = read_study(path)
    cells = {cell.name: cell for cell in study.cells if cell.experiment and cell.experiment.runs}
    if not cells:
        raise UserError(f"{path}: no cell has a complete run")
    name, _, stage = (method or "").partition("/")
    if name in cells:
        return _in_cell(cells[name], stage or None, study)
    having = {each: cell for each, cell in cells.items() if _has(cell, method, study)}
    if method is not None and (stage or not having):
        raise unknown("--method", "cell or stage", name, [*cells, *_stages(cells)])
    sources = {each: _in_cell(cell, method, study) for each, cell in having.items()}
    if not sources:
        raise UserError(
            f"{path}: no cell has a complete student that reads what a device has; run the study again"
        )
    best = max(sources, key=lambda each: _level(sources[each].siblings))
    if len(sources) > 1 and _level(sources[best].siblings) < 0:
        raise UserError(
            f"{path}: nothing was validated, so nothing chooses a cell (allowed: --method with one of "
            f"{', '.join(cells)})"
        )
    if len(sources) == 1:
        return sources[best]
    said = [f"cell {best} has the best validation accuracy of {len(sources)} cells"]
    if sources[best].chosen:
        said.append(f"in it {sources[best].chosen}")
    if study.missing:
        said.append(f"{len(study.missing)} runs or cells of the study are missing")
    return replace(sources[best], chosen="; ".join(said))


def _has(cell: StudyCell, stage: str | None, study: StudyLedger) -> bool:
    """Return whether a cell has complete runs of a stage, or of one that is compared where none is named."""
    assert cell.experiment is not None, "the cell has runs"
    return bool(cell.of(stage) if stage else _scores(cell.experiment, study.compared(cell)))


def _in_cell(cell: StudyCell, stage: str | None, study: StudyLedger) -> ShippedRun:
    assert cell.experiment is not None, "the cell has runs"
    return of_experiment(cell.experiment, stage, study.compared(cell))


def _stages(cells: Mapping[str, StudyCell]) -> list[str]:
    return list(
        dict.fromkeys(
            run.stage for cell in cells.values() if cell.experiment for run in cell.experiment.runs
        )
    )
