"""Weights that fall as a score rises."""

import torch
from torch import Tensor


def complement(scores: Tensor) -> Tensor:
    """Return (1 - softmax over teachers) / (K - 1) of scores such as a cross entropy.

    Args:
        scores: one score per teacher and sample, [K, B]; the higher, the less the teacher counts.

    Returns:
        [K, B], in [0, 1/(K - 1)], summing to one over teachers; with one teacher its weight is 1.

    Source:
        The weights of CA-MKD (Zhang et al. 2022, arXiv:2201.00007), which divide by zero with one
        teacher.

    Examples:
        >>> complement(torch.tensor([[0.2], [0.5], [1.3]])).squeeze(1)
        tensor([0.4066, 0.3739, 0.2194])
    """
    teachers = scores.shape[0]
    if teachers == 1:
        return torch.ones_like(scores)
    # Not even a score of inf (a teacher that masks the true class) is further away than the largest number.
    largest = torch.finfo(scores.dtype).max
    return (1 - torch.softmax(scores.clamp_max(largest), dim=0)) / (teachers - 1)
