"""ShuffleNets in their CIFAR form, on signals and images."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.models._layers import Staged, active, average, halving, normed


class ShuffleNetV1(Staged):
    """ShuffleNet 1x with three groups, of the CIFAR benchmarks: stages of 4, 8 and 4 units.

    Args:
        channels: input channels.
        classes: output classes.
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1``, ``stage2``, ``stage3`` (after the ReLU that ends a unit; 240,
        480, 960 channels at 1/2, 1/4 and 1/8 of the input's size) and ``embedding`` [B, 960], the mean of
        ``stage3``.

    Raises:
        ValueError: dimensions is neither 1 nor 2.

    Source:
        Zhang et al. 2018, arXiv:1707.01083, as RepDistiller runs it (``models/ShuffleNetv1.py``). The stages are
        its f1 to f3, after the activation: what FitNet, AT, SP and CRD compare there. Differs from the paper
        as RepDistiller does: a 1x1 stem of stride 1 without pooling, a ReLU after the depthwise convolution,
        and the inner width of a unit of stride 2 is a quarter of what it adds, not of the whole stage.
        PyTorch's own initialisation throughout; batch normalisation starts as the identity.
    """

    last = "stage3"

    def __init__(self, channels: int, classes: int, *, dimensions: Literal[1, 2] = 2) -> None:
        super().__init__(dimensions)
        self.stem = active(channels, 24, 1, dimensions)
        self.stages = nn.ModuleList()
        fan_in = 24
        for width, units in ((240, 4), (480, 8), (960, 4)):
            first = _JoinedByWidth(fan_in, width, dimensions)
            rest = (_JoinedBySum(width, dimensions) for _ in range(units - 1))
            self.stages.append(nn.Sequential(first, *rest))
            fan_in = width
        self.head = nn.Linear(fan_in, classes)


class ShuffleNetV2(Staged):
    """ShuffleNetV2 of the CIFAR benchmarks: stages of 4, 8 and 4 units on halves of the channels.

    Args:
        channels: input channels.
        classes: output classes.
        width: the paper's complexity: 0.5, 1, 1.5 or 2; 1 is the benchmarks' network.
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1``, ``stage2``, ``stage3`` (after the shuffle that ends a unit,
        every channel activated; 116, 232, 464 of them at width 1, at 1/2, 1/4 and 1/8 of the input's size) and
        ``embedding`` [B, 1024] ([B, 2048] at width 2), the mean over space of a last 1x1 convolution that
        belongs to the head.

    Raises:
        ValueError: width is not one of those above, or dimensions is neither 1 nor 2.

    Source:
        Ma et al. 2018, arXiv:1807.11164, as RepDistiller runs it (``models/ShuffleNetv2.py``). The stages are its
        f1 to f3, after the activation: what FitNet, AT, SP and CRD compare there. Differs from the paper as
        RepDistiller does: a 1x1 stem of stride 1 without pooling. Differs from RepDistiller: ``stage1`` has the
        paper's 244 channels at width 2, not 224. PyTorch's own initialisation throughout; batch
        normalisation starts as the identity.
    """

    last = "stage3"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: float = 1.0,
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__(dimensions)
        if width not in _WIDTHS:
            raise ValueError(f"width: {width}; allowed: {', '.join(f'{w:g}' for w in _WIDTHS)}")
        *widths, top = _WIDTHS[width]
        self.stem = active(channels, 24, 1, dimensions)
        self.stages = nn.ModuleList()
        fan_in = 24
        for fan_out, units in zip(widths, (4, 8, 4), strict=True):
            first = _Down(fan_in, fan_out, dimensions)
            rest = (_Split(fan_out, dimensions) for _ in range(units - 1))
            self.stages.append(nn.Sequential(first, *rest))
            fan_in = fan_out
        self.top = active(fan_in, top, 1, dimensions)
        self.head = nn.Linear(top, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Return the embedding of a last-stage image: the last 1x1 convolution, then the mean over space."""
        return average(self.top(x))


# width -> channels of the three stages and of the last convolution
_WIDTHS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
_GROUPS = 3


class _JoinedByWidth(nn.Module):
    """First unit of a V1 stage: the pooled input and what is computed from it stand side by side."""

    def __init__(self, fan_in: int, fan_out: int, dimensions: int) -> None:
        super().__init__()
        # The stem's 24 channels are too few to be grouped.
        groups = 1 if fan_in == 24 else _GROUPS
        self.branch = _grouped(fan_in, fan_out - fan_in, 2, groups, dimensions)
        self.shortcut = halving(nn.AvgPool2d, 3, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(torch.cat([self.branch(x), self.shortcut(x)], dim=1))


class _JoinedBySum(nn.Module):
    """Further unit of a V1 stage."""

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        self.branch = _grouped(width, width, 1, _GROUPS, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + x)


def _grouped(fan_in: int, fan_out: int, stride: int, groups: int, dimensions: int) -> nn.Sequential:
    inner = fan_out // 4
    return nn.Sequential(
        active(fan_in, inner, 1, dimensions, groups=groups),
        nn.ChannelShuffle(groups),
        active(inner, inner, 3, dimensions, stride=stride, groups=inner),
        normed(inner, fan_out, 1, dimensions, groups=_GROUPS),
    )


class _Down(nn.Module):
    """First unit of a V2 stage: both halves of the output are computed from the whole input."""

    def __init__(self, fan_in: int, fan_out: int, dimensions: int) -> None:
        super().__init__()
        half = fan_out // 2
        self.left = nn.Sequential(
            normed(fan_in, fan_in, 3, dimensions, stride=2, groups=fan_in),
            active(fan_in, half, 1, dimensions),
        )
        self.right = _separable(fan_in, half, 2, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        return F.channel_shuffle(torch.cat([self.left(x), self.right(x)], dim=1), 2)


class _Split(nn.Module):
    """Further unit of a V2 stage: one half of the channels passes, the other is computed anew."""

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        self.right = _separable(width // 2, width // 2, 1, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        return F.channel_shuffle(torch.cat([left, self.right(right)], dim=1), 2)


def _separable(fan_in: int, fan_out: int, stride: int, dimensions: int) -> nn.Sequential:
    return nn.Sequential(
        active(fan_in, fan_out, 1, dimensions),
        normed(fan_out, fan_out, 3, dimensions, stride=stride, groups=fan_out),
        active(fan_out, fan_out, 1, dimensions),
    )
