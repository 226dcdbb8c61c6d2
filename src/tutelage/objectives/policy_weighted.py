"""Logits and last features of several teachers, weighted by a policy that is rewarded for small losses."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.precision import full, shown
from tutelage.losses.shapes import feature
from tutelage.objectives._imitations import Imitations
from tutelage.objectives.base import Judged, TracedObjective
from tutelage.objectives.per_teacher import by_teacher, select
from tutelage.schedules import Schedule, value_at
from tutelage.terms.adapters import means
from tutelage.types import Facts, Needs, View
from tutelage.weighting.complement import complement


class PolicyWeighted(TracedObjective):
    """``Σ_k w_k · KL_k + c · Σ_k v_k · distance_k`` with weights of each sample from a learned policy (MTKD-RL).

    The policy sees, of every teacher: its last feature's mean over space, its logits, its cross entropy with the
    label, its KL to the student and the cosine between that mean and the mean of the student's imitation. A linear
    layer, ReLU, and one softmax over teachers each for ``w`` and ``v``. The weights used are the mean of this
    answer, of the confidence of the teachers (as in :class:`~tutelage.weighting.Confidence`) and of a softmax over
    teachers of the KL (for ``w``) or of the cosine (for ``v``). In the first epoch every weight is 1.

    A sample's reward is minus its loss (cross entropy of the student and both sums), standardised over the batch
    and clipped to [0, 1]; the policy learns to raise the logarithm of the weights of rewarded samples. That lesson
    has a gradient but no value: the loss is that of the student alone. No gradient flows from the loss to
    the policy, nor from the lesson to the student.

    Args:
        temperature: of the KL; a number or a schedule, > 0.
        feature_coefficient: c.
        student_tap: feature of the student, with one or two axes of space.
        teacher_tap: feature of the teachers that is imitated.
        teachers: names of the teachers to use; all of the stage's unless given.
        width: of the policy's hidden layer.
        learn_mix: learn the shares of the three parts of the weights instead of one third each.
        active: ReLU behind the imitations; turn it off where features have negative values that matter.

    Shapes:
        -> [B].

    Raises:
        ValueError: temperature <= 0, a feature is missing or has no axis of space.

    Source:
        Yang et al. 2025, MTKD-RL, AAAI, arXiv:2502.18510; code winycg/MTKD-RL (``PolicyTrans``,
        ``train_loops.py``; their ``--dynamic`` is ``learn_mix``). Published: coefficient 1 beside labels with 1,
        temperature 4, features 5. Differs from their code: their policy is trained by an SGD of its own (rate 0.1)
        on stored states, once every 1000 batches or at the end of an epoch; ours by the optimizer of the student
        in every step, multiplied by this objective's coefficient. Their second teacher is compared with a map
        resized for the first; ours with the student's own.
    """

    def __init__(
        self,
        temperature: float | Schedule = 4.0,
        feature_coefficient: float = 5.0,
        student_tap: str = "stage3",
        teacher_tap: str = "stage3",
        teachers: Sequence[str] | None = None,
        *,
        width: int = 128,
        learn_mix: bool = False,
        active: bool = True,
    ) -> None:
        super().__init__()
        within("(0, inf)", temperature=temperature)
        self.temperature, self.feature_coefficient = temperature, feature_coefficient
        self.student_tap, self.teacher_tap = student_tap, teacher_tap
        self.teachers = None if teachers is None else tuple(teachers)
        self.width, self.learn_mix = width, learn_mix
        self.imitations = Imitations(active)
        self.reads = Needs(features=frozenset({self.teacher_tap}))

    def prepare(self, facts: Facts) -> None:
        """Build the imitations, and a policy for these teachers in this order."""
        teachers = select(facts.view, self.teachers)
        student = feature(facts.view.student, self.student_tap)
        targets = self.imitations.build(student, teachers, self.teacher_tap)
        classes = facts.view.student.logits.shape[1]
        size = sum(target.shape[1] + classes + 3 for target in targets.values())
        self.teachers = tuple(teachers)
        self.policy = _Policy(size, len(teachers), self.width, self.learn_mix)

    def judge(self, view: View) -> Judged:
        """Return the weighted distance, both weights of each teacher, and the reward of each sample."""
        looks = self._looks(view)
        with torch.autocast(looks.kl.device.type, enabled=False):
            answers = self.policy(looks)
        first = view.clock.epoch == 0
        used = [torch.ones_like(answer) if first else answer.detach() for answer in answers]
        total = (used[0] * looks.kl + self.feature_coefficient * used[1] * looks.distance).sum(0)
        reward = _reward(
            view.batch.by_label(partial(losses.cross_entropy, view.student.logits)) + total
        )
        praised = torch.stack(answers).clamp_min(1e-12).log().sum(dim=0)
        lesson = -(reward * praised).mean(dim=0)
        names = self.teachers or ()
        traces = by_teacher(names, used[0]) | by_teacher(names, used[1], "feature_weight")
        return Judged(total + (lesson - lesson.detach()), traces | {"reward": reward})

    def _looks(self, view: View) -> "_Looks":
        """Compare the student with every teacher."""
        student = feature(view.student, self.student_tap)
        temperature = value_at(self.temperature, view.clock)
        kl, distance, cosine, surprise, seen = [], [], [], [], []
        for name, teacher in select(view, self.teachers).items():
            target = feature(teacher, self.teacher_tap)
            imitation = self.imitations(name, student, target.shape[2:])
            middle = full(means(target))
            distance.append(losses.mean_square(imitation, target))
            cosine.append(F.cosine_similarity(full(means(imitation)), middle))
            kl.append(
                losses.soft_targets(view.student.logits, teacher.logits, temperature=temperature)
            )
            surprise.append(
                view.batch.by_label(partial(losses.cross_entropy, shown(full(teacher.logits))))
            )
            numbers = torch.stack([cosine[-1], kl[-1], surprise[-1]], dim=1)
            seen.append(torch.cat([numbers, middle, shown(full(teacher.logits))], dim=1))
        confidence = complement(torch.stack(surprise))
        gaps = torch.stack(kl).detach(), torch.stack(cosine).detach()
        state = torch.cat(seen, dim=1).detach()
        return _Looks(torch.stack(kl), torch.stack(distance), state, confidence.detach(), gaps)


class _Looks(NamedTuple):
    """What one batch shows: what is weighted, and what the policy decides on."""

    kl: Tensor
    distance: Tensor
    state: Tensor
    confidence: Tensor
    gaps: tuple[Tensor, Tensor]


class _Policy(nn.Module):
    """From what is seen of all teachers to two mixes over them, [K, B] each."""

    def __init__(self, size: int, teachers: int, width: int, learn_mix: bool) -> None:
        super().__init__()
        self.trunk = nn.Linear(size, width, bias=False)
        self.heads = nn.ModuleList([nn.Linear(width, teachers) for _ in range(2)])
        self.shares = nn.Parameter(torch.ones(2, 3), requires_grad=learn_mix)

    def forward(self, looks: _Looks) -> tuple[Tensor, ...]:
        """Return the weights of logits and of features, with the policy's gradient."""
        hidden = F.relu(self.trunk(looks.state))
        mixes = []
        for head, share, gap in zip(self.heads, self.shares.softmax(1), looks.gaps, strict=True):
            own = torch.softmax(head(hidden), dim=1).T
            parts = torch.stack([own, looks.confidence, torch.softmax(gap, dim=0)])
            mixes.append((share[:, None, None] * parts).sum(dim=0))
        return tuple(mixes)


def _reward(loss: Tensor) -> Tensor:
    """Return minus the loss of each sample, standardised over the batch and clipped to [0, 1]."""
    reward = -loss.detach()
    spread = reward.std() if len(reward) > 1 else torch.ones_like(reward).mean()
    return ((reward - reward.mean()) / spread.clamp_min(1e-12)).clamp(0, 1)
