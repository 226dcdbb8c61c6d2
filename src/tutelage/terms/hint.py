"""Hints: a regressor makes the teacher's feature out of the student's."""

from typing import Literal

from torch import Tensor, nn

from tutelage import losses
from tutelage.losses.shapes import feature
from tutelage.terms.adapters import pointwise
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class Hint(Term):
    """Mean squared difference of a teacher's feature and what a regressor makes of the student's (FitNet, MMKD).

    The regressor follows from the sizes of both features: a 3-wide convolution of stride 2 where the
    student's map is twice as large, a 4-wide transposed one of stride 2 where it is half as large, else a
    convolution as wide as the difference of sizes asks (1 + s - t; 1 for equal sizes). Where none of these fits,
    the larger map is averaged to the smaller and the convolution is 1-wide. Batch normalisation follows.

    Args:
        student_tap: feature of the student.
        teacher_tap: feature of the teacher.
        resize: ``learned``: the rules above; ``pooled``: always average the larger map to the smaller, and regress
            with a 1-wide convolution (the feature matching of MMKD).
        active: ReLU behind the regressor. Turn it off for teachers whose tap has negative values that
            matter, such as the raw stages of a wide residual network.

    Shapes:
        features [B, channels, ...] of any two sizes -> [B].

    Source:
        Romero et al. 2015, arXiv:1412.6550. See :func:`tutelage.losses.mean_square`. Differs from the paper: one
        stage of training, hints beside the labels, as in RepDistiller (``ConvReg``), whose rules these are.
        Differs from RepDistiller: convolutions without bias, which the normalisation takes out again; other
        sizes and other numbers of axes work. Published coefficient: 100, second stage, without KD (CIFAR-100).
        ``pooled``: Zhang et al. 2023, MMKD (ICME), code Rorozhl/MMKD ``MatchFeature``; coefficient 100 on the last
        stage, weights over teachers by ``MetaFeatures``.
        Identical networks do not give 0 at first: the regressor is learned.
    """

    regressor: nn.Sequential

    def __init__(
        self,
        student_tap: str = "stage2",
        teacher_tap: str = "stage2",
        active: bool = True,
        resize: Literal["learned", "pooled"] = "learned",
    ) -> None:
        super().__init__()
        self.student_tap, self.teacher_tap = student_tap, teacher_tap
        self.active, self.resize = active, resize
        self.reads = Needs(features=frozenset({self.teacher_tap}))

    def prepare(self, facts: Facts) -> None:
        """Build the regressor from the shapes of both features."""
        (teacher,) = facts.view.teachers.values()
        s, t = feature(facts.view.student, self.student_tap), feature(teacher, self.teacher_tap)
        convolution = None if self.resize == "pooled" else _convolution(s, t)
        if convolution is None:
            s, t = losses.same_space(s, t)
            self.regressor = pointwise(s, t.shape[1], active=self.active)
        else:
            norm = nn.BatchNorm1d if s.ndim == 3 else nn.BatchNorm2d
            layers = [convolution, norm(t.shape[1])]
            self.regressor = nn.Sequential(*layers, *([nn.ReLU()] if self.active else []))
        self.fits = convolution is not None

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the mean squared difference of each sample, [B]."""
        s, t = feature(student, self.student_tap), feature(teacher, self.teacher_tap)
        if not self.fits:
            s, t = losses.same_space(s, t)
        return losses.mean_square(self.regressor(s), t)


def _convolution(student: Tensor, teacher: Tensor) -> nn.Module | None:
    """Return the layer that brings the student's map to the teacher's size, None if no rule fits."""
    if student.ndim != teacher.ndim or student.ndim == 2:
        return None
    sizes = list(zip(student.shape[2:], teacher.shape[2:], strict=True))
    if all(s == 2 * t for s, t in sizes):
        kernel, stride, padding = [3] * len(sizes), 2, 1
    elif all(2 * s == t for s, t in sizes):
        kernel, stride, padding = [4] * len(sizes), 2, 1
    elif all(s >= t for s, t in sizes):
        kernel, stride, padding = [1 + s - t for s, t in sizes], 1, 0
    else:
        return None
    up = student.shape[2] < teacher.shape[2]
    kinds: dict[tuple[int, bool], type[nn.Module]] = {
        (3, False): nn.Conv1d,
        (3, True): nn.ConvTranspose1d,
        (4, False): nn.Conv2d,
        (4, True): nn.ConvTranspose2d,
    }
    return kinds[student.ndim, up](
        student.shape[1], teacher.shape[1], kernel, stride=stride, padding=padding, bias=False
    )
