"""Orthogonality of features, measured on merged similarity maps of several teachers and matched by the student."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.orthogonality import Patching, check_patches
from tutelage.losses.similarity import MergeOrder
from tutelage.objectives.base import Objective
from tutelage.objectives.merged_similarity import merged_maps
from tutelage.terms.adapters import named
from tutelage.types import Facts, Needs, View
from tutelage.weighting import Fixed


class OrthogonalFeatures(Objective):
    """How orthogonal the similarity profiles of samples are, matched to the teachers' merged maps (TPKD).

    The raw similarity maps of the teachers are mixed; this map and the student's are cut into k patches; in each
    the cosines between its rows, less the identity, are compared; the mean over taps is returned. Orthogonality is
    matched, not asked of the student for its own sake. For k > 1 the result depends on the order of the samples in
    the batch, and the batch size must be a multiple of k.

    Args:
        weights: teacher name -> weight of its map, summing to one.
        taps: features whose maps are compared; teachers and student carry the same names.
        patches: k.
        patching: ``rows``: blocks of B/k whole rows; ``tiles``: k x k squares; ``subbatch``: the k squares on the
            diagonal.
        order: of merging and normalising the teachers' maps, as in :class:`MergedSimilarity`.
        reduction: ``mean`` over the elements of a patch, or its ``frobenius`` norm.

    Shapes:
        features [B, ...] -> [B].

    Raises:
        ValueError: ``weights`` negative or not summing to one, ``taps`` empty, ``patches`` < 1, or a batch size
            that is no multiple of ``patches``.

    Source:
        Jeon et al. 2024, TPKD, Engineering Applications of Artificial Intelligence, arXiv:2407.05315, eq. 9. No
        code is public; patches as row blocks and the mean are our reading (see
        :func:`tutelage.losses.orthogonal_features`). Published coefficients: 700 (GENEActiv), 200 (PAMAP2),
        k = 4.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        taps: Sequence[str] = ("stage1", "stage2", "stage3"),
        patches: int = 4,
        patching: Patching = "rows",
        order: MergeOrder = "merge_then_normalise",
        reduction: Literal["mean", "frobenius"] = "mean",
    ) -> None:
        super().__init__()
        within("[1, inf)", patches=patches)
        self.weights, self.taps = Fixed(weights).weights, named(taps)
        self.patches = patches
        self.order: MergeOrder = order
        self.loss = partial(
            losses.orthogonal_features, patches=patches, patching=patching, reduction=reduction
        )
        self.reads = Needs(grams=frozenset(self.taps))

    def prepare(self, facts: Facts) -> None:
        """Refuse a batch size that cannot be cut into equal patches."""
        check_patches(facts.batch_size, self.patches)

    def forward(self, view: View) -> Tensor:
        """Return the distance of each sample's rows, mean over taps, [B]."""
        maps = merged_maps(view, self.weights, self.taps, self.order)
        return torch.stack([self.loss(own, target) for own, target in maps]).mean(dim=0)
