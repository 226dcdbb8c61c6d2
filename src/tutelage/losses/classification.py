"""Losses on hard labels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.errors import within
from tutelage.losses.precision import full


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    focal_gamma: float = 0.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy with hard labels, optionally class-weighted and focal.

    Args:
        logits: [B, C], unnormalised.
        labels: [B], int64.
        class_weights: [C] or None; multiplies the loss of each sample by the weight of its class.
        focal_gamma: exponent of (1 - p_y); 0 gives plain cross entropy. Dimensionless, >= 0.
        label_smoothing: probability mass spread over all classes, in [0, 1).

    Returns:
        [B], in nats.

    Raises:
        ValueError: ``focal_gamma`` < 0 or ``label_smoothing`` outside [0, 1).

    Source:
        Lin et al. 2017, Focal Loss, arXiv:1708.02002, eq. 5 (their alpha is ``class_weights``).
        Differs from ``torch.nn.CrossEntropyLoss``: the weighted mean is not divided by the sum of
        the weights in the batch, so a sample's gradient does not depend on its neighbours.

    Examples:
        >>> cross_entropy(torch.zeros(1, 2), torch.tensor([1]))
        tensor([0.6931])
    """
    within("[0, inf)", focal_gamma=focal_gamma)
    within("[0, 1)", label_smoothing=label_smoothing)
    loss = F.cross_entropy(full(logits), labels, reduction="none", label_smoothing=label_smoothing)
    if focal_gamma > 0:
        log_p = F.log_softmax(full(logits), dim=1).gather(1, labels[:, None]).squeeze(1)
        # -expm1(log p) is 1 - p without cancellation; the clamp keeps 0**gamma differentiable.
        loss = loss * (-torch.expm1(log_p)).clamp_min(1e-12) ** focal_gamma
    return loss if class_weights is None else loss * class_weights.to(loss)[labels]
