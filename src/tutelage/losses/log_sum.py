"""The distance that weighs large errors more, and their number less."""

import torch
from torch import Tensor

from tutelage.errors import within
from tutelage.losses.precision import full


def log_sum_distance(
    student: Tensor, teacher: Tensor, *, power: float = 4.0, guard: float = 1e-5
) -> Tensor:
    """Logarithm of the sum of powered differences over the whole batch.

    Args:
        student: projected and normalised embeddings, [B, D].
        teacher: normalised embeddings, [B, D]; no gradient flows here.
        power: exponent of the absolute differences; > 0.
        guard: added to the sum, so that equality gives a number.

    Returns:
        [B]. The paper's scalar is ``log S`` with S the sum over samples and elements. Sample i gets
        ``log S + B s_i / S - 1`` with s_i its own sum: the first-order share of the logarithm. The batch mean
        is ``log S`` exactly, and a sample that is further off gets more.

    Raises:
        ValueError: power <= 0.

    Source:
        Miles & Mikolajczyk 2024, Understanding the role of the projector in knowledge distillation, AAAI,
        arXiv:2303.11098 (LogSum); code roymiles/Simple-Recipe-Distillation, ``imagenet``. Authors' symbols:
        alpha = power. Differs from the code: the guard is that of their ``deit`` code; the ``imagenet`` code has
        none. Depends on the composition of the batch, and grows by log 2 when the batch is doubled.

    Examples:
        >>> import torch
        >>> log_sum_distance(torch.ones(2, 3), torch.zeros(2, 3), guard=0.0)  # log 6
        tensor([1.7918, 1.7918])
    """
    within("(0, inf)", power=power)
    own = (full(student) - full(teacher.detach())).abs().pow(power).sum(dim=1)
    total = own.sum() + guard
    return torch.log(total) + (own * len(own) - own.sum()) / total
