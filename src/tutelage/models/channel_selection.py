"""A network that looks at each input first and runs with some of its channels alone."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor, nn

from tutelage.errors import within
from tutelage.models._layers import Staged
from tutelage.models.network import Network
from tutelage.modes import evaluating
from tutelage.types import Output


class ChannelSelection(Network):
    """Stages whose channels are chosen by each input: the most promising count, the others are 0 (AFDS).

    What enters a stage predicts, from its means over space, how much each of the stage's channels will matter; the
    largest share of them is multiplied by that, all others become 0.

    Args:
        shape: one input; follows from the data.
        network: whose stages are gated.
        density: share of channels that stay, in (0, 1]; at least one.

    Shapes:
        -> logits [B, classes]; features of the stages, with zeros for what was not chosen, and ``embedding``.

    Raises:
        ValueError: a density outside (0, 1].

    Source:
        Wang et al. 2020, AFDS, ICLR, with the gate of Gao et al. 2019, Feature Boosting and Suppression,
        arXiv:1810.05331. **Reconstruction**: the authors released no code that we found; the gate
        (ReLU of a linear layer on means, winners take all) is that of COMP6248-Reproducability-Challenge/AFDS.
        Ours:
        stages are gated, not each convolution, and a gate begins at 1, as in FBS. Left out: the masks that make a
        choice the same for all inputs after training.
    """

    def __init__(self, shape: Sequence[int], *, network: Staged, density: float = 0.5) -> None:
        super().__init__()
        within("(0, 1]", density=density)
        self.network, self.density, self.last = network, density, network.last
        with evaluating(network), torch.no_grad():
            x = torch.zeros(1, *shape)
            stem = network.stem(x.unsqueeze(2) if network.dimensions == 1 else x)
            sizes = [stem.shape[1], *(stage.shape[1] for stage in network.encode(x).values())]
        self.gates = nn.ModuleList(_gate(before, after) for before, after in pairwise(sizes))

    def start(self, other: Network) -> None:
        """Take the weights of the network inside, or of the same selection.

        Raises:
            RuntimeError: it has other layers or sizes.
        """
        own = self if isinstance(other, ChannelSelection) else self.network
        own.load_state_dict(other.state_dict())

    def promise(self, x: Tensor, gate: nn.Module) -> Tensor:
        """Return what each channel is multiplied by, [B, channels]; 0 for those that are not chosen.

        Args:
            x: what enters the stage, [B, c, height, width].
            gate: of the stage.
        """
        saliency = torch.relu(gate(x.mean(dim=(2, 3))))
        kept = ceil(self.density * saliency.shape[1])
        values, numbers = saliency.topk(kept, dim=1)
        return torch.zeros_like(saliency).scatter(1, numbers, values)

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the stages by name."""
        signal = self.network.dimensions == 1
        x = self.network.stem(x.unsqueeze(2) if signal else x)
        features = {}
        stages = zip(self.network.stages, self.gates, strict=True)
        for number, (stage, gate) in enumerate(stages, start=1):
            x = stage(x) * self.promise(x, gate)[:, :, None, None]
            features[f"stage{number}"] = x.squeeze(2) if signal else x
        return features

    def decode(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embedding of a feature map of the stage named ``last``."""
        return self.network.decode(feature)

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        features = self.encode(x)
        logits, features["embedding"] = self.decode(features[self.last])
        return Output(logits, features)


def _gate(before: int, after: int) -> nn.Linear:
    """Return a gate that begins near 1 for every channel."""
    gate = nn.Linear(before, after)
    nn.init.normal_(gate.weight, 0.0, 0.1 / before**0.5)
    nn.init.ones_(gate.bias)
    return gate
