"""A student that predicts with its teacher's frozen head."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.models._layers import Staged, active, normed
from tutelage.models.network import Network, only_teacher
from tutelage.types import Output

_ENCODER = ("stem", "stages")  # what every family encodes with; all else belongs to its head
_SIDE = 64  # of the input that channels are counted on: large enough for every family


class ReusedHead(Network):
    """The student's stages, a learned projector, and the head of the teacher, which is not trained (SimKD).

    The head is copied from the stage's one teacher before training. It keeps its numbers and its running
    statistics, and it is saved and exported with the student, which needs no teacher any more.

    Args:
        channels: input channels.
        network: the student's network; of its own head nothing is built in.
        teacher: the teacher's network as its stage describes it; of it only the head is built in.
        factor: the projector's two inner layers have 1/factor of the teacher's channels; at least 1.
        active: ReLU behind the projector, for teachers whose last stage ends in one; ``WideResNet`` and
            ``MobileNetV2`` need ``false``, because their stages end without one.
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width]; of the
            student: the teacher's may differ.

    Shapes:
        -> logits [B, classes]; the features of the student's stages, ``projected`` (in the teacher's
        channels, at the size of the student's last stage) and ``embedding``, the reused head's.

    Raises:
        ValueError: ``factor`` is less than 1 or more than the teacher's channels.
        UserError: the student has not exactly one teacher, or one with another head (from :meth:`adopt`).

    Source:
        Chen et al. 2022, Knowledge distillation with the reused teacher classifier, arXiv:2203.14001, sec. 3.2;
        code DefangChen/SimKD (``models/util.py``): 1x1, 3x3 and 1x1 convolutions without bias, each with batch
        normalisation and ReLU. Train it with :class:`~tutelage.terms.FeatureDistance` alone. Differs from the
        code: the student's own size of space is kept, where the code averages a larger map to the teacher's and
        so needs the teacher for predictions; ``active`` (their teachers all end in a ReLU).
    """

    def __init__(
        self,
        channels: int,
        *,
        network: Staged,
        teacher: Staged,
        factor: int = 2,
        active: bool = True,
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__()
        seen = (channels, *(_SIDE,) * dimensions)
        fan_in, fan_out = (each.last_stage(seen).shape[1] for each in (network, teacher))
        if not 1 <= factor <= fan_out:
            raise ValueError(f"factor: {factor}; allowed: 1 to the teacher's {fan_out} channels")
        self.encoder = _without(network, [n for n in _names(network) if n not in _ENCODER])
        self.decoder = _without(teacher, _ENCODER).requires_grad_(False)
        self.projector = _projector(fan_in, fan_out // factor, fan_out, active, dimensions)
        self.train()

    def adopt(
        self, teachers: Mapping[str, Network], outputs: Mapping[str, Output]
    ) -> dict[str, Any]:
        """Take the head of the one teacher; no argument follows from it.

        Raises:
            UserError: there is not exactly one teacher, or its head is not the one described.
        """
        wanted = "ReusedHead needs exactly one teacher whose head it takes"
        name, teacher = only_teacher(teachers, wanted)
        own, theirs = self.decoder.state_dict(), teacher.state_dict()
        if type(teacher) is not type(self.decoder) or any(
            key not in theirs or theirs[key].shape != value.shape for key, value in own.items()
        ):
            raise UserError(
                f"network.teacher: the head of {name!r} ({type(teacher).__name__}) has other layers or sizes "
                f"than the {type(self.decoder).__name__} described; describe the network of {name!r}"
            )
        self.decoder.load_state_dict({key: theirs[key] for key in own})
        return {}

    def train(self, mode: bool = True) -> "ReusedHead":
        """Set the mode of everything but the head, whose running statistics stay the teacher's."""
        super().train(mode)
        self.decoder.eval()
        return self

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        features = self.encoder.encode(x)
        last = features[self.encoder.last]
        signal = self.encoder.dimensions == 1
        projected = self.projector(last.unsqueeze(2) if signal else last)
        features["projected"] = projected.squeeze(2) if signal else projected
        logits, features["embedding"] = self.decoder.decode(features["projected"])
        return Output(logits, features)


def _names(network: nn.Module) -> list[str]:
    return [name for name, _ in network.named_children()]


def _without(network: Staged, names: Collection[str]) -> Staged:
    for name in names:
        delattr(network, name)
    return network


def _projector(
    fan_in: int, inner: int, fan_out: int, activated: bool, dimensions: int
) -> nn.Sequential:
    last = active if activated else normed
    return nn.Sequential(
        active(fan_in, inner, 1, dimensions),
        active(inner, inner, 3, dimensions),
        last(inner, fan_out, 1, dimensions),
    )
