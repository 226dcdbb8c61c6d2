"""Maps of where a network is active, and how two networks' maps are compared."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, linalg

from tutelage.losses.precision import full
from tutelage.losses.shapes import pooled, same_axes, same_positions
from tutelage.losses.similarity import row_normalise

Convention = Literal["mean_square", "paper"]


def attention_map(feature: Tensor, power: float = 2.0) -> Tensor:
    """Where a network is active: the mean over channels of |F|^power, as a unit vector over positions.

    Args:
        feature: [B, channels, ...].
        power: exponent, >= 1; with 2 the strong positions count more.

    Returns:
        [B, positions], each row of length one (or zero, where the feature is).

    Source:
        Zagoruyko & Komodakis 2017, arXiv:1612.03928, sec. 3.1. Their sum over channels is our mean: the same
        after normalisation.
    """
    return row_normalise(full(feature).abs().pow(power).mean(dim=1).flatten(1))


def attention_transfer(
    student: Tensor, teacher: Tensor, *, power: float = 2.0, convention: Convention = "mean_square"
) -> Tensor:
    """Distance of the attention maps of two features (AT).

    Args:
        student: [B, channels, ...].
        teacher: [B, channels', ...]; no gradient flows here. Where the axes of space differ, the larger feature
            map is averaged to the smaller one before it is squared.
        power: exponent of the activation, >= 1.
        convention: ``mean_square``: mean over positions of the squared difference; ``paper``: half the L2 norm of
            the difference.

    Returns:
        [B]; ``mean_square`` in [0, 2 / positions], ``paper`` in [0, 1/sqrt(2)].

    Raises:
        ValueError: fewer than two positions in common.

    Source:
        Zagoruyko & Komodakis 2017, arXiv:1612.03928, eq. 2 (``paper``; their beta/2 is a coefficient of this).
        ``mean_square`` is their released code and RepDistiller's, to which beta = 1000 belongs.
        Differs from RepDistiller: |F|^p instead of F^p, which matters for odd p only, and any axes of space.
    """
    s, t = same_positions(full(student), full(teacher.detach()))
    gap = attention_map(s, power) - attention_map(t, power)
    if convention == "paper":
        length: Tensor = linalg.vector_norm(gap, dim=1)
        return length / 2
    return gap.square().mean(dim=1)


def matched_maps(
    students: Sequence[Tensor], teachers: Sequence[Tensor], attention: Tensor
) -> Tensor:
    """Distance of every map of a teacher from every map of a student, by how well the two fit (AFD).

    Args:
        students: S features, [B, channels, ...] each.
        teachers: T features, likewise; no gradient flows here.
        attention: how much of teacher feature t is asked of student feature s, [B, T, S]; rows sum to one.

    Returns:
        [B]: ``sum_t sum_s attention[t, s] · mean over positions of (v_t - v_s)²``, where v is the
        channel mean of F² as a unit vector over positions. The student's map is brought to the teacher's size
        after it is squared.

    Raises:
        ValueError: a teacher's feature has one position only.

    Source:
        Ji et al. 2021, arXiv:2102.02973; code clovaai/attention-feature-distillation. Differs from it: a map with
        more axes of space than the other loses its height by averaging.
    """
    maps_s = [_energy(feature) for feature in students]
    maps_t = [_energy(feature.detach()) for feature in teachers]
    rows = [
        attention[:, i, j] * _map_distance(s, t)
        for i, t in enumerate(maps_t)
        for j, s in enumerate(maps_s)
    ]
    return torch.stack(rows).sum(dim=0)


def _energy(feature: Tensor) -> Tensor:
    return full(feature).square().mean(dim=1, keepdim=True)


def _map_distance(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = same_axes(student, teacher)
    if t[0].numel() < 2:
        raise ValueError(
            "the map of a teacher's feature has one position beside the student's "
            "(allowed: at least two; take a tap before the last pooling)"
        )
    gap = row_normalise(pooled(s, t.shape[2:]).flatten(1)) - row_normalise(t.flatten(1))
    return gap.square().mean(dim=1)
