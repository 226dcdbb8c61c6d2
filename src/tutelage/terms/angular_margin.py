"""Angular margin-based distillation from one teacher."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.angular_margin import PARTS, Part
from tutelage.terms.adapters import by_tap, named
from tutelage.terms.base import Term
from tutelage.types import Needs, Output, View


class AngularMargin(Term):
    """Distance of the angular distributions of student and teacher (AMD), mean over taps.

    Args:
        taps: features compared, by the same names in both networks.
        margin: multiplies the angle; in (0, 2].
        scale: above 0.
        parts: which of ``angular``, ``positive`` and ``negative`` are compared; the mean over them is taken.
        local_weight: share of the four quarters of each map, in [0, 1]; 0 is AMD(g), 0.2 is AMD(g+l).
        mask: compare only with what the teacher looks at most: AMD(g,m), AMD(g+l,m).

    Shapes:
        features [B, channels, ...] of any two sizes -> [B]; at least two positions in common, four (2 x 2 in
        an image) with ``local_weight``.

    Raises:
        ValueError: ``taps`` or ``parts`` is empty, a part is unknown or stands twice, or a number is out of range.

    Source:
        Jeon et al. 2023, Neurocomputing 518, arXiv:2302.14130. See :func:`tutelage.losses.angular_margin`.
        Published coefficient: 5000 beside 0.1 labels and 0.9 KD at temperature 4 (CIFAR-10).
    """

    def __init__(
        self,
        taps: Sequence[str] = ("stage1", "stage2", "stage3"),
        margin: float = 1.35,
        scale: float = 64.0,
        parts: Sequence[Part] = PARTS,
        local_weight: float = 0.0,
        mask: bool = False,
    ) -> None:
        super().__init__()
        if not parts or not set(parts) <= set(PARTS) or len(set(parts)) != len(parts):
            raise ValueError(
                f"parts: found {list(parts)}; allowed: any of {', '.join(PARTS)}, once"
            )
        within("(0, 2]", margin=margin)  # beyond, the cosine turns back
        within("(0, inf)", scale=scale)
        within("[0, 1]", local_weight=local_weight)
        self.taps = named(taps)
        self.loss = partial(
            losses.angular_margin,
            margin=margin,
            scale=scale,
            parts=tuple(parts),
            local_weight=local_weight,
            mask=mask,
        )
        self.reads = Needs(features=frozenset(self.taps))

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the distance of each sample's maps, mean over taps, [B]."""
        return by_tap(self.loss, student, teacher, self.taps).mean(dim=0)
