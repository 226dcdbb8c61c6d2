"""The precision that similarities and angles are computed in."""

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """Return x in float32 whatever it came in; float64 stays, so that formulas can be checked in it."""
    return x if x.dtype == torch.float64 else x.float()


def shown(logits: Tensor) -> Tensor:
    """Return logits [B, C] that a small network can read: a masked class (-inf) is like the least likely one."""
    masked = logits == -torch.inf
    least = torch.where(masked, torch.inf, logits).amin(dim=1, keepdim=True)
    return torch.where(masked, least, logits)
