"""What the network families share: layers for one or two dimensions, initialisation, the staged forward pass."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tutelage.models.network import Network
from tutelage.modes import evaluating
from tutelage.types import Output

Block = Callable[[int, int, int, int], nn.Module]  # input and output channels, stride, dimensions


class Staged(Network):
    """A network of a stem, numbered stages and a linear head.

    A signal runs as an image of height 1 with 1xk kernels: the same function and the same parameter count as
    ``Conv1d``, and faster on CPUs because the channels-last kernels serve it. A family assigns ``stem``,
    ``stages`` and ``head``, names its last stage, and writes ``embed`` where that is more than a mean.

    Args:
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Raises:
        ValueError: dimensions is neither 1 nor 2.
    """

    channels_last = True
    stem: nn.Module
    stages: nn.ModuleList
    head: nn.Linear

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        if dimensions not in (1, 2):
            raise ValueError(f"dimensions: {dimensions} is not allowed; allowed: 1, 2")
        self.dimensions = dimensions

    def embed(self, x: Tensor) -> Tensor:
        """Return the embedding [B, D] of a last-stage image [B, channels, height, width]: the mean over space."""
        return average(x)

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the stages by name."""
        x = self.stem(x.unsqueeze(2) if self.dimensions == 1 else x)
        features = {}
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            features[f"stage{number}"] = x.squeeze(2) if self.dimensions == 1 else x
        return features

    def last_stage(self, shape: Sequence[int]) -> Tensor:
        """Return the feature of the last stage of one input of zeros of this shape."""
        with evaluating(self), torch.no_grad():
            return self.encode(torch.zeros(1, *shape))[self.last]

    def decode(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embedding of a feature map of the stage named ``last``."""
        embedding = self.embed(feature.unsqueeze(2) if self.dimensions == 1 else feature)
        return self.head(embedding), embedding

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        features = self.encode(x)
        logits, features["embedding"] = self.decode(features[self.last])
        return Output(logits, features)


def average(x: Tensor) -> Tensor:
    """Return the mean of an image over space, [B, channels]."""
    return x.mean(dim=(2, 3))


def repeated(
    block: Block, fan_in: int, fan_out: int, count: int, stride: int, dimensions: int
) -> nn.Sequential:
    """Return a stage of blocks, of which the first changes channels and size."""
    first = block(fan_in, fan_out, stride, dimensions)
    return nn.Sequential(first, *(block(fan_out, fan_out, 1, dimensions) for _ in range(count - 1)))


def convolution(
    fan_in: int,
    fan_out: int,
    kernel: int,
    dimensions: int,
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Return a convolution that keeps the size (odd kernel) up to its stride."""
    return nn.Conv2d(
        fan_in,
        fan_out,
        _extent(kernel, 1, dimensions),
        stride=_extent(stride, 1, dimensions),
        padding=_extent(kernel // 2, 0, dimensions),
        groups=groups,
        bias=bias,
    )


def normed(
    fan_in: int, fan_out: int, kernel: int, dimensions: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return a convolution without bias and its batch normalisation."""
    layer = convolution(fan_in, fan_out, kernel, dimensions, stride=stride, groups=groups)
    return nn.Sequential(layer, nn.BatchNorm2d(fan_out))


def active(
    fan_in: int, fan_out: int, kernel: int, dimensions: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return a convolution without bias, its batch normalisation and a ReLU."""
    layers = normed(fan_in, fan_out, kernel, dimensions, stride=stride, groups=groups)
    return layers.append(nn.ReLU())


def halving(
    pool: type[nn.MaxPool2d] | type[nn.AvgPool2d], kernel: int, dimensions: int
) -> nn.Module:
    """Return a pooling of stride 2; an odd kernel is padded, so that an odd size is rounded up."""
    return pool(
        _extent(kernel, 1, dimensions),
        stride=_extent(2, 1, dimensions),
        padding=_extent((kernel - 1) // 2, 0, dimensions),
    )


def initialise_by_fan_out(network: nn.Module) -> None:
    """Draw the kernels of all convolutions from N(0, 2 / (kernel size · output channels)); their biases become 0.

    Batch normalisation keeps what PyTorch gives it, which is what every family's source sets: scale 1, shift 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan = math.prod(module.kernel_size) * module.out_channels
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_small(head: nn.Linear) -> None:
    """Draw a head from N(0, 0.01²), with bias 0."""
    nn.init.normal_(head.weight, 0.0, 0.01)
    nn.init.zeros_(head.bias)


def _extent(along: int, across: int, dimensions: int) -> tuple[int, int]:
    return (across, along) if dimensions == 1 else (along, along)
