"""Layers between the features of a student and those of a teacher, built from one dry run."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tutelage.losses.shapes import feature
from tutelage.types import Output


def named(taps: Sequence[str]) -> tuple[str, ...]:
    """Return the names of features.

    Raises:
        ValueError: there is none.
    """
    if not taps:
        raise ValueError("taps: the list is empty; name at least one feature, such as 'stage3'")
    return tuple(taps)


def pairs(student: Output, teacher: Output, taps: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """Return the features of both outputs, tap by tap.

    Raises:
        ValueError: an output has no such tap.
    """
    return [(feature(student, tap), feature(teacher, tap)) for tap in taps]


def by_tap(
    loss: Callable[[Tensor, Tensor], Tensor], student: Output, teacher: Output, taps: Sequence[str]
) -> Tensor:
    """Return a loss of the features of both outputs, tap by tap, [taps, B]."""
    return torch.stack([loss(s, t) for s, t in pairs(student, teacher, taps)])


def means(x: Tensor) -> Tensor:
    """Return the mean over space of a feature [B, channels, ...], [B, channels]; of a vector, itself."""
    return x if x.ndim == 2 else x.flatten(2).mean(dim=2)


def pointwise(
    student: Tensor, channels: int, *, norm: bool = True, active: bool = True
) -> nn.Sequential:
    """Return a layer from the student's channels to ``channels`` at each position.

    Args:
        student: a feature of the student, [B, c, ...]; decides the kind of layer.
        channels: wanted.
        norm: batch normalisation behind it.
        active: ReLU at the end.
    """
    kinds: dict[int, tuple[type[nn.Module], type[nn.Module]]] = {
        2: (nn.Linear, nn.BatchNorm1d),
        3: (nn.Conv1d, nn.BatchNorm1d),
        4: (nn.Conv2d, nn.BatchNorm2d),
    }
    layer, normalise = kinds[student.ndim]
    sizes = (student.shape[1], channels) if student.ndim == 2 else (student.shape[1], channels, 1)
    layers = [layer(*sizes, bias=not norm)]
    if norm:
        layers.append(normalise(channels))
    if active:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
