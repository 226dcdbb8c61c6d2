"""Soft targets taken apart into the true class and the others."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.errors import within
from tutelage.losses.divergence import divergence
from tutelage.losses.precision import full


def decoupled_targets(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    target: float = 1.0,
    nontarget: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """Divergence on the true class against the rest, and divergence among the other classes.

    Args:
        student: logits, [B, C], unnormalised.
        teacher: logits, [B, C]; no gradient flows here.
        labels: the true classes, [B], int64.
        target: weight of the target part, KL of (p_y, 1 - p_y).
        nontarget: weight of the non-target part, KL of the probabilities of the other classes given that it
            is one of them.
        temperature: divides both logits; > 0, dimensionless.

    Returns:
        [B], in nats, times temperature². A class that the teacher masks (-inf) adds nothing.

    Raises:
        ValueError: temperature <= 0.

    Source:
        Zhao et al. 2022, DKD, arXiv:2203.08679; code megvii-research/mdistiller. Authors' symbols:
        alpha = target, beta = nontarget. The parts are those of plain distillation:
        ``KL = target part + (1 - p_T,y) · non-target part``.
        Differs from the code: the true class is left out of the second softmax, where the code lowers its
        logit by 1000; the first part is computed from logarithms, where the code takes the logarithm of a
        probability that may have become 0.

    Examples:
        >>> import torch
        >>> z = torch.tensor([[2.0, 1.0, 0.0]])
        >>> decoupled_targets(z, z, torch.tensor([0]))
        tensor([0.])
    """
    within("(0, inf)", temperature=temperature)
    s, t = full(student) / temperature, full(teacher.detach()) / temperature
    own = divergence(_binary(t, labels), _binary(s, labels))
    rest = divergence(*(F.log_softmax(_others(x, labels), dim=1) for x in (t, s)))
    return temperature**2 * (target * own + nontarget * rest)


def _binary(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logarithms of p_y and of 1 - p_y, [B, 2]."""
    own = logits.gather(1, labels[:, None])
    rest = torch.logsumexp(_others(logits, labels), dim=1, keepdim=True)
    return F.log_softmax(torch.cat([own, rest], dim=1), dim=1)


def _others(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logits of all classes but each sample's own, [B, C - 1]."""
    places = torch.arange(logits.shape[1] - 1, device=logits.device).expand(len(logits), -1)
    return logits.gather(1, places + (places >= labels[:, None]))
