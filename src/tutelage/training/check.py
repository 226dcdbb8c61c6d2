"""Everything of a recipe built and tried on one small batch, before anything is trained."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tutelage.augment import augmented
from tutelage.errors import UserError
from tutelage.models import On, measure
from tutelage.recipe.config import Recipe, Train
from tutelage.recipe.fold import Fold
from tutelage.recipe.groups import compete, of_classes, refuse_unfit, taught
from tutelage.recipe.instantiate import build
from tutelage.recipe.resolve import order_of
from tutelage.steps import Step
from tutelage.training.concept_survey import try_explaining
from tutelage.training.stage import (
    Ready,
    adopt,
    cpu_fabric,
    distiller_of,
    facts_of,
    load_teacher,
    network_for,
    refuse_misplaced,
    settings_of,
    settle,
    start_from,
    step_of,
    teachers_live,
)
from tutelage.types import Clock, View

__all__ = ["Checked", "check"]

_SAMPLES = 24  # of the dry run: enough for similarity maps, small enough for seconds on a laptop


@dataclass(frozen=True)
class Checked:
    """What the dry run of one stage found.

    Args:
        stage: name.
        input: modality the network reads.
        network: class name.
        parameters: of the exported network.
        macs: multiply-adds of one prediction.
        scaffolding: parameters of the distiller, dropped at export.
        reach: objective -> norm of the gradient it alone sends to the student.
    """

    stage: str
    input: str
    network: str
    parameters: int
    macs: int
    scaffolding: int
    reach: Mapping[str, float]


def check(recipe: Recipe, data: Fold, *, gradients: bool = True) -> list[Checked]:
    """Build every stage and run one batch of it on the CPU.

    Teachers that are not trained yet are stood for by their untrained networks: shapes and gradients are
    the same.

    Args:
        recipe: what to check.
        data: one fold of it.
        gradients: also back-propagate every objective alone.

    Raises:
        UserError: anything does not fit; an objective does not reach the student; a trainable
            parameter gets no gradient; a teacher does.
    """
    refuse_unfit(recipe, data)
    for target, description in recipe.transfer.items():
        build("tutelage.data", description, f"transfer.{target}", method="load")
    whole = data.small(_SAMPLES)
    networks: dict[str, On] = {}
    found = []
    for name in order_of(recipe):
        classes = taught(recipe, name, data.dataset.class_names)
        small = data.small(_SAMPLES, classes) if classes else whole
        for modality in recipe.train_of(name).augment:
            data.check_input(modality, f"stages.{name}.train.augment")
        data.check_input(recipe.input_of(name, data.dataset.modality), f"stages.{name}.input")
        found.append(_stage(recipe, name, small, networks, gradients))
    return found


def _stage(
    recipe: Recipe, name: str, small: Fold, networks: dict[str, On], gradients: bool
) -> Checked:
    stage = recipe.stages[name]
    own = recipe.input_of(name, small.dataset.modality)
    teachers = {teacher: networks[teacher] for teacher in stage.teachers}
    modalities = sorted({own, *(teacher.modality for teacher in teachers.values())})
    samples = small.samples(modalities)
    index = of_classes(
        torch.from_numpy(small.split.train), samples, stage.classes, f"stages.{name}"
    )
    if stage.run is not None:
        network = load_teacher(Path(stage.run), name, small)
        spec = {"input_shape": network.seen(samples.inputs[network.modality].shape[1:])}
    else:
        network, spec = network_for(recipe, name, small, samples, seed=0)
        adopt(network, teachers, samples, seed=0)
        # As few as there are: a thousand classes' texts with gradients are more than a laptop holds.
        compete(
            network, [samples.class_names[i] for i in sorted(set(samples.labels[index].tolist()))]
        )
        settle(network, samples, index, 0, f"stages.{name}")
    networks[name] = network
    ready = Ready(network, distiller_of(recipe, name), teachers, samples)
    validation = torch.from_numpy(small.split.validation)
    place = f"stages.{name}"
    train = recipe.train_of(name)
    index = _like_a_batch(index, train.batch_size)
    step = step_of(train, f"{place}.train")
    refuse_misplaced(ready, train, place)
    augmentation = settings_of(train, 0, modalities, f"{place}.train").augmentation
    if samples.concepts:  # a change may not know how to move them
        augmented(samples.take(index[:1]), augmentation.augments, torch.Generator())
    teachers_live(train, teachers, f"{place}.train")
    try:
        ready.distiller.prepare(facts_of(ready, index, validation, len(index)))
        if stage.start_from is not None:
            start_from(network, networks[stage.start_from], place, stage.start_from)
        trained = stage.run is None and train.epochs > 0
        if trained:
            _bind(step, ready, place)
        if trained and stage.unlabelled:
            _refuse_labels(ready, train, index, place)
        reach = _try(ready, index, place) if gradients and trained else {}
        try_explaining(network, samples, index, place)
    except (KeyError, ValueError) as error:
        raise error if isinstance(error, UserError) else UserError(f"{place}: {error}") from error
    size = measure(network.network, spec["input_shape"])
    scaffolding = sum(p.numel() for p in ready.distiller.parameters())
    kind = type(network.network).__name__
    return Checked(name, network.modality, kind, size.parameters, size.macs, scaffolding, reach)


def _like_a_batch(index: Tensor, batch_size: int) -> Tensor:
    """Return as many of these ids as divide the batch size.

    So an objective that cuts a batch into equal parts refuses the dry run only where it would refuse training.
    """
    count = max((n for n in range(1, len(index) + 1) if batch_size % n == 0), default=0)
    return index[:count] if count >= _SAMPLES // 2 else index


def _bind(step: Step, ready: Ready, place: str) -> None:
    """Let the step refuse a student or objectives that it cannot train."""
    try:
        step.bind(cpu_fabric(), ready.student, ready.distiller)
    except UserError as error:
        raise UserError(f"{place}.{error}") from error


def _refuse_labels(ready: Ready, train: Train, index: Tensor, place: str) -> None:
    """Refuse whatever says something else when the labels of the training samples are others."""
    wanted = "allowed: what reads no labels, or unlabelled: false"
    if train.sampler == "class_aware":
        raise UserError(
            f"{place}.train.sampler: class_aware reads labels, which are hidden ({wanted})"
        )
    if hasattr(ready.student.network, "settle"):
        raise UserError(f"{place}.network: it is settled by labels, which are hidden ({wanted})")
    batch = ready.samples.take(index)
    other = replace(batch, labels=(batch.labels + 1) % len(ready.samples.class_names))
    ready.student.train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        teachers = {name: teacher.eval()(batch) for name, teacher in ready.teachers.items()}
        student = ready.student(batch)
        for key, objective in ready.distiller.objectives.items():
            said = []
            for seen in (batch, other):
                torch.manual_seed(0)
                # A copy: an objective may remember what it was asked before.
                said.append(deepcopy(objective)(View(student, teachers, seen, Clock())))
            if not torch.equal(*said):
                raise UserError(
                    f"{place}.distiller.{key}: reads labels, which are hidden ({wanted})"
                )


def _try(ready: Ready, index: Tensor, place: str) -> dict[str, float]:
    for teacher in ready.teachers.values():
        teacher.eval().requires_grad_(False)
    ready.student.train()
    batch = ready.samples.take(index)
    wanted = ready.distiller.needs()
    with torch.no_grad():
        outputs = {name: teacher(batch) for name, teacher in ready.teachers.items()}
    for name, output in outputs.items():
        for tap in sorted((wanted.features | wanted.grams) - output.features.keys()):
            raise UserError(
                f"{place}: teacher {name!r} has no feature {tap!r} (it has: {', '.join(output.features)})"
            )
    # Graph-carrying stand-ins: a gradient that reached a teacher's output would show.
    watched = {
        name: replace(output, logits=output.logits.clone().requires_grad_())
        for name, output in outputs.items()
    }
    reach = {
        key: _alone(ready, View(ready.student(batch), watched, batch, Clock()), key, place)
        for key in ready.distiller.objectives
    }
    _all_parameters(ready, View(ready.student(batch), outputs, batch, Clock()), place)
    for name, output in watched.items():
        if output.logits.grad is not None and bool(output.logits.grad.any()):
            raise UserError(f"{place}: a gradient reaches teacher {name!r}, which is frozen")
    return reach


def _alone(ready: Ready, view: View, key: str, place: str) -> float:
    ready.student.zero_grad()
    try:
        losses = ready.distiller.objectives[key](view)
    except (KeyError, ValueError) as error:
        raise UserError(f"{place}.distiller.{key}: {error}") from error
    if losses.shape != (len(view.batch.labels),):
        raise UserError(
            f"{place}.distiller.{key}: returned shape {list(losses.shape)}; allowed: one number per "
            f"sample, [{len(view.batch.labels)}]"
        )
    if losses.requires_grad:
        losses.mean().backward()
    gradients = [p.grad for p in ready.student.parameters() if p.grad is not None]
    norm = float(torch.stack([g.norm() for g in gradients]).norm()) if gradients else 0.0
    if not norm > 0:
        raise UserError(
            f"{place}.distiller.{key}: sends no gradient to the student, so it would train nothing"
        )
    return norm


def _all_parameters(ready: Ready, view: View, place: str) -> None:
    ready.student.zero_grad()
    ready.distiller.zero_grad()
    # Every objective counts here, also one whose coefficient starts at zero.
    parts = ready.distiller(view).parts
    total: Tensor = torch.stack(list(parts.values())).mean()
    total.backward()  # type: ignore[no-untyped-call]
    for owner, module in (("student", ready.student), ("distiller", ready.distiller)):
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and parameter.grad is None:
                raise UserError(
                    f"{place}: parameter {name!r} of the {owner} gets no gradient from any objective"
                )
