"""What each objective adds to the gradient of the student: measured in few steps, without touching any of them.

A measurement is one more backward pass per objective. It is made at places of training that follow from the clock
alone, so a resumed run measures where an undisturbed one does.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import torch
from torch import Tensor, nn

from tutelage.objectives import CurriculumLabels, Distiller, GradientPart, Labels
from tutelage.ranks import Ranks
from tutelage.types import Clock

__all__ = ["due", "gradient_parts", "gradients_of", "is_compiled", "labels_of", "norm_of"]

_STEPS = 40
"""Steps of training for each measured objective: its backward pass is about two thirds of one of them."""


def due(clock: Clock, objectives: int) -> bool:
    """Return whether this step is measured: the first one, and so few others that they cost below 2 %.

    Args:
        clock: of the step.
        objectives: how many there are; a single one has the whole gradient, and is not measured.
    """
    if objectives < 2:
        return False
    apart = _STEPS * objectives
    if clock.epoch % ceil(apart / clock.steps_per_epoch):
        return False
    count = max(1, clock.steps_per_epoch // apart)
    gap = clock.steps_per_epoch // count
    place = clock.step - clock.epoch * clock.steps_per_epoch
    return place % gap == 0 and place // gap < count


def is_compiled(student: nn.Module) -> bool:
    """Return whether a part of a network is compiled: its graph can be gone through once only."""
    return any(module._compiled_call_impl is not None for module in student.modules())


def gradients_of(
    losses: Sequence[Tensor], parameters: Sequence[Tensor], ranks: Ranks | None = None
) -> list[Tensor]:
    """Return the gradient of the mean of each loss [B] at these parameters, [P] each; the graph is kept.

    Args:
        losses: one number per sample each.
        parameters: P numbers in all.
        ranks: the processes that passed a part of the batch each.
    """
    return [_flat(_gradient(loss.mean(), parameters, ranks), parameters) for loss in losses]


def _gradient(
    loss: Tensor, parameters: Sequence[Tensor], ranks: Ranks | None
) -> tuple[Tensor | None, ...]:
    if not loss.requires_grad:
        return (None,) * len(parameters)
    if ranks is None:
        return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return ranks.gradient(loss, parameters)


def _flat(gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def norm_of(gradient: Tensor) -> float:
    """Return the norm of a gradient [P], summed in double precision."""
    return float(torch.linalg.vector_norm(gradient, dtype=torch.float64))


def gradient_parts(
    gradients: Mapping[str, Tensor], distiller: Distiller, clock: Clock
) -> dict[str, GradientPart]:
    """Return what each objective adds, from the gradients of their batch means.

    Args:
        gradients: by objective, [P].
        distiller: whose coefficients at this time they are multiplied by.
        clock: the time.
    """
    sizes = {name: norm_of(values) for name, values in gradients.items()}
    norms = {n: float(distiller.coefficient(n, clock)) * size for n, size in sizes.items()}
    total = sum(norms.values())
    labels = labels_of(distiller)
    return {
        name: GradientPart(
            norm,
            norm / total if total else 0.0,
            None if labels in (None, name) else _cosine(gradients[name], gradients[labels]),
        )
        for name, norm in norms.items()
    }


def labels_of(distiller: Distiller) -> str | None:
    """Return the first objective that learns from hard labels, or None."""
    kinds = (Labels, CurriculumLabels)
    return next((n for n, o in distiller.objectives.items() if isinstance(o, kinds)), None)


def _cosine(a: Tensor, b: Tensor) -> float | None:
    sizes = norm_of(a) * norm_of(b)
    return float(a.double() @ b.double()) / sizes if sizes else None
