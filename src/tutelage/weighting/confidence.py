"""Teachers that are right about a sample count more for it."""

from functools import partial

import torch
from torch import Tensor

from tutelage import losses
from tutelage.types import View
from tutelage.weighting.base import Weighting
from tutelage.weighting.complement import complement


class Confidence(Weighting):
    """Weights per sample that fall with each teacher's cross entropy on the true class (CA-MKD).

    ``w_k = (1 - softmax_k(CE_k)) / (K - 1)``, so no teacher counts more than 1 / (K - 1); with one teacher its
    weight is 1. A mixed input (Mixup, CutMix) is judged by both its classes, by their share.

    Args:
        divide_by_teachers: divide by K once more, as the authors' code does; the weights then sum to 1 / K.

    Shapes:
        losses [K, B] -> [K, B].

    Source:
        Zhang et al. 2022, CA-MKD, ICASSP, arXiv:2201.00007. Published coefficient: 1 on the loss of
        Rorozhl/CA-MKD, which is divided by K once more; with the weights as in the paper it is 1 / K.
        Their code divides by zero with one teacher.
    """

    def __init__(self, divide_by_teachers: bool = False) -> None:
        super().__init__()
        self.divide_by_teachers = divide_by_teachers

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights of each sample, [K, B]."""
        with torch.no_grad():
            weights = complement(cross_entropies(view))
        return weights / len(view.teachers) if self.divide_by_teachers else weights


def cross_entropies(view: View) -> Tensor:
    """Return the cross entropy of every teacher with the labels, [K, B], in nats."""
    return torch.stack(
        [
            view.batch.by_label(partial(losses.cross_entropy, teacher.logits))
            for teacher in view.teachers.values()
        ]
    )
