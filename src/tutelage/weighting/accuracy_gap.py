"""Teachers that the student has not caught up with count more."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.errors import within
from tutelage.types import Facts, View
from tutelage.weighting.base import Weighting


class AccuracyGap(Weighting):
    """One weight per teacher and epoch: how far the student's validation accuracy is behind the teacher's.

    With ``a_T`` the accuracy of a teacher and ``a_S`` that of the student after the last epoch, both on the
    validation split, a teacher counts 1 while ``a_S <= threshold · a_T`` and then falls in a straight line to 0 at
    ``a_S = a_T``. The numbers are divided by their sum; where all are 0 every teacher counts the same.

    Before the first epoch the student's accuracy is taken as 0.

    Args:
        threshold: part of the teacher's accuracy up to which the teacher counts in full, in [0, 1).

    Shapes:
        losses [K, B] -> [K, 1].

    Raises:
        ValueError: ``threshold`` is outside [0, 1), or a teacher's validation accuracy cannot be asked for.

    Source:
        Ours, after the self-paced weights of Xiang et al. 2020, LFME, ECCV, arXiv:2001.01536; the number before
        normalising is that of repository xiangly55/LFME, whose configuration has ``decay_thresh`` 0.3. There every
        expert knows a subset of the classes and the weights are not normalised, so that distillation fades as
        the student catches up; here teachers know all classes and share one sum. For the fading use a schedule
        as coefficient.
    """

    def __init__(self, threshold: float = 0.3) -> None:
        super().__init__()
        within("[0, 1)", threshold=threshold)
        self.threshold = threshold
        self.accuracies: Mapping[str, float] = {}

    def prepare(self, facts: Facts) -> None:
        """Ask every teacher about the validation split."""
        if facts.survey is None:
            raise ValueError("AccuracyGap: there is no validation split to ask the teachers about")
        accuracies = {}
        for name in facts.view.teachers:
            answers = facts.survey(name, "validation")
            hits = answers.logits.argmax(dim=1) == answers.labels
            accuracies[name] = float(hits.float().mean())
        self.accuracies = accuracies

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights of this epoch, [K, 1]."""
        student = view.clock.validation.get("accuracy", 0.0)
        gaps = torch.tensor([self._gap(name, student) for name in view.teachers])
        even = torch.full_like(gaps, 1 / len(gaps))
        weights = torch.where(gaps.sum() > 0, gaps / gaps.sum(), even)
        return weights.to(losses)[:, None]

    def _gap(self, teacher: str, student: float) -> float:
        if teacher not in self.accuracies:
            raise ValueError(
                f"AccuracyGap: teacher {teacher!r} has not been asked about the validation split"
            )
        return gap_weight(student, self.accuracies[teacher], self.threshold)


def gap_weight(student: float, teacher: float, threshold: float) -> float:
    """Return 1 while ``student <= threshold · teacher``, then a straight line to 0 at ``student = teacher``.

    Examples:
        >>> round(gap_weight(0.3, 0.6, 0.3), 4)
        0.7143
    """
    if teacher <= 0:
        return 0.0
    return min(1.0, max(0.0, (teacher - student) / (teacher * (1 - threshold))))
