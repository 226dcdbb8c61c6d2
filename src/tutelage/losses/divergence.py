"""How far one distribution is from another, also where probabilities are zero."""

import torch
from torch import Tensor


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL(teacher ‖ student) from logarithms of probabilities, [B, C] each -> [B], in nats.

    A class to which the teacher gives no probability (it masks the class, or the probability underflows) adds
    nothing, whatever the student says of it: 0 log 0 is 0. So does a teacher without any class left.
    """
    probability = teacher.exp()
    known = probability > 0
    difference = torch.where(known, teacher - student, 0.0)
    return (torch.where(known, probability, 0.0) * difference).sum(dim=1)
