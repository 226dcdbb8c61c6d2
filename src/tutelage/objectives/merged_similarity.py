"""Similarity maps of several teachers merged before the student is compared with them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.objectives.base import Objective
from tutelage.objectives.per_teacher import select
from tutelage.types import Needs, View
from tutelage.weighting import Fixed


class MergedSimilarity(Objective):
    """Distance of the student's similarity maps from the teachers' merged maps (TGD, Annsp), mean over taps.

    Args:
        weights: teacher name -> weight of its map, summing to one.
        taps: features whose maps are merged and compared; teachers and student carry the same names.
        order: ``merge_then_normalise`` is the published code; ``normalise_then_merge`` keeps a teacher
            with larger features from dominating the mix.

    Shapes:
        features [B, ...] -> [B].

    Raises:
        ValueError: ``weights`` negative or not summing to one, or ``taps`` empty.

    Source:
        Jeon et al. 2024, TGD, PMLR 251, and the Annsp rows of the wearable studies. Published
        coefficients belong to the *sum* over three taps for Annsp (700 GENEActiv, 200 PAMAP2) and to the
        mean for TGD (3000): as coefficients of this mean they are 2100, 600 and 3000.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        taps: Sequence[str] = ("stage1", "stage2", "stage3"),
        order: Literal["merge_then_normalise", "normalise_then_merge"] = "merge_then_normalise",
    ) -> None:
        super().__init__()
        if not taps:
            raise ValueError("taps: the list is empty; name at least one feature, such as 'stage3'")
        self.weights = Fixed(weights).weights
        self.taps = tuple(taps)
        self.order: Literal["merge_then_normalise", "normalise_then_merge"] = order

    def needs(self) -> Needs:
        """Return the taps whose similarity maps are merged."""
        return Needs(grams=frozenset(self.taps))

    def forward(self, view: View) -> Tensor:
        """Return the distance of each sample's row, mean over taps, [B]."""
        teachers = select(view, list(self.weights))
        total = torch.zeros(len(view.batch.labels), device=view.student.logits.device)
        for tap in self.taps:
            target = losses.merged_gram(
                [losses.gram(teacher, tap) for teacher in teachers.values()],
                list(self.weights.values()),
                self.order,
            )
            total = total + losses.similarity_maps(losses.gram(view.student, tap), target)
        return total / len(self.taps)
