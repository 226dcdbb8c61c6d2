"""Knowledge distillation in its first form."""

from typing import Literal

from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.schedules import Schedule, value_at
from tutelage.terms.base import Term
from tutelage.types import Output, View


class SoftTargets(Term):
    """KL(teacher ‖ student) of softened probabilities (KD), times temperature².

    Args:
        temperature: a number or a schedule, > 0; 4 in most of the literature.
        class_reduction: ``sum`` (the formula) or ``mean`` (divided by C: the released code of TGD, TDA_KD
            and TPKD, whose published coefficients belong to it).
        logit_scaling: ``temperature`` divides the logits by it; ``std`` divides the logits of each sample by
            their own standard deviation and doubles them, and of the temperature only the square remains.

    Shapes:
        logits [B, C] of both -> [B].

    Source:
        Hinton et al. 2015, arXiv:1503.02531. See :func:`tutelage.losses.soft_targets`. ``std`` is what the
        released code of TDA_KD trains with, see :func:`tutelage.losses.spread_scaled`: 16 · KL at temperature 4,
        although nothing is divided by 4.
    """

    def __init__(
        self,
        temperature: float | Schedule = 4.0,
        class_reduction: Literal["sum", "mean"] = "sum",
        logit_scaling: Literal["temperature", "std"] = "temperature",
    ) -> None:
        super().__init__()
        within("(0, inf)", temperature=temperature)
        self.temperature = temperature
        self.class_reduction = class_reduction
        self.logit_scaling = logit_scaling

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the divergence of each sample, [B]."""
        s, t = student.logits, teacher.logits
        temperature = value_at(self.temperature, view.clock)
        if self.logit_scaling == "std":
            # The loss divides by the temperature and multiplies by its square; only the square is wanted here.
            s, t = (2 * temperature * losses.spread_scaled(x) for x in (s, t))
        return losses.soft_targets(
            s, t, temperature=temperature, class_reduction=self.class_reduction
        )
