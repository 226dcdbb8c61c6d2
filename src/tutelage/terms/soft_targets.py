"""Knowledge distillation in its first form."""

from typing import Literal

from torch import Tensor

from tutelage import losses
from tutelage.schedules import Schedule, value_at
from tutelage.terms.base import Term
from tutelage.types import Output, View


class SoftTargets(Term):
    """KL(teacher ‖ student) of softened probabilities (KD), times temperature².

    Args:
        temperature: a number or a schedule, > 0; 4 in most of the literature.
        class_reduction: ``sum`` (the formula) or ``mean`` (divided by C: the released code of TGD, TDA_KD
            and TPKD, whose published coefficients belong to it).

    Shapes:
        logits [B, C] of both -> [B].

    Source:
        Hinton et al. 2015, arXiv:1503.02531. See :func:`tutelage.losses.soft_targets`.
    """

    def __init__(
        self,
        temperature: float | Schedule = 4.0,
        class_reduction: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        if not isinstance(temperature, Schedule) and temperature <= 0:
            raise ValueError(f"temperature: {temperature} must be > 0")
        self.temperature = temperature
        self.class_reduction = class_reduction

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the divergence of each sample, [B]."""
        return losses.soft_targets(
            student.logits,
            teacher.logits,
            temperature=value_at(self.temperature, view.clock),
            class_reduction=self.class_reduction,
        )
