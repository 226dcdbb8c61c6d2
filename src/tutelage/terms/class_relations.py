"""Distillation of relations between classes and between samples."""

from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.schedules import Schedule, value_at
from tutelage.terms.base import Term
from tutelage.types import Output, View


class ClassRelations(Term):
    """Correlation of the probabilities of student and teacher, per sample and per class (DIST).

    Args:
        inter: weight of the inter-class relation: all classes of one sample.
        intra: weight of the intra-class relation: all samples of the batch for one class.
        temperature: a number or a schedule, > 0.

    Shapes:
        logits [B, C] of both -> [B].

    Raises:
        ValueError: a weight is negative, both are 0, or temperature <= 0.

    Source:
        Huang et al. 2022, arXiv:2205.10536. See :func:`tutelage.losses.class_relations`. The defaults are those
        of the authors' class; with two classes the inter-class correlation is +1 or -1 only, and with a batch of
        two the intra-class one.
    """

    def __init__(
        self, inter: float = 1.0, intra: float = 1.0, temperature: float | Schedule = 1.0
    ) -> None:
        super().__init__()
        within("[0, inf)", inter=inter, intra=intra)
        if inter == intra == 0:
            raise ValueError("inter 0, intra 0: allowed: not both 0")
        within("(0, inf)", temperature=temperature)
        self.inter, self.intra, self.temperature = inter, intra, temperature

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the share of each sample, [B]."""
        return losses.class_relations(
            student.logits,
            teacher.logits,
            inter=self.inter,
            intra=self.intra,
            temperature=value_at(self.temperature, view.clock),
        )
