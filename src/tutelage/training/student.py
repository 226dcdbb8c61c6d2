"""The networks of a run: its student, made from its description, and those that are there already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tutelage import checkpoint
from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.models import On
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network, make_network, reads_as_is
from tutelage.recipe.resolve import RunSpec
from tutelage.seeds import derive
from tutelage.training.subset import TrainingSubset, of_classes, training_subset

__all__ = [
    "Learned",
    "StandIns",
    "Student",
    "load_learned",
    "make_student",
    "sides_of",
    "start_from",
]

Learned = Callable[[RunSpec, Literal["best", "last"]], On]
"""Gives the network of a run that another one learns from, or starts from."""


@dataclass(frozen=True)
class Student:
    """A network before its training.

    Args:
        network: the network.
        blueprint: what builds it again, for its checkpoint.
        subset: what it is shown.
    """

    network: On
    blueprint: dict[str, Any]
    subset: TrainingSubset


def sides_of(spec: RunSpec, data: Fold, samples: Samples) -> dict[str, Tensor]:
    """Return the sample ids of train, validation and test; a side that a teacher was not asked about is empty."""
    return {
        name: of_classes(
            torch.from_numpy(side if data.answered(spec.modality, side) else side[:0]),
            samples,
            spec.classes,
        )
        for name, side in data.split.sides().items()
    }


def make_student(
    spec: RunSpec,
    data: Fold,
    samples: Samples,
    sides: Mapping[str, Tensor],
    teachers: Mapping[str, On],
) -> Student:
    """Build the network of a run, and let it take what it needs from its teachers and its training samples.

    Args:
        spec: the run.
        data: the fold.
        samples: with all inputs of student and teachers.
        sides: sample ids of train, validation and test.
        teachers: networks by name.

    Raises:
        UserError: the description is wrong, or the network refuses teachers or samples.
    """
    network, blueprint = _described(spec, data, samples)
    blueprint["network"] |= _adopted(network, teachers, samples, spec.seed)
    subset = training_subset(spec, samples, sides)
    if subset.classes:
        network.network.restrict_classes(subset.classes)
    blueprint["network"] |= _fitted(network, subset, spec)
    return Student(network, blueprint, subset)


def _described(spec: RunSpec, data: Fold, samples: Samples) -> tuple[On, dict[str, Any]]:
    """Build the network of a run, and the blueprint that rebuilds it from a checkpoint."""
    values = samples.inputs[spec.modality]
    blueprint: dict[str, Any] = {
        "network": dict(spec.network),
        "modality": spec.modality,
        "input_shape": list(values.shape[1:]),
        "class_names": list(samples.class_names),
    }
    network = make_network(
        spec.network,
        place=f"{spec.place}.network",
        modality=spec.modality,
        input_shape=blueprint["input_shape"],
        class_names=blueprint["class_names"],
        statistics=_statistics(spec, data, values),
        seed=spec.seed,
        crop=spec.crop,
        concept_names=samples.concept_names,
        encoder=data.encoder(spec.modality),
    )
    if samples.concept_names:
        blueprint["concept_names"] = {k: list(v) for k, v in samples.concept_names.items()}
    if network.crop is not None:
        blueprint |= {"crop": network.crop, "input_shape": network.seen(values.shape[1:])}
    return network, blueprint


def _statistics(spec: RunSpec, data: Fold, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return what inputs are standardised by; a network that reads them as they are gets images in [0, 1]."""
    if not reads_as_is(spec.network, f"{spec.place}.network"):
        return data.statistics(spec.modality, values)
    channels, top = values.shape[1], 255.0 if values.dtype == torch.uint8 else 1.0
    return torch.zeros(channels), torch.full((channels,), top)


def _adopted(
    student: On, teachers: Mapping[str, On], samples: Samples, seed: int
) -> dict[str, Any]:
    """Return the arguments that follow from the teachers: SimKD takes the head, a workspace the sizes."""
    if not student.network.adopts():
        return {}
    torch.manual_seed(derive(seed, "adopt"))
    batch = samples.take(torch.arange(1))
    with torch.no_grad():
        outputs = {name: teacher.eval()(batch) for name, teacher in teachers.items()}
    networks = {name: teacher.network for name, teacher in teachers.items()}
    return student.network.adopt(networks, outputs)


def _fitted(student: On, subset: TrainingSubset, spec: RunSpec) -> dict[str, Any]:
    """Return the arguments that follow from the training samples: a bottleneck chooses its concepts."""
    if not student.network.fits_labels():
        return {}
    torch.manual_seed(derive(spec.seed, "settle"))
    samples, index = subset.samples, subset.index
    inputs = samples.inputs[student.modality][index]
    try:
        return student.network.fit_once(inputs, samples.labels[index], samples.class_names)
    except ValueError as error:
        raise UserError(f"{spec.place}.network: {error}") from error


def start_from(student: On, other: On, place: str, name: str) -> None:
    """Let a student begin with the weights of another stage's network.

    Args:
        student: the network, which decides itself what it takes.
        other: the network to begin with.
        place: of the student's stage, for errors.
        name: of the other stage, for errors.

    Raises:
        UserError: the networks differ.
    """
    try:
        student.network.start(other.network)
    except RuntimeError as error:
        raise UserError(
            f"{place}.start_from: the network of {name!r} has other layers or sizes than this stage's; a start "
            "needs the same network"
        ) from error


def load_learned(
    folder: Path, spec: RunSpec, data: Fold, epoch: Literal["best", "last"] = "best"
) -> On:
    """Read the network of a complete run and compare its classes and its input with the data.

    Args:
        folder: of the run.
        spec: of the run.
        data: the fold.
        epoch: the checkpoint chosen on validation (ESKD), or the one after the last epoch (Full KD).

    Raises:
        UserError: classes or input differ; the sentence says how.
    """
    own = spec.run is None or spec.trust
    network, blueprint = load_network(folder / "best.safetensors", foreign=own)
    if epoch == "last":
        network.load_state_dict(checkpoint.read(folder / "last.safetensors")["student"])
    known, names = blueprint["class_names"], list(data.dataset.class_names)
    if known != names and network.network.knows_names():
        network.network.ask(names)
    elif len(known) != len(names):
        raise UserError(
            f"{spec.place}: the network has {len(known)} classes "
            f"({', '.join(known)}), the data set has {len(names)} ({', '.join(names)})"
        )
    elif known != names:
        raise UserError(
            f"{spec.place}: the network's classes ({', '.join(known)}) are not those of the "
            f"data set ({', '.join(names)})"
        )
    data.check_input(blueprint["modality"], f"{spec.place}.input")
    return network


@dataclass
class StandIns:
    """Untrained networks in place of those of runs: shapes and gradients are the same.

    Args:
        data: a small fold.
        networks: of stages that are there already.
    """

    data: Fold
    networks: dict[str, On] = field(default_factory=dict)

    def __call__(self, spec: RunSpec, epoch: Literal["best", "last"] = "best") -> On:
        """Return the network of a run."""
        if spec.stage not in self.networks:
            self.networks[spec.stage] = self._made(spec)
        return self.networks[spec.stage]

    def _made(self, spec: RunSpec) -> On:
        if spec.run is not None:
            return load_learned(Path(spec.run), spec, self.data)
        teachers = {name: self(other) for name, other in spec.teachers.items()}
        samples = self.data.samples(
            sorted({spec.modality, *(teacher.modality for teacher in teachers.values())})
        )
        # Of a few samples, no more can be asked than there are.
        whole = replace(spec, labelled=None, shown="all")
        sides = sides_of(whole, self.data, samples)
        return make_student(whole, self.data, samples, sides, teachers).network
