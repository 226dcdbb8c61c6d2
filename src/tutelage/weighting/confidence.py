"""Teachers that are right about a sample count more for it."""

from dataclasses import replace
from functools import partial
from typing import Literal

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
        without_label: what becomes of a sample without a label (-1), of which nobody can be said to be right:
            ``refuse``, or ``uniform``, all teachers count the same (ours; the paper has labels for all).

    Shapes:
        losses [K, B] -> [K, B].

    Source:
        Zhang et al. 2022, CA-MKD, ICASSP, arXiv:2201.00007. Published coefficient: 1 on the loss of
        Rorozhl/CA-MKD, which is divided by K once more; with the weights as in the paper it is 1 / K.
        Their code divides by zero with one teacher.
    """

    def __init__(
        self,
        divide_by_teachers: bool = False,
        without_label: Literal["refuse", "uniform"] = "refuse",
    ) -> None:
        super().__init__()
        self.divide_by_teachers = divide_by_teachers
        self.without_label = without_label

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights of each sample, [K, B]."""
        with torch.no_grad():
            weights = complement(self._judged(view))
        return weights / len(view.teachers) if self.divide_by_teachers else weights

    def _judged(self, view: View) -> Tensor:
        """Return the cross entropy of every teacher, [K, B]; equal ones where there is no label, if asked for."""
        if self.without_label == "refuse":
            return cross_entropies(view)
        labels = view.batch.labels
        known = replace(view, batch=replace(view.batch, labels=labels.clamp_min(0)))
        return cross_entropies(known).where(labels >= 0, 0.0)


def cross_entropies(view: View) -> Tensor:
    """Return the cross entropy of every teacher with the labels, [K, B], in nats."""
    return torch.stack(
        [
            view.batch.by_label(partial(losses.cross_entropy, teacher.logits))
            for teacher in view.teachers.values()
        ]
    )
