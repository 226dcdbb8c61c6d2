"""A student's feature made to look like that of each of several teachers."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from tutelage import losses
from tutelage.losses.shapes import feature
from tutelage.terms.adapters import pointwise
from tutelage.types import Output


class Imitations(nn.Module):
    """One embedding per teacher: the student's map over the teacher's positions and in its channels.

    Args:
        active: ReLU behind each embedding.

    Source:
        The embeddings of CA-MKD, which MTKD-RL took over: adaptive average or bilinear, a 1x1 convolution, batch
        normalisation, ReLU. Over a signal and an image: :func:`tutelage.losses.onto`.
    """

    def __init__(self, active: bool) -> None:
        super().__init__()
        self.active = active
        self.embeddings = nn.ModuleDict()

    def build(self, student: Tensor, teachers: Mapping[str, Output], tap: str) -> dict[str, Tensor]:
        """Make the embeddings for a student's feature; return that of each teacher, by name."""
        targets = {name: feature(teacher, tap) for name, teacher in teachers.items()}
        for name, target in targets.items():
            laid = _own_axes(student, target.shape[2:])
            self.embeddings[name] = pointwise(laid, target.shape[1], active=self.active)
        return targets

    def forward(self, name: str, student: Tensor, space: Sequence[int]) -> Tensor:
        """Return the imitation of a teacher's feature whose space has this size, [B, c, *space]."""
        # A signal is embedded before it is repeated over the height: the same values for less work.
        return losses.onto(self.embeddings[name](_own_axes(student, space)), space)


def _own_axes(student: Tensor, space: Sequence[int]) -> Tensor:
    """Return the student's map over the positions of the teacher's, on no more axes than it has itself."""
    return losses.onto(student, space[-(student.ndim - 2) :])
