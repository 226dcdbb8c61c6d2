"""One stage made ready to train: student, distiller, teachers and data put together."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from tutelage import checkpoint
from tutelage.augment import Augment, Mix
from tutelage.averaging import Average
from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.models import On
from tutelage.objectives import Distiller
from tutelage.ranks import Divided, Ranks
from tutelage.recipe.config import Recipe, Train
from tutelage.recipe.fold import Fold
from tutelage.recipe.instantiate import (
    build,
    call,
    convert,
    described,
    weighted,
)
from tutelage.recipe.networks import load_network, make_network, reads_as_is
from tutelage.schedules import Schedule
from tutelage.seeds import derive
from tutelage.steps import Step
from tutelage.steps.base import Device
from tutelage.teachers import (
    CachedTeachers,
    LiveTeachers,
    Teachers,
    cache_teacher,
    freeze,
)
from tutelage.train import Augmentation, Settings
from tutelage.types import (
    Batch,
    Clock,
    Decoder,
    Facts,
    Survey,
    View,
)

__all__ = [
    "Ready",
    "adopt",
    "cpu_fabric",
    "distiller_of",
    "facts_of",
    "make_fabric",
    "network_for",
    "refuse_misplaced",
    "settle",
    "settings_of",
    "start_from",
    "step_of",
]


@dataclass(frozen=True)
class Ready:
    """Everything one stage trains with."""

    student: On
    distiller: Distiller
    teachers: Mapping[str, On]
    samples: Samples


def make_fabric(train: Train, accelerator: str = "auto") -> Device:
    """Return the device and precision of a stage."""
    from lightning_fabric import Fabric  # seconds: it imports whatever else of its family is there

    # What Fabric would print of each run, the recipe has said once.
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    return cast(Device, Fabric(accelerator=accelerator, devices=1, precision=train.precision))


def cpu_fabric() -> Device:
    """Return the device of dry runs."""
    return make_fabric(Train(), "cpu")


def network_for(
    recipe: Recipe, name: str, data: Fold, samples: Samples, seed: int
) -> tuple[On, dict[str, Any]]:
    """Build the network of a stage, and the spec that rebuilds it from a checkpoint."""
    modality = recipe.input_of(name, data.dataset.modality)
    values = samples.inputs[modality]
    spec: dict[str, Any] = {
        "network": recipe.network_of(name),
        "modality": modality,
        "input_shape": list(values.shape[1:]),
        "class_names": list(samples.class_names),
    }
    network = make_network(
        spec["network"],
        place=f"stages.{name}.network",
        modality=modality,
        input_shape=spec["input_shape"],
        class_names=spec["class_names"],
        statistics=_statistics(spec["network"], data, modality, values),
        seed=seed,
        crop=recipe.crop_of(name),
        concept_names=samples.concept_names,
        encoder=data.encoder(modality),
    )
    if samples.concept_names:
        spec["concept_names"] = {k: list(v) for k, v in samples.concept_names.items()}
    if network.crop is not None:
        spec |= {"crop": network.crop, "input_shape": network.seen(values.shape[1:])}
    return network, spec


def _statistics(
    described: Mapping[str, Any], data: Fold, modality: str, values: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what inputs are standardised by; a network that reads them as they are gets images in [0, 1]."""
    if not reads_as_is(described, "network"):
        return data.statistics(modality, values)
    channels, top = values.shape[1], 255.0 if values.dtype == torch.uint8 else 1.0
    return torch.zeros(channels), torch.full((channels,), top)


def distiller_of(recipe: Recipe, name: str) -> Distiller:
    """Build the objectives of a stage; their ``coefficient`` may be a number or a schedule."""
    return Distiller(weighted(recipe.distiller_of(name), f"stages.{name}.distiller"))


def adopt(student: On, teachers: Mapping[str, On], samples: Samples, seed: int) -> dict[str, Any]:
    """Let a network that depends on its teachers take what it needs: SimKD the head, a workspace the sizes.

    Args:
        student: the network.
        teachers: those of its stage.
        samples: the data; one sample is shown to the teachers.
        seed: of the run.

    Returns:
        Arguments of the network that are settled by the teachers: with them it is built again without teachers.
    """
    take = getattr(student.network, "adopt", None)
    if take is None:
        return {}
    torch.manual_seed(derive(seed, "adopt"))
    batch = samples.take(torch.arange(1))
    with torch.no_grad():
        outputs = {name: teacher.eval()(batch) for name, teacher in teachers.items()}
    settled: dict[str, Any] = take(
        {name: teacher.network for name, teacher in teachers.items()}, outputs
    )
    return settled


def settle(student: On, samples: Samples, index: Tensor, seed: int, place: str) -> dict[str, Any]:
    """Let a network that is fitted once on training samples do so: a bottleneck chooses its concepts.

    Args:
        student: the network.
        samples: the data.
        index: ids of the training samples; their inputs are shown as they are stored.
        seed: of the run.
        place: of the stage, for errors.

    Returns:
        Arguments of the network that are settled by the data: with them it is built again without data.

    Raises:
        UserError: the network refuses the samples.
    """
    take = getattr(student.network, "settle", None)
    if take is None:
        return {}
    torch.manual_seed(derive(seed, "settle"))
    inputs = samples.inputs[student.modality][index]
    try:
        settled: dict[str, Any] = take(inputs, samples.labels[index], samples.class_names)
    except ValueError as error:
        raise UserError(f"{place}.network: {error}") from error
    return settled


def start_from(student: On, other: On, place: str, name: str) -> None:
    """Let a student begin with the weights of another stage's network.

    Args:
        student: the network; one with a ``start`` decides itself what it takes.
        other: the network to begin with.
        place: of the student's stage, for errors.
        name: of the other stage, for errors.

    Raises:
        UserError: the networks differ.
    """
    take = getattr(student.network, "start", None)
    try:
        if take is not None:
            take(other.network)
        else:
            student.network.load_state_dict(other.network.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"{place}.start_from: the network of {name!r} has other layers or sizes than this stage's; a start "
            "needs the same network"
        ) from error


def facts_of(
    ready: Ready,
    index: Tensor,
    validation: Tensor,
    batch_size: int,
    context: Callable[[], Any] = nullcontext,
) -> Facts:
    """Return what objectives may learn before training.

    Student and teachers run once on a few samples, without touching their running statistics.

    Args:
        ready: the stage.
        index: ids of its training samples.
        validation: ids of its validation samples.
        batch_size: of a training step.
        context: precision context of forward passes.
    """
    batch = ready.samples.take(index[:4])
    training = ready.student.training
    ready.student.eval()
    device = next(ready.student.parameters()).device
    batch = replace(batch, inputs={k: v.to(device) for k, v in batch.inputs.items()})
    with torch.no_grad():
        teachers = {name: network.eval()(batch) for name, network in ready.teachers.items()}
        view = View(ready.student(batch), teachers, batch, Clock())
    ready.student.train(training)
    labels = torch.full((len(ready.samples),), -1)
    labels[index] = ready.samples.labels[index]
    splits = {"train": index, "validation": validation}

    def survey(teacher: str, split: str) -> Survey:
        ids = splits[split]
        if not len(ids):
            raise UserError(f"{teacher!r} is asked about the {split} split, which has no samples")
        logits = predict(ready.teachers[teacher], ready.samples, ids, context=context)
        return Survey(ids, ready.samples.labels[ids], logits)

    heads = {
        n: freeze(t.network) for n, t in ready.teachers.items() if hasattr(t.network, "decode")
    }
    return Facts(
        view,
        ready.samples.class_counts(index),
        ready.samples.class_names,
        labels,
        batch_size,
        cast("dict[str, Decoder]", heads),
        survey,
        ready.student.network,
        ready.samples.concept_names,
    )


def step_of(train: Train, place: str) -> Step:
    """Build the step of a stage."""
    cls, arguments = described(
        "torch.optim", train.optimizer, f"{place}.optimizer", base=torch.optim.Optimizer
    )
    rate = convert(train.learning_rate, float | Schedule, f"{place}.learning_rate")
    # One trial on a dummy parameter: a wrong argument is a sentence now, not a traceback in the first step.
    if "lr" in arguments:
        raise UserError(f"{place}.optimizer.lr: state it as {place}.learning_rate")
    call(cls, arguments, f"{place}.optimizer", leading=([nn.Parameter(torch.zeros(1))],))
    given = {
        "optimizer": partial(cls, lr=0.0, **arguments),
        "learning_rate": rate,
        "clip_norm": train.clip_norm,
        "batch_size": train.batch_size,
    }
    step: Step = build("tutelage.steps", train.step, f"{place}.step", method="bind", given=given)
    return step


def settings_of(train: Train, seed: int, inputs: Sequence[str], place: str) -> Settings:
    """Build length, order and augmentation of a stage.

    Args:
        train: the stage's settings.
        seed: of the run.
        inputs: modalities that training batches hold; augmentations of others do not concern this stage.
        place: where in the recipe, for errors.
    """
    augments = {
        name: build("tutelage.augment", item, f"{place}.augment.{name}", base=Augment)
        for name, item in train.augment.items()
    }
    mine = {name: augment for name, augment in augments.items() if name in inputs}
    mix = None
    if train.mix is not None:
        mix = build("tutelage.augment", train.mix, f"{place}.mix", base=Mix)
    augmentation = Augmentation(mine, mix, train.augment_teachers)
    average = None
    if train.average is not None:
        average = build("tutelage.averaging", train.average, f"{place}.average", base=Average)
    if train.select == "best" and (average is not None or not train.epochs):
        only = "of the last epoch" if train.epochs else "there is, for nothing is trained"
        raise UserError(f"{place}.select: best, but the only network is the one {only}; remove it")
    return Settings(
        train.epochs, train.batch_size, seed, augmentation, train.sampler, train.select or "best",
        average, train.stop_constant,
    )  # fmt: skip


def refuse_misplaced(ready: Ready, train: Train, place: str) -> None:
    """Refuse changes of inputs that make wrong what an objective reads: annotated concepts, or teachers' features.

    Raises:
        UserError: inputs are mixed, or cut while concepts are annotated at their places.
    """
    needs = ready.distiller.needs()
    read = sorted(needs.features | needs.grams)
    if train.mix is not None and not train.augment_teachers and ready.teachers and read:
        raise UserError(
            f"{place}.train.mix: the student sees mixtures, and an objective reads {', '.join(read)} of teachers, "
            "which see the samples themselves (allowed: augment_teachers: true, or objectives that read logits, "
            "whose probabilities are mixed)"
        )
    if not needs.concepts:
        return
    if train.mix is not None:
        raise UserError(
            f"{place}.train.mix: inputs are mixed, so annotated concepts do not hold (allowed: no mix, or no "
            "objective that reads concepts)"
        )
    student = ready.student
    shape = list(ready.samples.inputs[student.modality].shape[1:])
    if "spatial" in ready.samples.concepts and student.seen(shape) != shape:
        raise UserError(
            f"{place}.crop: {student.crop} cuts inputs of {shape}, but concepts are annotated at their places ("
            "allowed: no crop)"
        )


def teachers_live(train: Train, teachers: Mapping[str, On], place: str) -> bool:
    """Return whether the teachers of a stage must run in every step.

    Raises:
        UserError: the recipe asks for cached teachers on randomly augmented inputs.
    """
    seen = {network.modality for network in teachers.values()}
    random = seen if train.mix is not None else seen & set(train.augment)
    changed = sorted(random) if train.augment_teachers else []
    if changed and train.teachers == "cached":
        raise UserError(
            f"{place}.teachers: cached, but {', '.join(changed)} is randomly augmented for the teachers, "
            "so their outputs change at every step; allowed: live, or augment_teachers: false"
        )
    return bool(changed) or train.teachers == "live"


def teachers_of(
    ready: Ready,
    train: Train,
    index: Tensor,
    cache: Path,
    fabric: Device,
    place: str,
    progress: Callable[[int, int], None] | None = None,
) -> Teachers | None:
    """Return the teachers of a stage: cached where that is exact, else live.

    Raises:
        UserError: the recipe asks for cached teachers on randomly augmented inputs.
    """
    if not ready.teachers:
        return None
    needs = ready.distiller.needs()
    live = teachers_live(train, ready.teachers, place)
    for network in ready.teachers.values():
        network.to(fabric.device)
    if live:
        networks = dict[str, nn.Module](ready.teachers)
        if isinstance(fabric, Ranks):
            networks = {name: Divided(network, fabric) for name, network in networks.items()}
        return _Autocast(LiveTeachers(networks, needs), fabric)
    folders = {
        name: cache_teacher(
            network,
            ready.samples,
            index,
            needs,
            folder=cache,
            modality=network.modality,
            context=fabric.autocast,
            progress=progress,
        )
        for name, network in ready.teachers.items()
    }
    return CachedTeachers(folders, fabric.device)


class _Autocast:
    """Live teachers in the precision of the stage."""

    def __init__(self, teachers: LiveTeachers, fabric: Device) -> None:
        self.teachers, self.fabric = teachers, fabric

    def __call__(self, batch: Batch) -> Any:
        with self.fabric.autocast():
            return self.teachers(batch)


def load_teacher(
    folder: Path, name: str, data: Fold, epoch: Literal["best", "last"] = "best"
) -> On:
    """Read the network of a run and compare its classes and its input with the data.

    Args:
        folder: of the run.
        name: of the stage, for errors.
        data: the fold.
        epoch: the checkpoint chosen on validation (ESKD), or the one after the last epoch (Full KD).

    Raises:
        UserError: classes or input differ; the sentence says how.
    """
    network, spec = load_network(folder / "best.safetensors")
    if epoch == "last":
        network.load_state_dict(checkpoint.read(folder / "last.safetensors")["student"])
    place = f"stages.{name}"
    names = list(data.dataset.class_names)
    ask = getattr(network.network, "ask", None)
    if spec["class_names"] != names and ask is not None:  # it knows classes by their names
        ask(names)
    elif len(spec["class_names"]) != len(names):
        raise UserError(
            f"{place}: the network has {len(spec['class_names'])} classes "
            f"({', '.join(spec['class_names'])}), the data set has {len(names)} ({', '.join(names)})"
        )
    elif spec["class_names"] != names:
        raise UserError(
            f"{place}: the network's classes ({', '.join(spec['class_names'])}) are not those of the "
            f"data set ({', '.join(names)})"
        )
    data.check_input(spec["modality"], f"{place}.input")
    return network
