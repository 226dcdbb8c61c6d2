"""Feature distillation where attention decides which feature of the student answers which of the teacher."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.precision import full
from tutelage.losses.shapes import feature
from tutelage.terms.adapters import means, named, pointwise
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class AttentionFeature(Term):
    """Distance of all attention maps of a teacher from all of the student, weighted by learned attention (AFD).

    A query is made of every teacher feature and a key of every student feature, from their means over space;
    softmax over the student's features says how much of a teacher's map each of them answers for.

    Args:
        taps: features of the student.
        teacher_taps: features of the teacher; the names of ``taps`` unless given.
        width: length of queries and keys.

    Shapes:
        features [B, channels, ...] of any sizes -> [B]; at least two positions in every teacher feature.

    Raises:
        ValueError: a list of taps is empty, or ``width`` < 1.

    Source:
        Ji, Heo & Park 2021, arXiv:2102.02973. See :func:`tutelage.losses.matched_maps`. Differs from the code
        (clovaai/attention-feature-distillation): linear layers without bias, which the batch normalisation behind
        them takes out again. Published coefficient: 200 beside 1 labels and 0.9 KD at temperature 4 (CIFAR-100),
        on *all residual blocks* after their activation; our three stages are fewer and before it.
        Identical networks do not give 0: every pair of features is compared.
    """

    queries: nn.ModuleList
    keys: nn.ModuleList
    bilinear: nn.Module
    query_places: Tensor
    key_places: Tensor

    def __init__(
        self,
        taps: Sequence[str] = ("stage1", "stage2", "stage3"),
        teacher_taps: Sequence[str] | None = None,
        width: int = 128,
    ) -> None:
        super().__init__()
        within("[1, inf)", width=width)
        self.taps = named(taps)
        self.teacher_taps = self.taps if teacher_taps is None else named(teacher_taps)
        self.width = width
        self.reads = Needs(features=frozenset(self.teacher_taps))

    def prepare(self, facts: Facts) -> None:
        """Build the layers of queries and keys from the numbers of channels."""
        (teacher,) = facts.view.teachers.values()
        self.queries = nn.ModuleList(
            pointwise(x, self.width, active=False) for x in _means(teacher, self.teacher_taps)
        )
        self.keys = nn.ModuleList(
            pointwise(x, self.width) for x in _means(facts.view.student, self.taps)
        )
        # From one key to one for each of the teacher's features.
        key = torch.zeros(1, self.width)
        self.bilinear = pointwise(key, self.width * len(self.teacher_taps), active=False)
        self.query_places = nn.Parameter(torch.empty(len(self.teacher_taps), self.width))
        self.key_places = nn.Parameter(torch.empty(len(self.taps), self.width))
        nn.init.xavier_normal_(self.query_places)
        nn.init.xavier_normal_(self.key_places)

    def attention(self, student: Output, teacher: Output) -> Tensor:
        """Return how much each student feature answers for each teacher feature, [B, T, S]; rows sum to one."""
        with torch.autocast(student.logits.device.type, enabled=False):
            means_t, means_s = _means(teacher, self.teacher_taps), _means(student, self.taps)
            query = torch.stack(
                [layer(x.detach()) for layer, x in zip(self.queries, means_t, strict=True)], dim=1
            )
            key = torch.stack(
                [layer(x) for layer, x in zip(self.keys, means_s, strict=True)], dim=1
            )
            key = self.bilinear(key.flatten(0, 1)).view(*key.shape[:2], len(means_t), self.width)
            scores = (
                torch.einsum("bstw,btw->bts", key, query) + self.query_places @ self.key_places.T
            )
            return torch.softmax(scores / math.sqrt(self.width), dim=2)

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the attended distance of each sample's maps, summed over the teacher's features, [B]."""
        return losses.matched_maps(
            [feature(student, tap) for tap in self.taps],
            [feature(teacher, tap) for tap in self.teacher_taps],
            self.attention(student, teacher),
        )


def _means(output: Output, taps: Sequence[str]) -> list[Tensor]:
    """Return the mean over space of each feature, [B, channels] each."""
    return [means(full(feature(output, tap))) for tap in taps]
