"""Residual networks: the narrow CIFAR form and the ImageNet form, on signals and images."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.models._layers import (
    Block,
    Staged,
    active,
    halving,
    initialise_by_fan_out,
    normed,
    repeated,
)


class CifarResNet(Staged):
    """ResNet-8 to ResNet-110 and the four times wider ResNet-8x4 and ResNet-32x4 of the CIFAR benchmarks.

    Args:
        channels: input channels.
        classes: output classes.
        depth: 6n + 2 (8, 14, 20, 26, 32, 44, 56, 110): n basic blocks in each of the three stages.
        widths: output channels of the stem and of the three stages; (16, 16, 32, 64) is the published narrow
            form, (32, 64, 128, 256) the one called x4 (its stem is only twice as wide).
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1``, ``stage2``, ``stage3`` (after the ReLU that ends a stage,
        at 1, 1/2 and 1/4 of the input's size) and ``embedding`` [B, widths[3]], the mean of ``stage3``.

    Raises:
        ValueError: depth is not 6n + 2, a width is < 1, or dimensions is neither 1 nor 2.

    Source:
        He et al. 2016, arXiv:1512.03385, sec. 4.2, as RepDistiller runs it (``models/resnet.py``). The stages
        are its f1 to f3, after the activation: what FitNet, AT, SP and CRD compare there. Differs from the
        paper as RepDistiller does: a 1x1 convolution with batch normalisation instead of zero padding where
        a shortcut changes its shape. He initialisation by fan-out; batch normalisation starts as the identity.
    """

    last = "stage3"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 20,
        widths: tuple[int, int, int, int] = (16, 16, 32, 64),
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__(dimensions)
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(
                f"depth: {depth} is not 6n + 2; allowed: 8, 14, 20, 26, 32, 38, 44, 50, 56, ..."
            )
        if len(widths) != 4 or min(widths) < 1:
            raise ValueError(f"widths: {list(widths)}; allowed: four numbers >= 1")
        blocks = (depth - 2) // 6
        self.stem = active(channels, widths[0], 3, dimensions)
        self.stages = nn.ModuleList(
            repeated(_basic, fan_in, width, blocks, stride, dimensions)
            for fan_in, width, stride in zip(widths, widths[1:], (1, 2, 2), strict=False)
        )
        self.head = nn.Linear(widths[-1], classes)
        initialise_by_fan_out(self)


class ResNet(Staged):
    """ResNet-10, 18, 34 (basic blocks) and 50 (bottlenecks) with stages of 64, 128, 256 and 512 channels.

    Args:
        channels: input channels.
        classes: output classes.
        depth: 10, 18, 34 or 50.
        stem: ``imagenet``: 7-wide kernel of stride 2 and max pooling, for long signals and images of 64 pixels
            and more; ``cifar``: 3-wide kernel of stride 1, no pooling.
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1`` to ``stage4`` (after the ReLU that ends a stage; 64, 128, 256,
        512 channels, four times as many at depth 50; ``stage1`` has 1/4 of the input's size behind the
        ``imagenet`` stem and all of it behind ``cifar``, each further stage half of the one before) and
        ``embedding`` [B, 512] ([B, 2048] at depth 50), the mean of ``stage4``.

    Raises:
        ValueError: depth or stem is not one of those above, or dimensions is neither 1 nor 2.

    Source:
        He et al. 2016, arXiv:1512.03385, sec. 4.1. ``imagenet`` computes what torchvision's ResNet computes and,
        at depth 10, the feature network of LFME (``models/ResNetFeature.py``); ``cifar`` what RepDistiller's
        does (``models/resnetv2.py``). The stages are RepDistiller's f1 to f4, after the activation: what
        FitNet, AT, SP and CRD compare there. Differs from the paper as all three do: the stride of a bottleneck
        is in its 3x3 kernel. He initialisation by fan-out; batch normalisation starts as the identity.
    """

    last = "stage4"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 18,
        stem: Literal["imagenet", "cifar"] = "imagenet",
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__(dimensions)
        if depth not in _BLOCKS:
            raise ValueError(f"depth: {depth}; allowed: {', '.join(map(str, _BLOCKS))}")
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f"stem: {stem!r}; allowed: 'imagenet', 'cifar'")
        if stem == "imagenet":
            self.stem = active(channels, 64, 7, dimensions, stride=2)
            self.stem.append(halving(nn.MaxPool2d, 3, dimensions))
        else:
            self.stem = active(channels, 64, 3, dimensions)
        block, growth, blocks = _BLOCKS[depth]
        self.stages = nn.ModuleList()
        fan_in = 64
        for stage, count in enumerate(blocks):
            fan_out, stride = growth * 64 * 2**stage, 2 if stage else 1
            self.stages.append(repeated(block, fan_in, fan_out, count, stride, dimensions))
            fan_in = fan_out
        self.head = nn.Linear(fan_in, classes)
        initialise_by_fan_out(self)


class _Residual(nn.Module):
    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


def _basic(fan_in: int, fan_out: int, stride: int, dimensions: int) -> _Residual:
    branch = nn.Sequential(
        active(fan_in, fan_out, 3, dimensions, stride=stride),
        normed(fan_out, fan_out, 3, dimensions),
    )
    return _Residual(branch, _shortcut(fan_in, fan_out, stride, dimensions))


def _bottleneck(fan_in: int, fan_out: int, stride: int, dimensions: int) -> _Residual:
    neck = fan_out // 4
    branch = nn.Sequential(
        active(fan_in, neck, 1, dimensions),
        active(neck, neck, 3, dimensions, stride=stride),
        normed(neck, fan_out, 1, dimensions),
    )
    return _Residual(branch, _shortcut(fan_in, fan_out, stride, dimensions))


def _shortcut(fan_in: int, fan_out: int, stride: int, dimensions: int) -> nn.Module:
    if fan_in == fan_out and stride == 1:
        return nn.Identity()
    return normed(fan_in, fan_out, 1, dimensions, stride=stride)


# depth -> block, channels over those of the basic form, blocks per stage
_BLOCKS: dict[int, tuple[Block, int, tuple[int, ...]]] = {
    10: (_basic, 1, (1, 1, 1, 1)),
    18: (_basic, 1, (2, 2, 2, 2)),
    34: (_basic, 1, (3, 4, 6, 3)),
    50: (_bottleneck, 4, (3, 4, 6, 3)),
}
