"""Distillation of the true class and of the other classes, weighted apart."""

from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.schedules import Schedule, value_at
from tutelage.terms.base import Term
from tutelage.types import Output, View


class DecoupledTargets(Term):
    """Soft targets with one weight for the true class and one for the others (DKD).

    Args:
        target: weight of the divergence between (true class, any other).
        nontarget: weight of the divergence among the other classes, which plain distillation weighs with the
            teacher's doubt 1 - p_y: with next to nothing where the teacher is sure.
        temperature: a number or a schedule, > 0.

    Shapes:
        logits [B, C] of both -> [B]. Of a mixed input, both its classes count by their share.

    Raises:
        ValueError: a weight is negative, both are 0, or temperature <= 0.

    Source:
        Zhao et al. 2022, arXiv:2203.08679. See :func:`tutelage.losses.decoupled_targets`. The warm-up of the code
        is a coefficient: ``{type: Linear, start: 0, end: 1, until: 0.0833}`` for its 20 of 240 epochs.
    """

    def __init__(
        self, target: float = 1.0, nontarget: float = 8.0, temperature: float | Schedule = 4.0
    ) -> None:
        super().__init__()
        within("[0, inf)", target=target, nontarget=nontarget)
        if target == nontarget == 0:
            raise ValueError("target 0, nontarget 0: allowed: not both 0")
        within("(0, inf)", temperature=temperature)
        self.target, self.nontarget, self.temperature = target, nontarget, temperature

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the weighted sum of both divergences of each sample, [B]."""
        return view.batch.by_label(
            lambda labels: losses.decoupled_targets(
                student.logits,
                teacher.logits,
                labels,
                target=self.target,
                nontarget=self.nontarget,
                temperature=value_at(self.temperature, view.clock),
            )
        )
