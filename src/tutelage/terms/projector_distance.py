"""Distance of normalised embeddings behind one linear projector."""

import torch
from torch import Tensor, nn

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.precision import full
from tutelage.losses.shapes import feature
from tutelage.terms.adapters import means
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class ProjectorDistance(Term):
    """Log-sum distance of batch-normalised embeddings, the student's through a linear projector (RP).

    Args:
        tap: feature compared; space is averaged out, as the authors do with their last stage.
        power: exponent of the absolute differences; 4 is the authors' for teachers much larger than the
            student.

    Shapes:
        features [B, c, ...] of any two sizes -> [B].

    Raises:
        ValueError: power <= 0.

    Source:
        Miles & Mikolajczyk 2024, arXiv:2303.11098; code roymiles/Simple-Recipe-Distillation, ``imagenet``. See
        :func:`tutelage.losses.log_sum_distance`. Both normalisations are without scale and shift, with the
        code's epsilon of 1e-4. Published coefficients: 2, beside KD at temperature 1 with coefficient 1 and
        labels with 1 (ImageNet).
    """

    def __init__(self, tap: str = "embedding", power: float = 4.0) -> None:
        super().__init__()
        within("(0, inf)", power=power)
        self.tap, self.power = tap, power
        self.reads = Needs(features=frozenset([self.tap]))

    def prepare(self, facts: Facts) -> None:
        """Build the projector and both normalisations."""
        (teacher,) = facts.view.teachers.values()
        channels = means(feature(teacher, self.tap)).shape[1]
        self.projector = nn.Linear(means(feature(facts.view.student, self.tap)).shape[1], channels)
        self.student_norm = nn.BatchNorm1d(channels, eps=1e-4, affine=False)
        self.teacher_norm = nn.BatchNorm1d(channels, eps=1e-4, affine=False)

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the share of each sample, [B]."""
        projected = self.projector(means(feature(student, self.tap)))
        target = means(feature(teacher, self.tap)).detach()
        with torch.autocast(target.device.type, enabled=False):
            return losses.log_sum_distance(
                self.student_norm(full(projected)),
                self.teacher_norm(full(target)),
                power=self.power,
            )
