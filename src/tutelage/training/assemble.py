"""One run put together: everything its training needs, before the first step."""

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.models import On, Quantised, Size, measure
from tutelage.models.layout import LAYOUT, Layout, channels_last
from tutelage.modes import device_of, evaluating
from tutelage.objectives import Distiller
from tutelage.ranks import Divided, Ranks
from tutelage.recipe.data_spec import Progress
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.folder import now
from tutelage.seeds import derive
from tutelage.steps import Step
from tutelage.steps.base import Device
from tutelage.teachers import CachedTeachers, LiveTeachers, Teachers, cache_teacher, freeze
from tutelage.train import Settings, Training
from tutelage.training.settings import make_distiller, make_fabric, make_settings, make_step
from tutelage.training.student import Learned, load_learned, make_student, sides_of, start_from
from tutelage.training.subset import TrainingSubset
from tutelage.types import Batch, Clock, Facts, Survey, View

__all__ = ["Assembled", "Context", "assemble", "must_run"]


@dataclass(frozen=True)
class Context:
    """What the runs of one experiment share.

    Args:
        folder: of the experiment.
        cache: root of representations, teacher outputs and locks.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        code: version and commit.
        paths: fingerprint -> run folder of what is complete already.
        devices: processes of one training.
    """

    folder: Path
    cache: Path
    accelerator: str
    code: Mapping[str, Any]
    paths: Mapping[str, Path]
    devices: int = 1


@dataclass(frozen=True)
class Assembled:
    """One run, ready to train.

    Args:
        spec: the run.
        data: the fold.
        context: of the experiment.
        training: who learns, from whom, on what.
        step: how parameters move.
        settings: length and order.
        fabric: device and precision; or the processes that train it together.
        student: the network.
        teachers: networks by name.
        samples: with all inputs and true labels.
        subset: what the student is shown.
        sides: sample ids of train, validation and test.
        blueprint: what rebuilds the student.
        size: of the student.
        started: when it began to be put together.
    """

    spec: RunSpec
    data: Fold
    context: Context
    training: Training
    step: Step
    settings: Settings
    fabric: Any
    student: On
    teachers: Mapping[str, On]
    samples: Samples
    subset: TrainingSubset
    sides: Mapping[str, Tensor]
    blueprint: Mapping[str, Any]
    size: Size
    started: str

    @property
    def distiller(self) -> Distiller:
        """The objectives."""
        return self.training.distiller


def assemble(
    spec: RunSpec,
    data: Fold,
    context: Context,
    progress: Progress,
    ranks: Ranks | None = None,
    learned: Learned | None = None,
    layout: Layout = LAYOUT,
) -> Assembled:
    """Put a run together; the outputs of its teachers are cached on the way.

    Args:
        spec: the run.
        data: the fold.
        context: what the runs share.
        progress: called during long preparations.
        ranks: the processes that train it together, of which this is one; None for this one alone.
        learned: gives the networks of the runs that it learns from; read from their folders unless told.
        layout: memory order of the convolutions of student and teachers; sums depend on it at rounding.

    Raises:
        UserError: something does not fit.
    """
    started, train = now(), spec.train
    fabric = ranks or make_fabric(train, context.accelerator)
    network_for = learned or (
        lambda other, epoch: load_learned(context.paths[other.fingerprint], other, data, epoch)
    )
    teachers = {name: network_for(t, spec.teacher_epoch) for name, t in spec.teachers.items()}
    modalities = {spec.modality, *(teacher.modality for teacher in teachers.values())}
    samples = data.samples(sorted(modalities), progress)
    sides = sides_of(spec, data, samples)
    made = make_student(spec, data, samples, sides, teachers)
    student, subset = made.network, made.subset
    size = measure(student.network, made.blueprint["input_shape"])
    if spec.start is not None:
        start_from(student, network_for(spec.start, "best"), spec.place, spec.start.stage)
    if isinstance(student.network, Quantised) and ranks is not None:
        raise UserError(
            f"{spec.place}.quantise: several processes would learn ranges of their own (allowed: --devices 1)"
        )
    if layout == "channels_last":
        for network in (student, *teachers.values()):
            channels_last(network)
    student.to(fabric.device)
    distiller = make_distiller(spec)
    outputs = _teachers(
        spec, distiller, teachers, subset, fabric, context,
        lambda done, total: progress(f"teachers of {spec.stage}", done / total),
    )  # fmt: skip
    # Adapters have a stream of their own: a cache hit must not change their initial values.
    torch.manual_seed(derive(spec.seed, "adapters"))
    _refuse_misplaced(spec, student, teachers, distiller, samples)
    distiller.prepare(_facts(student, teachers, subset, train.batch_size, fabric.autocast))
    distiller.to(fabric.device)
    if train.compile:
        student.network.compile()
    # Cached teachers are read by sample id: their inputs need not be gathered in training.
    seen = set(samples.inputs) if must_run(spec, teachers) else {student.modality}
    monitors = {"validation": subset.validation} if len(subset.validation) else {}
    if spec.data.protocol == "legacy":
        monitors["test"] = sides["test"]
    training = Training(
        student, distiller, outputs, subset.samples.only(seen), subset.index, monitors, subset.labelled
    )  # fmt: skip
    return Assembled(
        spec, data, context, training, make_step(spec), make_settings(spec, sorted(seen)), fabric,
        student, teachers, samples, subset, sides, made.blueprint, size, started,
    )  # fmt: skip


def _teachers(
    spec: RunSpec,
    distiller: Distiller,
    networks: Mapping[str, On],
    subset: TrainingSubset,
    fabric: Device,
    context: Context,
    progress: Callable[[int, int], None],
) -> Teachers | None:
    """Return the teachers of a run: cached where that is exact, else live."""
    if not networks:
        return None
    needs = distiller.needs()
    for network in networks.values():
        network.to(fabric.device)
    if must_run(spec, networks):
        running = dict[str, nn.Module](networks)
        if isinstance(fabric, Ranks):
            running = {name: Divided(network, fabric) for name, network in networks.items()}
        return _Autocast(LiveTeachers(running, needs), fabric)
    experiment = os.path.relpath(context.folder, context.cache.parent)
    folders = {
        name: cache_teacher(
            network, subset.samples, subset.index, needs, folder=context.cache,
            modality=network.modality, context=fabric.autocast, progress=progress,
            about={"teacher": name, "data": str(spec.data.data["type"]), "experiment": experiment},
        )
        for name, network in networks.items()
    }  # fmt: skip
    return CachedTeachers(folders, fabric.device)


class _Autocast:
    """Live teachers in the precision of the run."""

    def __init__(self, teachers: LiveTeachers, fabric: Device) -> None:
        self.teachers, self.fabric = teachers, fabric

    def __call__(self, batch: Batch) -> Any:
        with self.fabric.autocast():
            return self.teachers(batch)


def must_run(spec: RunSpec, teachers: Mapping[str, On]) -> bool:
    """Return whether the teachers of a run must run in every step.

    Raises:
        UserError: the recipe asks for cached teachers on randomly augmented inputs.
    """
    train = spec.train
    inputs = {network.modality for network in teachers.values()}
    random = inputs if train.mix is not None else inputs & set(train.augment)
    changed = sorted(random) if train.augment_teachers else []
    if changed and train.teachers == "cached":
        raise UserError(
            f"{spec.place}.train.teachers: cached, but {', '.join(changed)} is randomly augmented for the "
            "teachers, so their outputs change at every step; allowed: live, or augment_teachers: false"
        )
    return bool(changed) or train.teachers == "live"


def _facts(
    student: On,
    teachers: Mapping[str, On],
    subset: TrainingSubset,
    batch_size: int,
    context: Callable[[], Any] = nullcontext,
) -> Facts:
    """Return what objectives may learn before training.

    Student and teachers run once on a few samples, without touching their running statistics.

    Args:
        student: the network.
        teachers: networks by name.
        subset: what the student is shown.
        batch_size: of a training step.
        context: precision context of forward passes.
    """
    samples, index = subset.samples, subset.index
    batch = samples.take(index[:4]).to(device_of(student))
    with evaluating(student), torch.no_grad():
        outputs = {name: network.eval()(batch) for name, network in teachers.items()}
        view = View(student(batch), outputs, batch, Clock())
    labels = torch.full((len(samples),), -1)
    labels[index] = samples.labels[index]
    splits = {"train": index, "validation": subset.validation}

    def survey(teacher: str, split: str) -> Survey:
        ids = splits[split]
        if not len(ids):
            raise UserError(f"{teacher!r} is asked about the {split} split, which has no samples")
        logits = predict(teachers[teacher], samples, ids, context=context)
        return Survey(ids, samples.labels[ids], logits)

    return Facts(
        view,
        samples.class_counts(index),
        samples.class_names,
        labels,
        batch_size,
        {name: freeze(t.network) for name, t in teachers.items() if t.network.decodes()},
        survey,
        student.network,
        samples.concept_names,
    )


def _refuse_misplaced(
    spec: RunSpec, student: On, teachers: Mapping[str, On], distiller: Distiller, samples: Samples
) -> None:
    """Refuse changes of inputs that make wrong what an objective reads: annotated concepts, or teachers' features.

    Raises:
        UserError: inputs are mixed, or cut while concepts are annotated at their places.
    """
    needs = distiller.needs()
    read = sorted(needs.features | needs.grams)
    if spec.train.mix is not None and not spec.train.augment_teachers and teachers and read:
        raise UserError(
            f"{spec.place}.train.mix: the student sees mixtures, and an objective reads {', '.join(read)} of "
            "teachers, which see the samples themselves (allowed: augment_teachers: true, or objectives "
            "that read logits, whose probabilities are mixed)"
        )
    if not needs.concepts:
        return
    if spec.train.mix is not None:
        raise UserError(
            f"{spec.place}.train.mix: inputs are mixed, so annotated concepts do not hold (allowed: no mix, or no "
            "objective that reads concepts)"
        )
    shape = list(samples.inputs[student.modality].shape[1:])
    if "spatial" in samples.concepts and student.seen(shape) != shape:
        raise UserError(
            f"{spec.place}.crop: {student.crop} cuts inputs of {shape}, but concepts are annotated at their "
            "places (allowed: no crop)"
        )
