"""Hard labels behind a margin of angles."""

from torch import Tensor

from tutelage import losses
from tutelage.errors import UserError, within
from tutelage.losses.angular_softmax import MarginForm
from tutelage.losses.shapes import feature
from tutelage.objectives.base import Objective
from tutelage.schedules import Schedule, value_at
from tutelage.types import View


class MarginLabels(Objective):
    """Cross entropy with the true classes, whose cosine stands behind a margin (A-softmax, AM-softmax).

    For a student with an :class:`~tutelage.models.AngularHead`. The margin is in training alone: what is deployed
    predicts by plain cosines.

    Args:
        form: ``additive``: the cosine of the true class less ``margin`` (AM-softmax); ``multiplicative``: the
            cosine of ``margin`` times its angle (A-softmax).
        margin: additive in [0, 2); multiplicative a whole number from 1, which is no margin.
        plain: how much of the plain cosine is mixed in, a number or a schedule >= 0; the authors of A-softmax
            begin at 1000 and end at 5, because a margin from the start does not converge.

    Shapes:
        student features ``cosine`` [B, C] and ``length`` [B, 1], labels [B] -> [B], in nats.

    Raises:
        ValueError: a margin out of range, or no angular head.

    Source:
        Liu et al. 2017, arXiv:1704.08063 (m = 4); Wang et al. 2018, arXiv:1801.05599 (m = 0.35, scale 30). See
        :func:`tutelage.losses.with_margin`. Published coefficient: 1.
    """

    def __init__(
        self, form: MarginForm = "additive", margin: float = 0.35, plain: float | Schedule = 0.0
    ) -> None:
        super().__init__()
        within("[0, inf)", plain=plain)
        if form == "additive":
            within("[0, 2)", margin=margin)
        elif margin < 1 or margin != int(margin):
            raise UserError(f"margin: {margin} multiplies an angle; allowed: 1, 2, 3, ...")
        self.form, self.margin, self.plain = form, margin, plain

    def forward(self, view: View) -> Tensor:
        """Return the loss of each sample, [B]; of a mixed input, that of both classes by their share."""
        cosine = feature(view.student, "cosine")
        length = feature(view.student, "length")
        plain = value_at(self.plain, view.clock)

        def loss(labels: Tensor) -> Tensor:
            known, classes = labels >= 0, labels.clamp_min(0)
            behind = losses.with_margin(
                cosine, classes, margin=self.margin, form=self.form, plain=plain
            )
            values = losses.cross_entropy(length * behind, classes)
            # As for Labels: the mean is over the samples of the batch that have a label.
            return values.where(known, 0.0) * (len(labels) / known.sum().clamp_min(1))

        total: Tensor = view.batch.by_label(loss)
        return total
