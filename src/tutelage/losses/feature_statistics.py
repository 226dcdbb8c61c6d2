"""Means and variances of features, of two networks."""

from typing import Literal

import torch
from torch import Tensor

from tutelage.losses.precision import full

__all__ = ["feature_statistics", "sample_statistics", "statistics_distance"]

Reduction = Literal["sum", "mean"]


def sample_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel over the samples and positions of a batch, [C] each.

    Args:
        x: features, [B, C, ...].
    """
    rows = full(x).flatten(2) if x.ndim > 2 else full(x).unsqueeze(2)
    axes = (0, 2)
    return rows.mean(dim=axes), rows.var(dim=axes, correction=0)


def statistics_distance(
    student: Tensor, mean: Tensor, variance: Tensor, reduction: Reduction = "sum"
) -> Tensor:
    """Return how far mean and variance of each channel are from wanted ones, shared out over the samples, [B].

    The paper's scalar is ``|mean_s - mean|_1 + |var_s - variance|_1``. A sample's share of a channel is how far it
    pulls that channel away from what is wanted, so that a share may be negative; the batch mean is the scalar
    exactly, and its gradient the scalar's.

    Args:
        student: features, [B, C, ...].
        mean: wanted of each channel, [C]; no gradient flows here.
        variance: likewise, biased.
        reduction: over channels.

    Examples:
        >>> import torch
        >>> x = torch.tensor([[1.0], [3.0]])
        >>> statistics_distance(x, torch.tensor([0.0]), torch.tensor([1.0]))
        tensor([1., 3.])
    """
    with torch.autocast(student.device.type, enabled=False):
        rows = full(student).flatten(2) if student.ndim > 2 else full(student).unsqueeze(2)
        own_mean, own_variance = sample_statistics(student)
        mean, variance = mean.detach().to(rows.dtype), variance.detach().to(rows.dtype)
        spread = (rows - own_mean[:, None]).square().mean(dim=2)
        shares = (own_mean - mean).detach().sign() * (rows.mean(dim=2) - mean)
        shares = shares + (own_variance - variance).detach().sign() * (spread - variance)
        return shares.sum(dim=1) if reduction == "sum" else shares.mean(dim=1)


def feature_statistics(
    student: Tensor,
    teacher: Tensor,
    *,
    axis: Literal["batch", "channel"] = "batch",
    reduction: Reduction = "sum",
) -> Tensor:
    """Return the L1 distance of means and of variances of two networks' features, one number per sample.

    Args:
        student: features, [B, C, ...].
        teacher: [B, C, ...] of any positions, with ``axis="channel"`` of any channels too; no gradient flows
            here.
        axis: ``batch``: statistics of each channel, over the samples and positions of the batch; ``channel``: of
            each sample, over its channels and positions.
        reduction: over channels, for ``batch``; of a sample there is one mean and one variance.

    Returns:
        [B]; the batch mean is ``|mean_s - mean_t|_1 + |var_s - var_t|_1``, with ``channel`` the mean of that over
        samples. Shares of ``batch`` are those of :func:`statistics_distance`, and may be negative.

    Raises:
        ValueError: with ``axis="batch"`` the channels differ.

    Source:
        Chen et al. 2024, ComKD-CLIP, arXiv:2408.04145, IFAlign, in the notation of PromptAlign (biased variance).
        Axis and reduction could not be read there. Depends on the composition of the batch with ``batch``. On
        features of norm 1 a variance is at most 1 / C, so with ``mean`` the value is of the order of 0.01.

    Examples:
        >>> import torch
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
        >>> feature_statistics(x + 1, x)
        tensor([1., 3.])
    """
    if axis == "batch":
        if student.shape[1] != teacher.shape[1]:
            raise ValueError(
                f"the student's feature has {student.shape[1]} channels, the teacher's {teacher.shape[1]} ("
                "allowed: equal numbers, or axis: channel)"
            )
        return statistics_distance(student, *sample_statistics(teacher.detach()), reduction)
    with torch.autocast(student.device.type, enabled=False):
        s, t = full(student).flatten(1), full(teacher.detach()).flatten(1)
        apart = (s.mean(dim=1) - t.mean(dim=1)).abs()
        return apart + (s.var(dim=1, correction=0) - t.var(dim=1, correction=0)).abs()
