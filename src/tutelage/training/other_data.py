"""Trained networks evaluated on other data sets: on other classes, or on the same ones seen differently."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tutelage import checkpoint
from tutelage import data as datasets
from tutelage.batches import Samples
from tutelage.data import DataSet
from tutelage.data.choosing import tested
from tutelage.errors import UserError
from tutelage.evaluate import assess, predict
from tutelage.models import On
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import Progress, tensor_of
from tutelage.recipe.instantiate import build, described
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import Job
from tutelage.runs.folder import read_record
from tutelage.runs.predictions import Predictions
from tutelage.runs.records import TargetData, TargetRecord, Visit
from tutelage.runs.transfer import VisitKey, is_evaluated, write_visit
from tutelage.steps.base import Device
from tutelage.training.stage import make_fabric

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
    recipe: Recipe, source: DataSet, home: Path | None, progress: Progress
) -> list[Target]:
    """Return the data sets of ``transfer``, before anything is trained.

    Raises:
        UserError: one cannot be read, is of another kind than the recipe's, or has classes that a network does not
            know.
    """
    found = []
    for name, description in recipe.transfer.items():
        place = f"transfer.{name}"
        loader = build("tutelage.data", description, place, method="load")
        dataset = loader.load(home or datasets.home(), progress)
        if dataset.modality != source.modality:
            raise UserError(
                f"{place}: holds {dataset.modality}s, the data set of the recipe {source.modality}s"
            )
        for stage in _stages(recipe, source):
            if recipe.stages[stage].run is None:
                cls, _ = described(
                    "tutelage.models", recipe.network_of(stage), f"stages.{stage}.network", base=nn.Module
                )  # fmt: skip
                if not hasattr(cls, "ask"):
                    _columns(source.class_names, dataset.class_names, f"{place}: stage {stage!r}")
        found.append(Target(name, dataset))
    return found


def evaluate_elsewhere(
    recipe: Recipe,
    targets: Iterable[Target],
    jobs: Iterable[Job],
    found: Mapping[str, Path],
    folder: Path,
    accelerator: str,
    progress: Progress,
) -> dict[str, TargetRecord]:
    """Evaluate the network of every complete run on every target; what is there already is not repeated.

    Stages that read a modality made from the data are left out: it would have to be fitted on training samples.

    Args:
        recipe: the recipe.
        targets: the data sets.
        jobs: the runs that were asked for.
        found: fingerprint -> run folder of what is complete.
        folder: of the experiment; results are written to ``transfer/<target>`` in it.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        progress: called with a text and the fraction done.

    Returns:
        What ``experiment.json`` keeps of them: target -> its data, and where the results lie.
    """
    record: dict[str, TargetRecord] = {}
    for target in targets:
        dataset = target.dataset
        reading = set(_stages(recipe, dataset))
        ready = [job for job in jobs if job.stage in reading and job.fingerprint in found]
        runs = []
        for number, job in enumerate(ready):
            own = Path("transfer", target.name) / job.folder
            fabric = make_fabric(recipe.train_of(job.stage), accelerator)
            _evaluate(target, job, found[job.fingerprint], folder / own, fabric)
            runs.append(Visit(job.stage, str(job.fold), job.seed, own.as_posix()))
            progress(f"evaluating on {target.name}", (number + 1) / len(ready))
        record[target.name] = TargetRecord(
            TargetData(dataset.name, dataset.fingerprint, dataset.synthetic, tuple(dataset.class_names),
                       len(target.index), dataset.source),
            tuple(runs),
        )  # fmt: skip
    return record


def _stages(recipe: Recipe, dataset: DataSet) -> list[str]:
    return [
        name
        for name in recipe.stages
        if recipe.input_of(name, dataset.modality) == dataset.modality
    ]


def _evaluate(target: Target, job: Job, run: Path, folder: Path, fabric: Device) -> None:
    """Write evaluation and predictions of one run, unless those of these weights and this data are there."""
    weights = run / "best.safetensors"
    record = read_record(run)
    assert record is not None, "the run is complete"
    key = VisitKey(record.fingerprint, checkpoint.digest(weights), target.dataset.fingerprint)
    if is_evaluated(folder, key):
        return
    network, spec = load_network(weights)
    dataset, index = target.dataset, target.index
    samples = Samples(
        {network.modality: tensor_of(dataset.inputs)}, torch.from_numpy(dataset.labels),
        dataset.class_names, dataset.subjects,
    )  # fmt: skip
    columns = _prepare(network, spec, dataset, f"transfer.{target.name}: stage {job.stage!r}")
    network.to(fabric.device)
    logits = predict(network, samples, index, context=fabric.autocast)[:, columns]
    labels = samples.labels[index]
    who = None if samples.subjects is None else samples.subjects[index.numpy()]
    evaluation = assess(logits, labels, dataset.class_names, who)
    write_visit(folder, key, evaluation, Predictions.of(index, labels, logits, who))


def _prepare(network: On, spec: Mapping[str, Any], dataset: DataSet, place: str) -> list[int]:
    """Ask a network for the classes of a data set; return the columns of its logits that are these classes.

    Raises:
        UserError: it knows no such classes, or reads inputs of another shape.
    """
    inner = network.network
    shape = network.seen(dataset.inputs.shape[1:])
    if shape != list(spec["input_shape"]) and not getattr(inner, "as_is", False):
        raise UserError(
            f"{place} was trained on inputs of {spec['input_shape']}, {dataset.name!r} has {shape}"
        )
    names = dataset.class_names
    ask = getattr(inner, "ask", None)
    if tuple(spec["class_names"]) != names and ask is not None:
        ask(names)
        return list(range(len(names)))
    return _columns(spec["class_names"], names, place)


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
