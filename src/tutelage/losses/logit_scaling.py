"""Logits made comparable by their own spread."""

import torch
from torch import Tensor

from tutelage.losses.precision import full

_SMALLEST = 1e-8  # variance below which logits count as constant


def spread_scaled(logits: Tensor) -> Tensor:
    """Divide the logits of each sample by their own standard deviation over classes.

    Args:
        logits: [B, C], C >= 2, unnormalised.

    Returns:
        [B, C], float32, with standard deviation 1 (C - 1 in the denominator); gradient flows through the
        deviation too. Logits with a deviation below 1e-4 are divided by 1e-4: constant ones stay finite and
        their gradient is bounded. A masked class (-inf) stays masked and has no part in the deviation.

    Source:
        Jeon et al. 2022, topological knowledge distillation for wearables; code jeunsom/TDA_KD. Differs from
        the code: constant logits, which give 0 / 0 there.

    Examples:
        >>> import torch
        >>> spread_scaled(torch.tensor([[0.0, 2.0, 4.0]]))
        tensor([[0., 1., 2.]])
    """
    values, known, _, variance = _moments(full(logits))
    return torch.where(known, values * variance.clamp_min(_SMALLEST).rsqrt(), -torch.inf)


def standardised(logits: Tensor) -> Tensor:
    """Shift and scale the logits of each sample to mean 0 and standard deviation 1 over classes.

    Args:
        logits: [B, C], C >= 2, unnormalised.

    Returns:
        [B, C], float32; :func:`spread_scaled` of what is left when the mean is taken away.

    Source:
        Sun et al. 2024, Logit Standardization in Knowledge Distillation, CVPR, arXiv:2403.01427. Differs from the
        code: they add 1e-7 to the deviation, which changes the seventh digit.

    Examples:
        >>> import torch
        >>> standardised(torch.tensor([[0.0, 2.0, 4.0]]))
        tensor([[-1.,  0.,  1.]])
    """
    values, known, mean, _ = _moments(full(logits))
    return spread_scaled(torch.where(known, values - mean, -torch.inf))


def _moments(logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return values (0 where a class is masked), who is not masked, and mean and variance of these, [B, 1]."""
    known = logits > -torch.inf
    values = torch.where(known, logits, 0.0)
    count = known.sum(dim=1, keepdim=True)
    mean = values.sum(dim=1, keepdim=True) / count.clamp_min(1)
    squares = torch.where(known, values - mean, 0.0).square().sum(dim=1, keepdim=True)
    whole = count == logits.shape[1]  # of these the library's own variance, to the last digit
    variance = torch.where(
        whole, values.var(dim=1, keepdim=True), squares / (count - 1).clamp_min(1)
    )
    return values, known, mean, variance
