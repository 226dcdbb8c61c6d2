"""Feature distillation where the teacher's own activation decides which of its channels count."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tutelage import losses
from tutelage.losses.precision import full
from tutelage.terms.adapters import means, named, pairs, pointwise
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class ChannelAttention(Term):
    """Distance of features channel by channel, channels weighted by learned attention (the AFD part of AFDS).

    A gate of two layers makes one weight per channel from the teacher's means over space. Where student and
    teacher differ in channels, a learned 1-wide convolution brings the student's to the teacher's.

    Args:
        taps: features compared, by the same names in both networks.

    Shapes:
        features [B, channels, ...] of any two sizes -> [B]; at least two positions in common. Mean over taps.

    Raises:
        ValueError: ``taps`` is empty.

    Source:
        Wang et al. 2020, "Pay attention to features, transfer learn faster CNNs", ICLR. **Reconstruction**: the
        authors released no code that we found; this is the form of AberHu/Knowledge-Distillation-Zoo, which has
        a squeeze-and-excitation gate in place of the paper's attention over positions. Ours: the convolution for
        other numbers of channels. Left out: the selection part (AFS), which prunes the student. Published
        coefficient: 500 without KD (KD-Zoo, CIFAR-10). See :func:`tutelage.losses.channel_distance`.
    """

    gates: nn.ModuleList
    adapters: nn.ModuleList

    def __init__(self, taps: Sequence[str] = ("stage1", "stage2", "stage3")) -> None:
        super().__init__()
        self.taps = named(taps)
        self.reads = Needs(features=frozenset(self.taps))

    def prepare(self, facts: Facts) -> None:
        """Build a gate per tap, and a convolution where the numbers of channels differ."""
        (teacher,) = facts.view.teachers.values()
        shapes = pairs(facts.view.student, teacher, self.taps)
        self.gates = nn.ModuleList(_gate(t.shape[1]) for _, t in shapes)
        self.adapters = nn.ModuleList(
            nn.Identity()
            if s.shape[1] == t.shape[1]
            else pointwise(s, t.shape[1], norm=False, active=False)
            for s, t in shapes
        )

    def attention(self, teacher: Tensor, gate: nn.Module) -> Tensor:
        """Return the weight of each channel of a teacher's feature, [B, channels]; rows sum to one."""
        openness = torch.sigmoid(full(gate(means(full(teacher.detach())))))
        # Where every gate is shut so tightly that it underflows, no channel counts.
        total = openness.sum(dim=1, keepdim=True)
        return openness / total.clamp_min(torch.finfo(total.dtype).tiny)

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the weighted distance of each sample's channels, mean over taps, [B]."""
        distances = [
            losses.channel_distance(adapter(s), t, self.attention(t, gate))
            for (s, t), adapter, gate in zip(
                pairs(student, teacher, self.taps), self.adapters, self.gates, strict=True
            )
        ]
        return torch.stack(distances).mean(dim=0)


def _gate(channels: int) -> nn.Sequential:
    gate = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
    for layer in gate:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return gate
