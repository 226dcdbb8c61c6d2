"""A teacher's answers taken for labels, where it is sure enough."""

import torch
from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.terms.base import Term
from tutelage.types import Output, View


class PseudoLabels(Term):
    """Cross entropy with the class that the teacher finds most probable, where it is sure enough.

    With an equal network, trained alone, for a teacher this is self-training. No label is read, so it serves
    samples that have none.

    Args:
        threshold: least probability of the teacher's class, in [0, 1); a sample below it counts nothing. The
            mean stays that over the whole batch, as in FixMatch.

    Shapes:
        logits [B, C] of both -> [B].

    Source:
        Lee 2013, "Pseudo-Label", ICML workshop, for threshold 0; the threshold is that of Sohn et al. 2020,
        FixMatch, arXiv:2001.07685, eq. 4 (0.95 there, for a network's own answers to a weaker change of the same
        input). Ours: the teacher is a network that is trained already, not the student itself while it learns.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        within("[0, 1)", threshold=threshold)
        self.threshold = threshold

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the cross entropy of each sample, [B], in nats; 0 where the teacher is not sure enough."""
        sure, said = torch.softmax(teacher.logits.detach().float(), dim=1).max(dim=1)
        values = losses.cross_entropy(student.logits, said)
        return values.where(sure >= self.threshold, 0.0)
