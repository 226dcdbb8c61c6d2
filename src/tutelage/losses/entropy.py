"""How undecided a network is about each sample."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.losses.precision import full


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the class probabilities at temperature 1.

    Args:
        logits: [B, C], unnormalised.

    Returns:
        [B], in nats, between 0 and log C; differentiable.

    Source:
        Shannon; through log-softmax, so that a probability that underflows contributes 0 and not NaN, as
        ``p * log(p)`` does in the released code of CA-MKD. So does a masked class (-inf).

    Examples:
        >>> import torch
        >>> entropy(torch.zeros(1, 2))
        tensor([0.6931])
    """
    log_p = F.log_softmax(full(logits), dim=1)
    return -(log_p.exp() * torch.where(log_p > -torch.inf, log_p, 0.0)).sum(dim=1)
