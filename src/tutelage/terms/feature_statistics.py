"""Mean and variance of features brought to a teacher's."""

from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.precision import full
from tutelage.losses.shapes import feature
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class FeatureStatistics(Term):
    """L1 distance of means and of variances of a student's and a teacher's feature (IFAlign of ComKD-CLIP).

    Args:
        student_tap: feature of the student; ``image`` of a :class:`~tutelage.models.DistilledClip` is behind its
            projector, which this term shares with the logits.
        teacher_tap: feature of the teacher.
        axis: ``batch``: statistics of each channel over the batch; ``channel``: of each sample over its channels.
        reduction: over channels, for ``batch``: ``sum`` (an L1 norm) or ``mean``, which on features of norm 1
            hardly acts.
        stats: for ``batch``, of the teacher: ``batch``, of this batch alone; ``ema``, a running average of those
            of all batches in training, for small batches.
        momentum: of the running average; until 1 / (1 - momentum) batches were seen it is the plain mean.
        normalise: bring both features to norm 1 over channels first.

    Shapes:
        features [B, C, ...] -> [B]; the batch mean is the paper's scalar. With ``batch`` a sample's share may be
        negative.

    Raises:
        ValueError: a momentum outside [0, 1), a running average of samples, a missing tap, or with ``batch``
            channels that differ.

    Source:
        Chen et al. 2024, ComKD-CLIP, arXiv:2408.04145; see :func:`tutelage.losses.feature_statistics`. Published
        coefficient: not known; 1 here. Axis, reduction and normalisation could not be read; ``ema`` is ours.
    """

    mean: Tensor
    variance: Tensor
    seen: Tensor

    def __init__(
        self,
        student_tap: str = "image",
        teacher_tap: str = "image",
        axis: Literal["batch", "channel"] = "batch",
        reduction: Literal["sum", "mean"] = "sum",
        stats: Literal["batch", "ema"] = "batch",
        momentum: float = 0.9,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        within("[0, 1)", momentum=momentum)
        if stats == "ema" and axis == "channel":
            raise ValueError(
                "stats: ema, but with axis: channel statistics are of one sample (allowed: batch)"
            )
        self.student_tap, self.teacher_tap = student_tap, teacher_tap
        self.axis, self.reduction, self.stats = axis, reduction, stats
        self.momentum, self.normalise = momentum, normalise
        self.register_buffer("seen", torch.tensor(0.0))
        self.reads = Needs(features=frozenset([self.teacher_tap]))

    def prepare(self, facts: Facts) -> None:
        """Make room for the running average."""
        if self.stats == "ema":
            (teacher,) = facts.view.teachers.values()
            values = feature(teacher, self.teacher_tap)
            for name in ("mean", "variance"):
                self.register_buffer(name, torch.zeros(values.shape[1], device=values.device))

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the share of each sample, [B]."""
        s, t = feature(student, self.student_tap), feature(teacher, self.teacher_tap).detach()
        if self.normalise:
            s, t = (losses.row_normalise(full(x), dim=1) for x in (s, t))
        if self.stats == "ema" and s.shape[1] == t.shape[1]:
            return losses.statistics_distance(s, *self._average(t), self.reduction)
        return losses.feature_statistics(s, t, axis=self.axis, reduction=self.reduction)

    def _average(self, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Return the running average of the teacher's statistics, in training with this batch among them."""
        if not self.training and not self.seen:
            return losses.sample_statistics(teacher)
        if self.training:
            kept = torch.clamp(self.seen / (self.seen + 1), max=self.momentum)
            of_batch = losses.sample_statistics(teacher)
            for own, new in zip((self.mean, self.variance), of_batch, strict=True):
                own.copy_(kept * own + (1 - kept) * new)
            self.seen.add_(1)
        # A copy: the next batch writes into it.
        return self.mean.clone(), self.variance.clone()
