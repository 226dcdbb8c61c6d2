"""What is shipped: one run of a stage, with its data, its predictions and the runs beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage.data import DataSet
from tutelage.errors import UserError, unknown
from tutelage.execution.data_cache import DataCache
from tutelage.export.facts import ModelFacts
from tutelage.export.lite import balanced
from tutelage.export.models import Floats, Model
from tutelage.export.onnx import Scores
from tutelage.export.package import ReferenceWindows
from tutelage.models import On
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec
from tutelage.recipe.networks import load_network
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.run import Run
from tutelage.study.comparison import best_student
from tutelage.study.ledger import read_study

__all__ = ["RunModel", "ShippedRun", "evidence_of", "facts_of", "find_source", "load_run"]

SHOWN = 300
"""Training windows that quantisation looks at."""


@dataclass(frozen=True)
class ShippedRun:
    """A run to ship, and what is known of its method.

    Args:
        experiment: it belongs to.
        run: the one whose network is shipped.
        siblings: every complete run of the same stage, the run among them.
        chosen: why this run, in words; empty where it was named.
    """

    experiment: Experiment
    run: Run
    siblings: tuple[Run, ...]
    chosen: str = ""


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
        return _of_experiment(read_experiment(path), method)
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


def _of_experiment(experiment: Experiment, method: str | None, label: str = "") -> ShippedRun:
    stages = tuple(dict.fromkeys(run.stage for run in experiment.runs))
    if not stages:
        raise UserError(f"{experiment.folder}: no run is complete")
    stage = method or best_student(experiment) or experiment.record.baseline
    if stage not in stages:
        raise unknown("--method", "method", stage, stages)
    runs = experiment.of(stage)

    def validation(run: Run) -> float:
        evaluation = run.evaluations.get("validation")
        return -1.0 if evaluation is None else evaluation.accuracy

    run = max(runs, key=validation)
    chosen = "" if method else f"{stage} has the best validation accuracy of all students"
    if len(runs) > 1:
        best = f"fold {run.fold}, seed {run.seed} has the best validation accuracy of its {len(runs)} runs"
        chosen = f"{chosen}; {best}" if chosen else best
    return ShippedRun(experiment, run, runs, f"{label}{chosen}")


def _of_study(path: Path, method: str | None) -> ShippedRun:
    cells = {
        cell.name: cell.experiment
        for cell in read_study(path).cells
        if cell.experiment and cell.experiment.runs
    }
    if not cells:
        raise UserError(f"{path}: no cell has a complete run")
    if method is None:
        sources = {
            name: _of_experiment(experiment, None, f"cell {name}: ")
            for name, experiment in cells.items()
        }
        return max(sources.values(), key=lambda source: _validation(source.siblings))
    cell, _, stage = method.partition("/")
    if cell not in cells:
        raise unknown("--method", "cell", cell, cells)
    return _of_experiment(cells[cell], stage or None)


def _validation(runs: tuple[Run, ...]) -> float:
    values = [
        run.evaluations["validation"].accuracy for run in runs if "validation" in run.evaluations
    ]
    return float(np.mean(values)) if values else -1.0


class RunModel(Model):
    """The network of a run folder, run by PyTorch.

    Args:
        network: in evaluation mode, on the CPU.
        facts: of it.
        place: where it lies.
    """

    def __init__(self, network: On, facts: ModelFacts, place: str) -> None:
        super().__init__(facts, place)
        self.network = Scores(network).eval()

    @torch.no_grad()
    def _logits(self, windows: Floats) -> Floats:
        parts = [self.network(part).numpy() for part in torch.split(torch.from_numpy(windows), 256)]
        return (
            np.concatenate(parts)
            if parts
            else np.zeros((0, len(self.facts.class_names)), np.float32)
        )


def load_run(
    source: ShippedRun, data: Path | None, progress: Callable[[str, float], None] | None = None
) -> RunModel:
    """Return the network of a run with what its data set says of its inputs.

    Raises:
        UserError: the data cannot be read, or are others than those of the run.
    """
    network, facts, _ = _opened(source, data, progress)
    return RunModel(network, facts, str(source.run.folder))


def facts_of(source: ShippedRun, network: On, dataset: DataSet) -> ModelFacts:
    """Return what a shipped model says of itself."""
    record = source.run.record
    return ModelFacts(
        name=source.run.stage,
        class_names=record.data.class_names,
        modality=network.modality,
        channels=dataset.channel_names,
        shape=tuple(dataset.inputs.shape[1:]),
        rate=dataset.rate,
        hop=_hop(dataset),
        crop=network.crop,
        mean=tuple(network.mean.tolist()),
        std=tuple(network.std.tolist()),
        parameters=record.network.parameters,
        macs=record.network.macs or 0,
        run=record.fingerprint,
        data=record.data.fingerprint,
        code=dict(record.code),
    )


def evidence_of(
    source: ShippedRun, data: Path | None, progress: Callable[[str, float], None] | None = None
) -> tuple[On, ModelFacts, ReferenceWindows]:
    """Return the network of a run, its facts, and the windows that files are held against.

    Args:
        source: the run.
        data: root of data sets; None for the user's default.
        progress: called during long preparations.

    Raises:
        UserError: the run kept no predictions, reads what a device does not have, or its data are
            not there any more.
    """
    run = source.run
    predictions = run.predictions("test")
    if predictions is None or not len(predictions.labels):
        raise UserError(
            f"{run.folder}: has no test predictions, so nothing shows that a file is still the model"
        )
    network, facts, cache = _opened(source, data, progress)
    fold = cache.fold(_data_spec(source), int(run.fold))
    inputs, index = fold.dataset.inputs, np.asarray(predictions.index, np.int64)
    shown = balanced(fold.dataset.labels, fold.split.train, SHOWN, seed=0)
    subjects = [str(subject) for subject in predictions.subjects]
    return network, facts, ReferenceWindows(
        windows=_floats(inputs, index),
        labels=predictions.labels,
        subjects=subjects if any(subjects) else None,
        logits=predictions.logits.astype(np.float32),
        shown=_floats(inputs, shown),
    )  # fmt: skip


def _opened(
    source: ShippedRun, data: Path | None, progress: Callable[[str, float], None] | None
) -> tuple[On, ModelFacts, DataCache]:
    from tutelage.data import home

    run = source.run
    cache = DataCache(data, (data or home()) / "checks", progress)
    dataset = cache.dataset(_data_spec(source))
    if dataset.fingerprint != run.record.data.fingerprint:
        raise UserError(
            f"{run.folder}: was trained on {run.record.data.name} {run.record.data.fingerprint[:10]}; "
            f"the data that are there now are {dataset.fingerprint[:10]}"
        )
    network, _ = load_network(run.folder / "best.safetensors")
    if network.modality != dataset.modality:
        raise UserError(
            f"{run.folder}: {run.stage} reads {network.modality!r}, which is made from the {dataset.modality}; "
            f"a device has the {dataset.modality} alone (allowed: a student that reads it)"
        )
    return network, facts_of(source, network, dataset), cache


def _data_spec(source: ShippedRun) -> DataSpec:
    recipe = parse(
        Recipe, source.experiment.record.resolved, str(source.experiment.folder / "experiment.json")
    )
    return DataSpec.of(recipe)


def _floats(inputs: NDArray[np.generic], index: NDArray[np.int64]) -> Floats:
    return np.ascontiguousarray(inputs[index], dtype=np.float32)


def _hop(dataset: DataSet) -> int | None:
    """Return the usual distance of windows that follow each other in a recording."""
    if dataset.starts is None or dataset.recordings is None or len(dataset) < 2:
        return None
    steps = np.diff(dataset.starts)[np.diff(dataset.recordings) == 0]
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else None
