"""Everything of a recipe assembled and tried on one small batch, before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tutelage.augment import augmented
from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.models import On, measure
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import RunSpec
from tutelage.training.assemble import Assembled, Context, assemble, must_run
from tutelage.training.concept_survey import try_explaining
from tutelage.training.drowning import drowning
from tutelage.training.hidden_labels import refuse_hidden
from tutelage.training.settings import make_step
from tutelage.training.student import StandIns
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
        reach: objective -> norm of the gradient it alone sends to the student, before its coefficient.
        warnings: what is no mistake, and likely no wish either; a sentence each.
    """

    stage: str
    input: str
    network: str
    parameters: int
    macs: int
    scaffolding: int
    reach: Mapping[str, float]
    warnings: tuple[str, ...] = ()


def check(specs: Sequence[RunSpec], data: Fold, *, gradients: bool = True) -> list[Checked]:
    """Assemble every stage as a run would be, on a few samples and the CPU, and try one batch of it.

    Teachers that are not trained yet are stood for by their untrained networks: shapes and gradients are
    the same.

    Args:
        specs: the runs of one fold, each after those it needs; of each stage the first one is tried.
        data: the fold.
        gradients: also back-propagate every objective alone.

    Raises:
        UserError: anything does not fit; an objective does not reach the student; a trainable
            parameter gets no gradient; a teacher does.
    """
    networks: dict[str, On] = {}
    stages = {spec.stage: spec for spec in reversed(specs)}
    order = dict.fromkeys(spec.stage for spec in specs)
    return [_checked(stages[name], data, networks, gradients) for name in order]


def _checked(spec: RunSpec, data: Fold, networks: dict[str, On], gradients: bool) -> Checked:
    small = data.small(_SAMPLES, spec.taken)
    learned = StandIns(small, networks)
    if spec.run is not None:
        network = learned(spec)
        samples = small.samples([network.modality])
        try_explaining(network, samples, torch.from_numpy(small.split.train), spec.place)
        return _told(spec, network, samples, 0, {})
    try:
        made = assemble(_shrunk(spec, small), small, _CONTEXT, _unheard, learned=learned)
        networks[spec.stage] = made.student
        reach = _tried(spec, made, gradients)
    except (KeyError, ValueError) as error:
        raise (
            error if isinstance(error, UserError) else UserError(f"{spec.place}: {error}")
        ) from error
    scaffolding = sum(p.numel() for p in made.distiller.parameters())
    told = _told(spec, made.student, made.samples, scaffolding, reach)
    return replace(told, warnings=drowning(made.distiller, reach, spec))


_CONTEXT = Context(Path(), Path(), "cpu", {}, {})


def _unheard(what: str, fraction: float) -> None:
    """A dry run takes no time that were worth a word."""


def _shrunk(spec: RunSpec, small: Fold) -> RunSpec:
    """Return a run as it would be with no more samples, classes and labels than there are.

    Its batch is all training samples, or as many as divide the batch size, so an objective that cuts a batch into
    equal parts refuses the dry run only where it would refuse training.
    """
    names, labels = small.dataset.class_names, small.dataset.labels[small.split.train]
    size = max((n for n in range(1, len(labels) + 1) if spec.train.batch_size % n == 0), default=0)
    own = {
        "batch_size": size if size >= _SAMPLES // 2 else len(labels),
        "compile": False,
        "precision": "32-true",
        "teachers": "live",
        "epoch_samples": None,
    }
    # A thousand classes' texts with gradients are more than a laptop holds.
    present = tuple(names[i] for i in sorted(set(labels.tolist())) if i >= 0)
    return replace(
        spec, seed=0, train=spec.train.model_copy(update=own), train_classes=present, labelled=None,
        shown="all", unlabelled=False,
    )  # fmt: skip


def _tried(spec: RunSpec, made: Assembled, gradients: bool) -> dict[str, float]:
    """Try one batch; return what :class:`Checked` calls ``reach``."""
    must_run(spec, made.teachers)
    index = made.subset.index[: made.spec.train.batch_size]
    if made.samples.concepts:  # a change may not know how to move them
        augments = made.settings.augmentation.augments
        augmented(made.samples.take(index[:1]), augments, torch.Generator())
    trained = spec.train.epochs > 0
    if trained:
        _bind(spec, made)
    if trained and (spec.unlabelled or _partly(spec, made)):
        refuse_hidden(made, index, none=spec.unlabelled)
    reach = _try(made, index) if gradients and trained else {}
    try_explaining(made.student, made.samples, index, spec.place)
    return reach


def _told(
    spec: RunSpec, network: On, samples: Samples, scaffolding: int, reach: Mapping[str, float]
) -> Checked:
    size = measure(network.network, network.seen(samples.inputs[network.modality].shape[1:]))
    kind = type(network.network).__name__
    return Checked(
        spec.stage, network.modality, kind, size.parameters, size.macs, scaffolding, reach
    )


def _bind(spec: RunSpec, made: Assembled) -> None:
    """Let the step refuse a student or objectives that it cannot train."""
    try:
        make_step(spec).bind(made.fabric, made.student, made.distiller)
    except UserError as error:
        raise UserError(f"{spec.place}.{error}") from error


def _partly(spec: RunSpec, made: Assembled) -> bool:
    """Whether a run is shown samples whose labels are hidden beside those whose labels it may see."""
    return spec.shown == "all" and (spec.labelled is not None or made.data.partly_labelled)


def _try(made: Assembled, index: Tensor) -> dict[str, float]:
    place = made.spec.place
    for teacher in made.teachers.values():
        teacher.eval().requires_grad_(False)
    made.student.train()
    batch = made.samples.take(index)
    wanted = made.distiller.needs()
    with torch.no_grad():
        outputs = {name: teacher(batch) for name, teacher in made.teachers.items()}
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
        key: _alone(made, View(made.student(batch), watched, batch, Clock()), key)
        for key in made.distiller.objectives
    }
    _all_parameters(made, View(made.student(batch), outputs, batch, Clock()))
    for name, output in watched.items():
        if output.logits.grad is not None and bool(output.logits.grad.any()):
            raise UserError(f"{place}: a gradient reaches teacher {name!r}, which is frozen")
    return reach


def _alone(made: Assembled, view: View, key: str) -> float:
    place = made.spec.place
    made.student.zero_grad()
    try:
        losses = made.distiller.objectives[key](view)
    except (KeyError, ValueError) as error:
        raise UserError(f"{place}.distiller.{key}: {error}") from error
    if losses.shape != (len(view.batch.labels),):
        raise UserError(
            f"{place}.distiller.{key}: returned shape {list(losses.shape)}; allowed: one number per "
            f"sample, [{len(view.batch.labels)}]"
        )
    if losses.requires_grad:
        losses.mean().backward()
    gradients = [p.grad for p in made.student.parameters() if p.grad is not None]
    norm = float(torch.stack([g.norm() for g in gradients]).norm()) if gradients else 0.0
    if not norm > 0:
        raise UserError(
            f"{place}.distiller.{key}: sends no gradient to the student, so it would train nothing"
        )
    return norm


def _all_parameters(made: Assembled, view: View) -> None:
    made.student.zero_grad()
    made.distiller.zero_grad()
    # Every objective counts here, also one whose coefficient starts at zero.
    parts = made.distiller(view).parts
    total: Tensor = torch.stack(list(parts.values())).mean()
    total.backward()  # type: ignore[no-untyped-call]
    for owner, module in (("student", made.student), ("distiller", made.distiller)):
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and parameter.grad is None:
                raise UserError(
                    f"{made.spec.place}: parameter {name!r} of the {owner} gets no gradient from any objective"
                )
