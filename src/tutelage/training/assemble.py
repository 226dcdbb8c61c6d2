"""One run put together: everything its training needs, before the first step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tutelage.batches import Samples
from tutelage.models import On, Size, measure
from tutelage.ranks import Ranks
from tutelage.recipe.config import Recipe, Train
from tutelage.recipe.fold import Fold, Progress
from tutelage.recipe.groups import TrainingSubset, of_classes, restrict_classes, training_subset
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import Job
from tutelage.runs.folder import now
from tutelage.seeds import derive
from tutelage.steps import Step
from tutelage.train import Settings, Training
from tutelage.training.stage import (
    Ready,
    adopt,
    distiller_of,
    facts_of,
    fit_once,
    load_teacher,
    make_fabric,
    network_for,
    refuse_misplaced,
    settings_of,
    start_from,
    step_of,
    teachers_live,
    teachers_of,
)

__all__ = ["Assembled", "Context", "assemble"]


@dataclass(frozen=True)
class Context:
    """What the runs of one experiment share.

    Args:
        recipe: the recipe.
        folder: of the experiment.
        cache: root of representations, teacher outputs and locks.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        code: version and commit.
        found: fingerprint -> run folder of what is complete already.
        devices: processes of one training.
    """

    recipe: Recipe
    folder: Path
    cache: Path
    accelerator: str
    code: Mapping[str, Any]
    found: Mapping[str, Path]
    devices: int = 1


@dataclass(frozen=True)
class Assembled:
    """One run, ready to train.

    Args:
        context: of the experiment.
        job: which stage, fold and seed.
        data: the fold.
        training: who learns, from whom, on what.
        step: how parameters move.
        settings: length and order.
        fabric: device and precision; or the processes that train it together.
        ready: student, objectives, networks of the teachers and samples.
        samples: with true labels.
        sides: sample ids of train, validation and test.
        spec: what rebuilds the student.
        size: of the student.
        started: when it began to be put together.
    """

    context: Context
    job: Job
    data: Fold
    training: Training
    step: Step
    settings: Settings
    fabric: Any
    ready: Ready
    samples: Samples
    sides: Mapping[str, Tensor]
    spec: Mapping[str, Any]
    size: Size
    started: str

    @property
    def train(self) -> Train:
        """Settings of the stage."""
        return self.context.recipe.train_of(self.job.stage)

    @property
    def own(self) -> str:
        """The modality that the student reads."""
        return self.context.recipe.input_of(self.job.stage, self.data.dataset.modality)


def assemble(
    context: Context, job: Job, data: Fold, progress: Progress, ranks: Ranks | None = None
) -> Assembled:
    """Put a run together; the outputs of its teachers are cached on the way.

    Args:
        context: what the runs share.
        job: which stage, fold and seed.
        data: the fold.
        progress: called during long preparations.
        ranks: the processes that train it together, of which this is one; None for this one alone.

    Raises:
        UserError: something does not fit.
    """
    recipe, place, started = context.recipe, f"stages.{job.stage}", now()
    train = recipe.train_of(job.stage)
    fabric = ranks or make_fabric(train, context.accelerator)
    teachers, samples, student, spec = _networks(context, job, data, progress)
    sides = {
        name: of_classes(torch.from_numpy(side), samples, recipe.stages[job.stage].classes, place)
        for name, side in data.split.sides().items()
    }
    lesson = training_subset(recipe, job.stage, samples, sides, [job.seed, job.fold])
    restrict_classes(student, lesson.classes)
    spec["network"] |= fit_once(student, lesson.samples, lesson.index, job.seed, place)
    size = measure(student.network, spec["input_shape"])
    if job.start is not None:
        other, _ = load_network(context.found[job.start.fingerprint] / "best.safetensors")
        start_from(student, other, place, job.start.stage)
    student.to(fabric.device)
    ready = Ready(student, distiller_of(recipe, job.stage), teachers, lesson.samples)
    test = sides["test"] if recipe.protocol == "legacy" else None
    training, settings = _training(context, job, ready, lesson, test, fabric, progress)
    return Assembled(
        context, job, data, training, step_of(train, f"{place}.train"), settings, fabric, ready,
        samples, sides, spec, size, started,
    )  # fmt: skip


def _training(
    context: Context,
    job: Job,
    ready: Ready,
    lesson: TrainingSubset,
    test: Tensor | None,
    fabric: Any,
    progress: Progress,
) -> tuple[Training, Settings]:
    """Return the training of a stage, and its settings."""
    train, place = context.recipe.train_of(job.stage), f"stages.{job.stage}"
    student, samples, index = ready.student, ready.samples, lesson.index
    outputs = teachers_of(
        ready, train, index, context.cache, fabric, f"{place}.train",
        lambda done, total: progress("teachers of " + job.stage, done / total),
    )  # fmt: skip
    # Adapters have a stream of their own: a cache hit must not change their initial values.
    torch.manual_seed(derive(job.seed, "adapters"))
    ready.distiller.prepare(
        facts_of(ready, index, lesson.validation, train.batch_size, fabric.autocast)
    )
    ready.distiller.to(fabric.device)
    if train.compile:
        student.network.compile()
    refuse_misplaced(ready, train, place)
    # Cached teachers are read by sample id: their inputs need not be gathered in training.
    live = teachers_live(train, ready.teachers, f"{place}.train")
    kept = set(samples.inputs) if live else {student.modality}
    training = Training(
        student, ready.distiller, outputs, samples.only(kept), index,
        _monitors(lesson.validation, test), lesson.labelled,
    )  # fmt: skip
    return training, settings_of(train, job.seed, sorted(kept), f"{place}.train")


def _networks(
    context: Context, job: Job, data: Fold, progress: Progress
) -> tuple[dict[str, On], Samples, On, dict[str, Any]]:
    """Return teachers, samples with all their inputs, and the student with the spec that rebuilds it."""
    recipe = context.recipe
    epoch = recipe.stages[job.stage].teacher_epoch
    teachers = {
        name: load_teacher(context.found[other.fingerprint], name, data, epoch)
        for name, other in job.teachers.items()
    }
    own = recipe.input_of(job.stage, data.dataset.modality)
    names = sorted({own, *(teacher.modality for teacher in teachers.values())})
    samples = data.samples(names, progress)
    student, spec = network_for(recipe, job.stage, data, samples, job.seed)
    spec["network"] |= adopt(student, teachers, samples, job.seed)
    return teachers, samples, student, spec


def _monitors(validation: Tensor, test: Tensor | None) -> dict[str, Tensor]:
    found = {"validation": validation} if len(validation) else {}
    return found if test is None else found | {"test": test}
