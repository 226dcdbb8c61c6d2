"""One stage made ready to train: student, distiller, teachers and data put together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tutelage.augment import Augment
from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.experiment.build import build, call, convert, described
from tutelage.experiment.config import Recipe, Train
from tutelage.experiment.networks import load_network, make_network
from tutelage.experiment.prepare import Fold
from tutelage.models import On
from tutelage.objectives import Distiller, Objective, Weighted
from tutelage.schedules import Schedule
from tutelage.steps import GradientStep
from tutelage.teachers import CachedTeachers, LiveTeachers, Teachers, cache_teacher
from tutelage.train import Augmentation, Settings
from tutelage.types import Batch, Clock, Facts, View

__all__ = [
    "Ready",
    "distiller_of",
    "facts_of",
    "make_fabric",
    "network_for",
    "settings_of",
    "step_of",
]


@dataclass(frozen=True)
class Ready:
    """Everything one stage trains with."""

    student: On
    distiller: Distiller
    teachers: Mapping[str, On]
    samples: Samples


def make_fabric(train: Train, accelerator: str = "auto") -> Fabric:
    """Return the device and precision of a stage."""
    return Fabric(accelerator=accelerator, devices=1, precision=train.precision)


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
        statistics=data.statistics(values),
        seed=seed,
    )
    return network, spec


def distiller_of(recipe: Recipe, name: str) -> Distiller:
    """Build the objectives of a stage; their ``coefficient`` may be a number or a schedule."""
    found = {}
    for key, described_objective in recipe.distiller_of(name).items():
        place = f"stages.{name}.distiller.{key}"
        item = dict(described_objective)
        coefficient = convert(
            item.pop("coefficient", 1.0), float | Schedule, f"{place}.coefficient"
        )
        objective = build("tutelage.objectives", item, place, base=Objective)
        found[key] = Weighted(objective, coefficient)
    return Distiller(found)


def facts_of(ready: Ready, index: Tensor) -> Facts:
    """Run student and teachers once on a few samples, without touching their running statistics."""
    batch = ready.samples.take(index[:4])
    training = ready.student.training
    ready.student.eval()
    device = next(ready.student.parameters()).device
    batch = Batch({k: v.to(device) for k, v in batch.inputs.items()}, batch.labels, batch.index)
    with torch.no_grad():
        teachers = {name: network.eval()(batch) for name, network in ready.teachers.items()}
        view = View(ready.student(batch), teachers, batch, Clock())
    ready.student.train(training)
    return Facts(view, ready.samples.class_counts(index))


def step_of(train: Train, place: str) -> GradientStep:
    """Build the step of a stage."""
    cls, arguments = described(
        "torch.optim", train.optimizer, f"{place}.optimizer", base=torch.optim.Optimizer
    )
    rate = convert(train.learning_rate, float | Schedule, f"{place}.learning_rate")
    # One trial on a dummy parameter: a wrong argument is a sentence now, not a traceback in the first step.
    if "lr" in arguments:
        raise UserError(f"{place}.optimizer.lr: state it as {place}.learning_rate")
    call(cls, arguments, f"{place}.optimizer", leading=([nn.Parameter(torch.zeros(1))],))
    return GradientStep(partial(cls, lr=0.0, **arguments), rate, train.clip_norm)


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
    return Settings(
        train.epochs, train.batch_size, seed, Augmentation(mine, train.augment_teachers)
    )


def teachers_live(train: Train, teachers: Mapping[str, On], place: str) -> bool:
    """Return whether the teachers of a stage must run in every step.

    Raises:
        UserError: the recipe asks for cached teachers on randomly augmented inputs.
    """
    seen = {network.modality for network in teachers.values()}
    changed = sorted(seen & set(train.augment)) if train.augment_teachers else []
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
    fabric: Fabric,
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
        return _Autocast(LiveTeachers(ready.teachers, needs), fabric)
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

    def __init__(self, teachers: LiveTeachers, fabric: Fabric) -> None:
        self.teachers, self.fabric = teachers, fabric

    def __call__(self, batch: Batch) -> Any:
        with self.fabric.autocast():
            return self.teachers(batch)


def load_teacher(path: Path, name: str, data: Fold) -> On:
    """Read a trained network and compare its classes and its input with the data.

    Raises:
        UserError: classes or input differ; the sentence says how.
    """
    network, spec = load_network(path)
    place = f"stages.{name}"
    names = list(data.dataset.class_names)
    if len(spec["class_names"]) != len(names):
        raise UserError(
            f"{place}: the network has {len(spec['class_names'])} classes "
            f"({', '.join(spec['class_names'])}), the data set has {len(names)} ({', '.join(names)})"
        )
    if spec["class_names"] != names:
        raise UserError(
            f"{place}: the network's classes ({', '.join(spec['class_names'])}) are not those of the "
            f"data set ({', '.join(names)})"
        )
    data.check_input(spec["modality"], f"{place}.input")
    return network
