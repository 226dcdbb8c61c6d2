"""Distillation of softened class probabilities."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from tutelage.errors import within
from tutelage.losses.divergence import divergence
from tutelage.losses.precision import full


def soft_targets(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float = 4.0,
    class_reduction: Literal["sum", "mean"] = "sum",
) -> Tensor:
    """Soft-target divergence: KL(teacher ‖ student) at a common temperature.

    Args:
        student: logits, [B, C], unnormalised.
        teacher: logits, [B, C]; no gradient flows here.
        temperature: divides both logits; > 0, dimensionless.
        class_reduction: ``sum`` over classes is the formula of every paper; ``mean`` divides by C, as
            the released code of TGD, TDA_KD and TPKD does.

    Returns:
        [B], in nats, times temperature² (keeps the gradient's size when the temperature changes). A class that the
        teacher masks (-inf) adds nothing.

    Raises:
        ValueError: temperature <= 0.

    Source:
        Hinton et al. 2015, arXiv:1503.02531, sec. 2. Authors' symbols: T = temperature.
        Differs from the paper: the teacher's entropy (a constant) is subtracted, so equality gives 0.
        Differs from common code: ``KLDivLoss()`` averages over classes too (``class_reduction='mean'``).

    Examples:
        >>> import torch
        >>> soft_targets(torch.zeros(2, 3), torch.zeros(2, 3), temperature=4.0)
        tensor([0., 0.])
    """
    within("(0, inf)", temperature=temperature)
    log_s = F.log_softmax(full(student) / temperature, dim=1)
    log_t = F.log_softmax(full(teacher.detach()) / temperature, dim=1)
    total = divergence(log_t, log_s) * temperature**2
    return total / student.shape[1] if class_reduction == "mean" else total
