"""Features compared value by value, without a regressor between them."""

from torch import Tensor

from tutelage import losses
from tutelage.losses.shapes import feature
from tutelage.terms.base import Term
from tutelage.types import Needs, Output, View


class FeatureDistance(Term):
    """Mean squared difference of a student's and a teacher's feature with the same channels.

    With the student network :class:`~tutelage.models.ReusedHead` this is all that SimKD trains with. Where the
    channels differ, :class:`~tutelage.terms.Hint` learns a regressor.

    Args:
        student_tap: feature of the student; ``projected`` is what a ``ReusedHead`` hands to its head.
        teacher_tap: feature of the teacher.

    Shapes:
        features [B, channels, ...] of any two sizes of space -> [B].

    Source:
        Chen et al. 2022, SimKD, arXiv:2203.14001; code DefangChen/SimKD. See
        :func:`tutelage.losses.mean_square`. Published coefficient: 1, without labels and without KD. Differs
        from the code where the student's map is larger: it is averaged behind the projector, not before it,
        because the exported student must not depend on the teacher's size.
    """

    def __init__(self, student_tap: str = "projected", teacher_tap: str = "stage3") -> None:
        super().__init__()
        self.student_tap, self.teacher_tap = student_tap, teacher_tap
        self.reads = Needs(features=frozenset([self.teacher_tap]))

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the mean squared difference of each sample, [B].

        Raises:
            ValueError: a tap is missing, or the channels differ.
        """
        s, t = feature(student, self.student_tap), feature(teacher, self.teacher_tap)
        if s.shape[1] != t.shape[1]:
            raise ValueError(
                f"student_tap {self.student_tap!r} has {s.shape[1]} channels, teacher_tap "
                f"{self.teacher_tap!r} has {t.shape[1]} (allowed: equal numbers; Hint learns a regressor)"
            )
        return losses.mean_square(*losses.same_space(s, t))
