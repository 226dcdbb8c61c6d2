"""Trained networks evaluated on other data sets: on other classes, or on the same ones seen differently."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tutelage import checkpoint
from tutelage.batches import Samples
from tutelage.data import DataSet
from tutelage.data.choosing import tested
from tutelage.errors import UserError
from tutelage.evaluate import assess, predict
from tutelage.models import On
from tutelage.recipe.data_spec import Progress, load_data
from tutelage.recipe.fold import tensor_of
from tutelage.recipe.networks import kind_of_network, load_network
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.folder import read_record
from tutelage.runs.predictions import Predictions
from tutelage.runs.records import TargetData, TargetRecord, Visit
from tutelage.runs.transfer import VisitKey, is_evaluated, write_visit
from tutelage.steps.base import Device
from tutelage.training.settings import make_fabric

__all__ = ["Target", "evaluate_elsewhere", "load_targets"]


@dataclass(frozen=True, eq=False)
class Target:
    """A data set that networks are evaluated on, and not trained.

    Args:
        name: in the recipe.
        dataset: its official test part is evaluated, or all of it where there is none.
    """

    name: str
    dataset: DataSet

    @property
    def index(self) -> Tensor:
        """Ids of the samples that are evaluated."""
        return torch.from_numpy(tested(self.dataset))


def load_targets(
    transfer: Mapping[str, Mapping[str, Any]],
    source: DataSet,
    specs: Sequence[RunSpec],
    home: Path | None,
    progress: Progress,
) -> list[Target]:
    """Return the data sets of ``transfer``, before anything is trained.

    Args:
        transfer: name -> description.
        source: the data set of the recipe.
        specs: the runs that will be evaluated.
        home: root of data sets; None for the user's default.
        progress: called during long preparations.

    Raises:
        UserError: one cannot be read, is of another kind than the recipe's, or has classes that a network does not
            know.
    """
    targets = []
    fixed = dict.fromkeys(
        spec.stage for spec in specs if _reads(spec, source) and not _knows_names(spec)
    )
    for name, description in transfer.items():
        place = f"transfer.{name}"
        dataset = load_data(description, home, progress, place)
        if dataset.modality != source.modality:
            raise UserError(
                f"{place}: holds {dataset.modality}s, the data set of the recipe {source.modality}s"
            )
        for stage in fixed:
            _columns(source.class_names, dataset.class_names, f"{place}: stage {stage!r}")
        targets.append(Target(name, dataset))
    return targets


def _reads(spec: RunSpec, dataset: DataSet) -> bool:
    """Return whether a network reads a data set's own inputs."""
    return spec.modality == dataset.modality


def _knows_names(spec: RunSpec) -> bool:
    """Return whether a network may be asked for other classes, as far as its description tells."""
    kind, _ = kind_of_network(spec.network, f"{spec.place}.network")
    return spec.run is not None or kind.knows_names()


def evaluate_elsewhere(
    targets: Iterable[Target],
    specs: Iterable[RunSpec],
    paths: Mapping[str, Path],
    folder: Path,
    accelerator: str,
    progress: Progress,
) -> dict[str, TargetRecord]:
    """Evaluate the network of every complete run on every target; what is there already is not repeated.

    Stages that read a modality made from the data are left out: it would have to be fitted on training samples.

    Args:
        targets: the data sets.
        specs: the runs that were asked for.
        paths: fingerprint -> run folder of what is complete.
        folder: of the experiment; results are written to ``transfer/<target>`` in it.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        progress: called with a text and the fraction done.

    Returns:
        What ``experiment.json`` keeps of them: target -> its data, and where the results lie.
    """
    record: dict[str, TargetRecord] = {}
    for target in targets:
        dataset = target.dataset
        reading = [spec for spec in specs if _reads(spec, dataset) and spec.fingerprint in paths]
        runs = []
        for number, spec in enumerate(reading):
            own = Path("transfer", target.name) / spec.folder
            fabric = make_fabric(spec.train, accelerator)
            _evaluate(target, spec, paths[spec.fingerprint], folder / own, fabric)
            runs.append(Visit(spec.stage, str(spec.fold), spec.seed, own.as_posix()))
            progress(f"evaluating on {target.name}", (number + 1) / len(reading))
        record[target.name] = TargetRecord(
            TargetData(dataset.name, dataset.fingerprint, dataset.synthetic, tuple(dataset.class_names),
                       len(target.index), dataset.source),
            tuple(runs),
        )  # fmt: skip
    return record


def _evaluate(target: Target, spec: RunSpec, run: Path, folder: Path, fabric: Device) -> None:
    """Write evaluation and predictions of one run, unless those of these weights and this data are there."""
    weights = run / "best.safetensors"
    record = read_record(run)
    assert record is not None, "the run is complete"
    key = VisitKey(record.fingerprint, checkpoint.digest(weights), target.dataset.fingerprint)
    if is_evaluated(folder, key):
        return
    network, blueprint = load_network(weights)
    dataset, index = target.dataset, target.index
    samples = Samples(
        {network.modality: tensor_of(dataset.inputs)}, torch.from_numpy(dataset.labels),
        dataset.class_names, dataset.subjects,
    )  # fmt: skip
    columns = _prepare(network, blueprint, dataset, f"transfer.{target.name}: stage {spec.stage!r}")
    network.to(fabric.device)
    logits = predict(network, samples, index, context=fabric.autocast)[:, columns]
    labels = samples.labels[index]
    who = None if samples.subjects is None else samples.subjects[index.numpy()]
    evaluation = assess(logits, labels, dataset.class_names, who)
    write_visit(folder, key, evaluation, Predictions.of(index, labels, logits, who))


def _prepare(network: On, blueprint: Mapping[str, Any], dataset: DataSet, place: str) -> list[int]:
    """Ask a network for the classes of a data set; return the columns of its logits that are these classes.

    Raises:
        UserError: it knows no such classes, or reads inputs of another shape.
    """
    inner = network.network
    shape = network.seen(dataset.inputs.shape[1:])
    if shape != list(blueprint["input_shape"]) and not inner.as_is:
        raise UserError(
            f"{place} was trained on inputs of {blueprint['input_shape']}, {dataset.name!r} has {shape}"
        )
    names = dataset.class_names
    if tuple(blueprint["class_names"]) != names and inner.knows_names():
        inner.ask(names)
        return list(range(len(names)))
    return _columns(blueprint["class_names"], names, place)


def _columns(known: Sequence[str], wanted: Sequence[str], place: str) -> list[int]:
    """Return where the wanted classes are among the known ones.

    Raises:
        UserError: one is not.
    """
    strange = next((name for name in wanted if name not in known), None)
    if strange is not None:
        raise UserError(
            f"{place} knows no class {strange!r} (allowed: classes it was trained on, or a network that knows "
            "classes by their names)"
        )
    return [list(known).index(name) for name in wanted]
