"""Last features of several teachers, each as important as its head finds the student's imitation convincing."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch

from tutelage import losses
from tutelage.losses.shapes import feature
from tutelage.objectives._imitations import Imitations
from tutelage.objectives.base import Judged, TracedObjective
from tutelage.objectives.per_teacher import by_teacher, select
from tutelage.types import Decoder, Facts, Needs, View
from tutelage.weighting.complement import complement


class ConfidentFeatures(TracedObjective):
    """Distance of the student's last feature from every teacher's, weighted by the teachers' heads (CA-MKD).

    The student's map is laid over the positions of teacher k and embedded in its channels (1x1 convolution, batch
    normalisation, ReLU). The teacher's frozen head scores that imitation; the better its cross entropy with the
    labels among the teachers, the more the mean squared distance to this teacher's feature counts:
    ``Σ_k v_k · mean (h_k - F_k)²`` with ``v_k = (1 - softmax_k(CE_k)) / (K - 1)``. With one teacher ``v`` is 1.
    A signal's map is repeated over the height of an image teacher's (:func:`tutelage.losses.onto`).

    Args:
        student_tap: feature of the student.
        teacher_tap: feature of the teachers, the one their heads begin with.
        teachers: names of the teachers to use; all of the stage's unless given.
        detach_weights: let no gradient flow through the weights. In the authors' code it flows: the heads then
            also teach the embedding to be scored well.
        divide_by_teachers: divide by K once more, as the authors' code does.
        distance: of an imitation from the teacher's feature: ``mean_square``, as published; ``cosine``: one
            minus the cosine of both as vectors, which does not ask for the size of a teacher's feature.
        active: ReLU behind the embedding. Turn it off for teachers whose feature has negative values that
            matter, such as the raw stages of a wide residual network.

    Shapes:
        features [B, channels, ...] of any two sizes, with one or two axes of space -> [B].

    Raises:
        ValueError: a teacher has no head, its head begins with another feature, or a feature has no axis of space.

    Source:
        Zhang et al. 2022, CA-MKD, ICASSP, arXiv:2201.00007; code Rorozhl/CA-MKD (``CalWeight``, ``CAMKD``).
        Published coefficient: 50 on the loss of the code, which is divided by K once more, and 0 in the first
        epoch: with K teachers ``{type: Piecewise, values: [0, 50 / K], at: [1 / epochs]}`` here. Differs from the
        code: there the second teacher sees the map already resized for the first; ours is resized from the
        student's for each. Their wide residual networks give the feature behind the last ReLU, ours the raw one
        before it (see ``active``).
    """

    def __init__(
        self,
        student_tap: str = "stage3",
        teacher_tap: str = "stage3",
        teachers: Sequence[str] | None = None,
        detach_weights: bool = False,
        divide_by_teachers: bool = False,
        active: bool = True,
        distance: Literal["mean_square", "cosine"] = "mean_square",
    ) -> None:
        super().__init__()
        self.student_tap, self.teacher_tap = student_tap, teacher_tap
        self.teachers = None if teachers is None else tuple(teachers)
        self.detach_weights = detach_weights
        self.divide_by_teachers = divide_by_teachers
        self.distance = losses.cosine_distance if distance == "cosine" else losses.mean_square
        self.imitations = Imitations(active)
        # In a plain mapping, so that they are not registered: a head is the teacher's and never saved here.
        self.heads: dict[str, Decoder] = {}
        self.reads = Needs(features=frozenset({self.teacher_tap}))

    def prepare(self, facts: Facts) -> None:
        """Take the heads, and build one embedding per teacher."""
        teachers = select(facts.view, self.teachers)
        student = feature(facts.view.student, self.student_tap)
        self.imitations.build(student, teachers, self.teacher_tap)
        self.heads = {name: self._head(name, facts.heads) for name in teachers}

    def judge(self, view: View) -> Judged:
        """Return the weighted distance, and the weight of each teacher, of each sample."""
        teachers = select(view, self.teachers)
        student = feature(view.student, self.student_tap)
        distances, surprise = [], []
        for name, teacher in teachers.items():
            target = feature(teacher, self.teacher_tap)
            imitation = self.imitations(name, student, target.shape[2:])
            logits, _ = self.heads[name].decode(imitation)
            distances.append(self.distance(imitation, target))
            surprise.append(view.batch.by_label(partial(losses.cross_entropy, logits)))
        weights = complement(torch.stack(surprise))
        if self.detach_weights:
            weights = weights.detach()
        total = (weights * torch.stack(distances)).sum(dim=0)
        loss = total / len(teachers) if self.divide_by_teachers else total
        return Judged(loss, by_teacher(teachers, weights))

    def _head(self, name: str, heads: Mapping[str, Decoder]) -> Decoder:
        if name not in heads:
            raise ValueError(
                f"teacher {name!r} has no head that scores features "
                f"(teachers with one: {', '.join(heads) or 'none'})"
            )
        if heads[name].last != self.teacher_tap:
            raise ValueError(
                f"teacher_tap: {self.teacher_tap!r} is not what the head of teacher {name!r} begins with "
                f"(allowed: {heads[name].last!r})"
            )
        return heads[name]
