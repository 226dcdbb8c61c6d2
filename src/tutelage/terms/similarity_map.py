"""Similarity-preserving distillation from one teacher."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tutelage import losses
from tutelage.terms.adapters import named
from tutelage.terms.base import Term
from tutelage.types import Needs, Output, View


class SimilarityMap(Term):
    """Distance of the batch similarity maps of student and teacher (SP), summed over taps.

    Args:
        taps: features compared; the last stage alone is the paper's choice, all three that of TGD/TPKD.

    Shapes:
        features [B, ...] of any two sizes -> [B]; 1-D and 2-D networks compare freely.

    Raises:
        ValueError: ``taps`` is empty.

    Source:
        Tung & Mori 2019, arXiv:1907.09682. See :func:`tutelage.losses.similarity_maps`.
        Published coefficients: 3000 on the last stage (CIFAR-100); 700/200 on three (GENEActiv/PAMAP2).
    """

    def __init__(self, taps: Sequence[str] = ("stage3",)) -> None:
        super().__init__()
        self.taps = named(taps)
        self.reads = Needs(grams=frozenset(self.taps))

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the distance of each sample's row, summed over taps, [B]."""
        return torch.stack(
            [
                losses.similarity_maps(losses.gram(student, tap), losses.gram(teacher, tap))
                for tap in self.taps
            ]
        ).sum(dim=0)
