"""Features compared channel by channel, where some channels count more than others."""

import torch
from torch import Tensor, linalg

from tutelage.losses.precision import full
from tutelage.losses.shapes import same_positions


def channel_distance(student: Tensor, teacher: Tensor, attention: Tensor) -> Tensor:
    """Distance of two features with the same channels, weighted over channels.

    Args:
        student: [B, c, ...].
        teacher: [B, c, ...]; no gradient flows here. Where the axes of space differ, the larger map is
            averaged to the smaller.
        attention: weight of each channel, [B, c]; rows sum to one.

    Returns:
        [B]: ``sum_c attention_c · mean over positions of (s_c - t_c)²``, where s and t are the maps of a
        channel divided by their length (+ 1e-6). In [0, 4 / positions].

    Raises:
        ValueError: the numbers of channels differ, or fewer than two positions in common.

    Source:
        Wang et al. 2020, "Pay attention to features, transfer learn faster CNNs", ICLR, in the form of
        AberHu/Knowledge-Distillation-Zoo (``kd_losses/afd.py``).
    """
    if student.shape[1] != teacher.shape[1]:
        raise ValueError(
            f"the student's feature has {student.shape[1]} channels, the teacher's {teacher.shape[1]} "
            "(allowed: equal numbers)"
        )
    s, t = same_positions(full(student), full(teacher.detach()))
    gap = _unit(s.flatten(2)) - _unit(t.flatten(2))
    return (full(attention) * gap.square().mean(dim=2)).sum(dim=1)


def _unit(maps: Tensor) -> Tensor:
    # 1e-6 is added, not a lower bound: the form of the published code, which decides for nearly dead channels.
    length: Tensor = linalg.vector_norm(maps, dim=2, keepdim=True)
    # A map of zeros has no direction, and its slope would be 1e6.
    return torch.where(length > 0, maps, 0.0) / (length + 1e-6)
