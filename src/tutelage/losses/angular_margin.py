"""Attention maps compared as angles, with a margin between where a network looks and where it does not."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, linalg
from torch.nn import functional as F

from tutelage.losses.precision import full
from tutelage.losses.shapes import same_positions
from tutelage.losses.similarity import row_normalise

Part = Literal["angular", "positive", "negative"]
PARTS: tuple[Part, ...] = ("angular", "positive", "negative")


def angular_margin(
    student: Tensor,
    teacher: Tensor,
    *,
    margin: float = 1.35,
    scale: float = 64.0,
    parts: Sequence[Part] = PARTS,
    local_weight: float = 0.0,
    mask: bool = False,
) -> Tensor:
    """Distance of the angular distributions of two attention maps (AMD).

    A feature becomes a point Q on a sphere: the channel sum of F², divided by its length over positions
    (+ 1e-6). Of every position, ``positive = scale · cos(margin · arccos Q)`` says how much the network looks
    there, ``negative = scale · (1 - Q)`` how little, and ``angular = positive - log(e^positive + e^negative)``
    weighs one against the other. Each of the three is made a unit vector over positions and compared.

    Args:
        student: [B, channels, ...].
        teacher: [B, channels', ...]; no gradient flows here. Where the axes of space differ, the larger feature
            map is averaged to the smaller one before it is squared.
        margin: multiplies the angle; in (0, 2]. The authors' m.
        scale: above 0. The authors' s.
        parts: which of the three are compared; the mean over those chosen is returned.
        local_weight: share of the local distance, in [0, 1]: the mean over the four quarters of the map (quadrants
            of an image, quarters of time of a signal), where Q is that of the whole map and unit length
            belongs to the quarter. The global distance has the rest.
        mask: the teacher's Q is set to 0 where it is not above the middle between its smallest and its
            largest value.

    Returns:
        [B]: the mean over positions of the squared differences, mean over ``parts``.

    Raises:
        ValueError: fewer than two positions in common; fewer than four (2 x 2 in an image) with ``local_weight``.

    Source:
        Jeon et al. 2023, Neurocomputing 518, arXiv:2302.14130; code jeunsom/AMD_loss. ``parts`` are its A, P, N.
        Differs from the paper: mean over positions instead of a Frobenius norm, as in the code; their
        gamma = 5000 belongs to the mean. Differs from the code: ``angular`` as a log-sigmoid in float32, because
        e^64 overflows in half precision; the local form follows the paper, because the code's cannot run (``excl``
        is read before it is set). ``mask`` is a reconstruction: the released code does not have it.
    """
    s, t = same_positions(full(student), full(teacher.detach()))
    q_s, q_t = _sphere(s), _sphere(t)
    if mask:
        q_t = q_t * _salient(q_t)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        maps_x, maps_y = _maps(x.flatten(1), margin, scale), _maps(y.flatten(1), margin, scale)
        gaps = [(maps_x[part] - maps_y[part]).square().mean(dim=1) for part in parts]
        return torch.stack(gaps).mean(dim=0)

    everywhere = distance(q_s, q_t)
    if local_weight == 0:
        return everywhere
    quarters = [distance(x, y) for x, y in zip(_quarters(q_s), _quarters(q_t), strict=True)]
    local = torch.stack(quarters).mean(dim=0)
    return (1 - local_weight) * everywhere + local_weight * local


def looking_angles(feature: Tensor) -> tuple[Tensor, Tensor]:
    """Return the angle of every position of a feature, and whether the network looks there.

    Args:
        feature: [B, channels, ...].

    Returns:
        arccos Q in radians, [B, ...]: 0 where all of the energy is, a right angle where there is none; and where Q
        lies above the middle between its smallest and its largest value of the sample, which is AMD's mask.
    """
    q = _sphere(full(feature))
    return torch.acos(q.clamp(max=1 - 1e-7)), _salient(q)


def _sphere(feature: Tensor) -> Tensor:
    """Return Q, [B, ...] without channels."""
    energy = feature.square().sum(dim=1)
    axes = tuple(range(1, energy.ndim))
    length: Tensor = linalg.vector_norm(energy, dim=axes, keepdim=True)
    return energy / (length + 1e-6)


def _maps(q: Tensor, margin: float, scale: float) -> dict[Part, Tensor]:
    """Return the three maps as unit vectors, [B, positions] each."""
    # At Q = 1 the slope of arccos is infinite.
    positive = scale * torch.cos(margin * torch.acos(q.clamp(max=1 - 1e-7)))
    negative = scale * (1 - q)
    angular = F.logsigmoid(positive - negative)
    return {
        "angular": row_normalise(angular),
        "positive": row_normalise(positive),
        "negative": row_normalise(negative),
    }


def _salient(q: Tensor) -> Tensor:
    flat = q.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    return (flat > (low + high) / 2).view_as(q)


def _quarters(q: Tensor) -> list[Tensor]:
    """Return the quadrants of [B, height, width], or the quarters of [B, time]."""
    if min(q.shape[1:]) < (4 if q.ndim == 2 else 2):
        raise ValueError(
            f"local_weight: the map of size {list(q.shape[1:])} has no four quarters "
            "(allowed: [4] and more, [2, 2] and more, or local_weight: 0)"
        )
    if q.ndim == 2:
        borders = [i * q.shape[1] // 4 for i in range(5)]
        return [q[:, a:b] for a, b in pairwise(borders)]
    h, w = q.shape[1] // 2, q.shape[2] // 2
    return [q[:, :h, :w], q[:, :h, w:], q[:, h:, :w], q[:, h:, w:]]
