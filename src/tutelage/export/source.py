"""The network of a run, with its data and what its files are held against."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage.data import DataSet
from tutelage.data.choosing import classes_in_turn
from tutelage.errors import UserError
from tutelage.execution.data_cache import DataCache
from tutelage.export.choosing import ShippedRun
from tutelage.export.facts import ModelFacts
from tutelage.export.models import Floats, Model
from tutelage.export.onnx import Scores
from tutelage.export.package import ReferenceWindows
from tutelage.models import On
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.runs.predictions import Predictions
from tutelage.training.looking import refuse_other_data

__all__ = ["RunModel", "evidence_of", "facts_of", "load_run"]

SHOWN = 300
"""Training windows that quantisation looks at."""
WINDOWS, MEMORY = 20_000, 2**29
"""Training windows, and bytes of them, that the files of a refitted network are held against."""


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
    return RunModel(network, facts, str(source.shipped.folder))


def facts_of(source: ShippedRun, network: On, dataset: DataSet) -> ModelFacts:
    """Return what a shipped model says of itself."""
    record = source.shipped.record
    return ModelFacts(
        name=source.shipped.stage,
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
        units=dataset.units,
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
    predictions = None if source.refit else _test_predictions(source)
    network, facts, cache = _opened(source, data, progress)
    fold = cache.fold(_data_spec(source), int(source.shipped.fold))
    shown = _floats(fold.dataset, _drawn(fold, SHOWN, seed=0))
    if predictions is None:
        return network, facts, _trained_on(network, facts, fold, shown)
    subjects = [str(subject) for subject in predictions.subjects]
    return network, facts, ReferenceWindows(
        windows=_floats(fold.dataset, np.asarray(predictions.index, np.int64)),
        labels=predictions.labels,
        subjects=subjects if any(subjects) else None,
        logits=predictions.logits.astype(np.float32),
        shown=shown,
    )  # fmt: skip


def _test_predictions(source: ShippedRun) -> Predictions:
    if source.experiment.record.protocol == "refit":
        raise UserError(
            f"{source.run.folder}: was trained on everybody and has no test of its own; allowed: tutelage ship "
            f"{source.experiment.folder.parent} --refit, which knows its estimate"
        )
    predictions = source.run.predictions("test")
    if predictions is None or not len(predictions.labels):
        raise UserError(
            f"{source.run.folder}: has no test predictions, so nothing shows that a file is still the model"
        )
    return predictions


def _drawn(fold: Fold, most: int, seed: int) -> NDArray[np.int64]:
    """Return ids of up to so many training windows, classes in turn."""
    rng = np.random.default_rng(seed)
    return np.sort(classes_in_turn(fold.dataset.labels, fold.split.train, most, rng))


def _trained_on(network: On, facts: ModelFacts, fold: Fold, shown: Floats) -> ReferenceWindows:
    """Return training windows and what the network says of them, for one that has no others."""
    dataset = fold.dataset
    bytes_each = 4 * int(np.prod(dataset.inputs.shape[1:]))
    index = _drawn(fold, min(WINDOWS, MEMORY // bytes_each), seed=1)
    windows = _floats(dataset, index)
    return ReferenceWindows(
        windows=windows,
        labels=dataset.labels[index],
        subjects=None if dataset.subjects is None else dataset.subjects[index].tolist(),
        logits=RunModel(network, facts, "the network in PyTorch").logits(windows),
        shown=shown,
        side="training",
    )


def _opened(
    source: ShippedRun, data: Path | None, progress: Callable[[str, float], None] | None
) -> tuple[On, ModelFacts, DataCache]:
    from tutelage.data import home

    run = source.shipped
    cache = DataCache(data, (data or home()) / "checks", progress)
    dataset = cache.dataset(_data_spec(source))
    refuse_other_data(run, dataset)
    network, _ = load_network(run.folder / "best.safetensors")
    if network.modality != dataset.modality:
        raise UserError(
            f"{run.folder}: {run.stage} reads {network.modality!r}, which is made from the {dataset.modality}; "
            f"a device has the {dataset.modality} alone (allowed: a student that reads it)"
        )
    return network, facts_of(source, network, dataset), cache


def _data_spec(source: ShippedRun) -> DataSpec:
    origin = source.origin
    recipe = parse(Recipe, origin.record.resolved, str(origin.folder / "experiment.json"))
    return DataSpec.of(recipe)


def _floats(dataset: DataSet, index: NDArray[np.int64]) -> Floats:
    return np.ascontiguousarray(dataset.inputs[index], dtype=np.float32)


def _hop(dataset: DataSet) -> int | None:
    """Return the usual distance of windows that follow each other in a recording."""
    if dataset.starts is None or dataset.recordings is None or len(dataset) < 2:
        return None
    steps = np.diff(dataset.starts)[np.diff(dataset.recordings) == 0]
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else None
