"""Contrast inside the batch, found alike from both sides."""

import torch
from torch import Tensor, nn

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.shapes import feature
from tutelage.terms.adapters import means
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class DiscriminativeConsistent(Term):
    """Each student embedding must find its teacher embedding among those of the batch, and be found alike (DCD).

    Args:
        tap: feature compared; space is averaged out.
        width: of the common space that both embeddings are projected to.
        consistency: weight of the consistent part.
        scale: largest value of the learned factor of the cosines (an inverse temperature).

    Shapes:
        features [B, c, ...] of any two sizes -> [B].

    Raises:
        ValueError: width < 1, consistency < 0 or scale <= 0.

    Source:
        Giakoumoglou & Stathaki 2024, arXiv:2407.11802; code giakoumoglou/distillers. See
        :func:`tutelage.losses.discriminative_consistent`. Both projections are linear and learned, also the
        teacher's; the factor begins at e, as in the code. Published coefficient: 1, alone or beside KD.
    """

    def __init__(
        self,
        tap: str = "embedding",
        width: int = 128,
        consistency: float = 0.5,
        scale: float = 10.0,
    ) -> None:
        super().__init__()
        within("[1, inf)", width=width)
        within("[0, inf)", consistency=consistency)
        within("(0, inf)", scale=scale)
        self.tap, self.width, self.consistency, self.scale = tap, width, consistency, scale
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.reads = Needs(features=frozenset([self.tap]))

    def prepare(self, facts: Facts) -> None:
        """Build both projections."""
        (teacher,) = facts.view.teachers.values()
        self.student = nn.Linear(means(feature(facts.view.student, self.tap)).shape[1], self.width)
        self.teacher = nn.Linear(means(feature(teacher, self.tap)).shape[1], self.width)

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the contrast of each sample, [B]."""
        return losses.discriminative_consistent(
            self.student(means(feature(student, self.tap))),
            self.teacher(means(feature(teacher, self.tap)).detach()),
            scale=self.log_scale.exp().clamp_max(self.scale),
            consistency=self.consistency,
        )
