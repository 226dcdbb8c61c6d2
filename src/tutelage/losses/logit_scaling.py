"""Logits made comparable by their own spread."""

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
        their gradient is bounded.

    Source:
        Jeon et al. 2022, topological knowledge distillation for wearables; code jeunsom/TDA_KD. Differs from
        the code: constant logits, which give 0 / 0 there.

    Example:
        >>> import torch
        >>> spread_scaled(torch.tensor([[0.0, 2.0, 4.0]]))
        tensor([[0., 1., 2.]])
    """
    logits = full(logits)
    return logits * logits.var(dim=1, keepdim=True).clamp_min(_SMALLEST).rsqrt()
