"""Attention transfer from one teacher."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.attention import Convention
from tutelage.terms.adapters import by_tap, named
from tutelage.terms.base import Term
from tutelage.types import Needs, Output, View


class AttentionMap(Term):
    """Distance of the attention maps of student and teacher (AT), summed over taps.

    Args:
        taps: features compared, by the same names in both networks.
        power: exponent of the activation, >= 1.
        convention: ``mean_square`` (the released code) or ``paper`` (half the L2 norm).

    Shapes:
        features [B, channels, ...] of any two sizes -> [B]; at least two positions in common.

    Raises:
        ValueError: ``taps`` is empty or ``power`` < 1.

    Source:
        Zagoruyko & Komodakis 2017, arXiv:1612.03928. See :func:`tutelage.losses.attention_transfer`.
        Published coefficient: 1000 on the sum over three taps with ``mean_square``, without KD (CIFAR-100, CRD
        protocol); KD-Zoo's 1000 belongs to the mean over three taps: 333 of this sum.
    """

    def __init__(
        self,
        taps: Sequence[str] = ("stage1", "stage2", "stage3"),
        power: float = 2.0,
        convention: Convention = "mean_square",
    ) -> None:
        super().__init__()
        within("[1, inf)", power=power)
        self.taps = named(taps)
        self.loss = partial(losses.attention_transfer, power=power, convention=convention)
        self.reads = Needs(features=frozenset(self.taps))

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the distance of each sample's maps, summed over taps, [B]."""
        return by_tap(self.loss, student, teacher, self.taps).sum(dim=0)
