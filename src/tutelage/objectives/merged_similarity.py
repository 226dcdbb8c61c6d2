"""Similarity maps of several teachers merged before the student is compared with them."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from tutelage import losses
from tutelage.losses.similarity import MergeOrder
from tutelage.objectives.base import Objective
from tutelage.objectives.per_teacher import select
from tutelage.terms.adapters import named
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
        order: MergeOrder = "merge_then_normalise",
    ) -> None:
        super().__init__()
        self.weights, self.taps = Fixed(weights).weights, named(taps)
        self.order: MergeOrder = order
        self.reads = Needs(grams=frozenset(self.taps))

    def forward(self, view: View) -> Tensor:
        """Return the distance of each sample's row, mean over taps, [B]."""
        total = torch.zeros(len(view.batch.labels), device=view.student.logits.device)
        for own, target in merged_maps(view, self.weights, self.taps, self.order):
            total = total + losses.similarity_maps(own, target)
        return total / len(self.taps)


def merged_maps(
    view: View, weights: Mapping[str, float], taps: Sequence[str], order: MergeOrder
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the student's similarity map and the teachers' merged one of each tap, [B, B] each."""
    teachers = select(view, list(weights)).values()
    for tap in taps:
        maps = [losses.gram(teacher, tap) for teacher in teachers]
        yield (
            losses.gram(view.student, tap),
            losses.merged_gram(maps, list(weights.values()), order),
        )
