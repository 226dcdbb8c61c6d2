"""Distillation from experts of class subsets, each until the student has caught up with it."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.evaluate import recalls
from tutelage.objectives.base import Judged, TracedObjective
from tutelage.objectives.class_subsets import own_answers, subsets
from tutelage.schedules import Schedule, value_at
from tutelage.types import Batch, Clock, Facts, View
from tutelage.weighting.accuracy_gap import gap_weight


class Experts(TracedObjective):
    """``sum_e w_e · KL(expert_e ‖ student)`` among the classes of each expert (LFME).

    Softmaxes run over the classes of the expert alone; every sample of the batch goes through every expert,
    whatever its class. With ``a_E`` the mean recall of the expert on its classes and ``a_S`` that of the student
    on the same classes after the last epoch, both on the validation split, an expert counts 1 while
    ``a_S < threshold · a_E``, then falls in a straight line to 0 at ``a_S = a_E``. Before the first epoch it
    counts 1; an expert that recognises nothing counts 0.

    Args:
        classes: teacher name -> names of the classes it was trained on (the stage's ``classes``). They may
            overlap, and need not cover all classes.
        temperature: a number or a schedule, > 0.
        threshold: part of the expert's recall up to which it counts in full, in [0, 1).
        asked: ``all``: every sample goes through every expert, as in the authors' code; ``own``: a sample goes
            through
            the experts of its own class alone (of a mixed input, by the share of its classes). A sample whose
            class has no expert then counts 0.

    Shapes:
        logits [B, C] of the student and of every expert -> [B].

    Raises:
        ValueError: no class subsets, a name that does not exist, an expert without validation samples, a
            temperature <= 0 or a threshold outside [0, 1).

    Source:
        Xiang et al. 2020, LFME, ECCV, arXiv:2001.01536; reference code xiangly55/LFME
        ``run_network_LFME.py``, ``loss/DistillationLoss.py``; temperature and threshold are those of its
        configuration (``decay_thresh``). Without the factor temperature², as in their code: at temperature 2 a
        quarter of :func:`tutelage.losses.soft_targets`. Differs from their code: an expert's accuracy is a mean
        over its classes, as the student's is there and here; theirs is one over samples (equal for their
        balanced validation split). Published coefficient: 1, beside 1 for the labels.
    """

    def __init__(
        self,
        classes: Mapping[str, Sequence[str]],
        temperature: float | Schedule = 2.0,
        threshold: float = 0.3,
        asked: Literal["all", "own"] = "all",
    ) -> None:
        super().__init__()
        within("(0, inf)", temperature=temperature)
        within("[0, 1)", threshold=threshold)
        self.classes = {name: list(names) for name, names in classes.items()}
        self.temperature, self.threshold = temperature, threshold
        self.asked: Literal["all", "own"] = asked
        self.numbers: dict[str, Tensor] = {}
        self.recall: dict[str, float] = {}

    def prepare(self, facts: Facts) -> None:
        """Find the classes of each expert, and ask it about the validation split."""
        self.numbers = subsets(self.classes, facts)
        for name, numbers in self.numbers.items():
            _, own, logits = own_answers(facts, name, numbers, "validation")
            self.recall[name] = _mean(recalls(logits, own))

    def weight(self, expert: str, clock: Clock) -> float:
        """Return how much an expert counts in this epoch, in [0, 1]."""
        recalls_now = (
            [clock.recall[number] for number in self.numbers[expert]] if clock.recall else []
        )
        if all(value is None for value in recalls_now):
            return 1.0
        return gap_weight(_mean(recalls_now), self.recall[expert], self.threshold)

    def judge(self, view: View) -> Judged:
        """Return the weighted sum over experts, and the weight of each, the same for every sample."""
        temperature = value_at(self.temperature, view.clock)
        traces = {}
        total = torch.zeros(len(view.batch.labels), device=view.student.logits.device)
        for name, numbers in self.numbers.items():
            weight = self.weight(name, view.clock)
            divergence = losses.soft_targets(
                view.student.logits[:, numbers],
                view.teachers[name].logits[:, numbers],
                temperature=temperature,
            )
            weights = weight * self._concerned(view.batch, numbers, divergence)
            total = total + weights * divergence / temperature**2
            traces[f"weight.{name}"] = weights.detach()
        return Judged(total, traces)

    def _concerned(self, batch: Batch, numbers: Tensor, like: Tensor) -> Tensor:
        """Return how much each sample concerns an expert, [B]: 1 unless it is asked about its own alone."""
        if self.asked == "all":
            return torch.ones_like(like)
        mine = numbers.to(batch.labels.device)
        concerned: Tensor = batch.by_label(lambda labels: torch.isin(labels, mine).to(like))
        return concerned


def _mean(values: Sequence[float | None]) -> float:
    """Return the mean over the classes that have samples."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known)
