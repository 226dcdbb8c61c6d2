"""Wide residual networks on signals and images."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.models._layers import Staged, average, convolution, initialise_by_fan_out, repeated


class WideResNet(Staged):
    """WRN-depth-width with the raw stage outputs as features.

    Args:
        channels: input channels.
        classes: output classes.
        depth: 6n + 4 (16, 28, 40): n pre-activation blocks in each of the three stages.
        width: multiplier of the stage widths 16, 32, 64; the stem keeps 16.
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1``, ``stage2``, ``stage3`` (residual sums before the next
        activation, [B, 16·2^i·width, ...]) and ``embedding`` [B, 64·width] after the last pooling.

    Raises:
        ValueError: depth is not 6n + 4, width < 1, or dimensions is neither 1 nor 2.

    Source:
        Zagoruyko & Komodakis 2016, arXiv:1605.07146, as used by TGD, TPKD and AMD: no dropout, 3-wide
        kernels, a 1x1 shortcut on the activated input where the shape changes, He initialisation by fan-out,
        a head whose bias begins at 0.
        A signal runs as an image of height 1 with 1x3 kernels.
    """

    last = "stage3"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 16,
        width: int = 1,
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__(dimensions)
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth: {depth} is not 6n + 4; allowed: 10, 16, 22, 28, 34, 40, ...")
        if width < 1:
            raise ValueError(f"width: {width} must be >= 1")
        blocks = (depth - 4) // 6
        self.stem = convolution(channels, 16, 3, dimensions)
        self.stages = nn.ModuleList()
        fan_in = 16
        for stage, stride in enumerate((1, 2, 2)):
            fan_out = 16 * 2**stage * width
            self.stages.append(repeated(_Block, fan_in, fan_out, blocks, stride, dimensions))
            fan_in = fan_out
        self.norm = nn.BatchNorm2d(fan_in)
        self.head = nn.Linear(fan_in, classes)
        initialise_by_fan_out(self)
        nn.init.zeros_(self.head.bias)

    def embed(self, x: Tensor) -> Tensor:
        """Return the embedding of a last-stage image: the final norm and ReLU, then the mean over space."""
        return average(F.relu(self.norm(x)))


class _Block(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int, dimensions: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(fan_in)
        self.convolution1 = convolution(fan_in, fan_out, 3, dimensions, stride=stride)
        self.norm2 = nn.BatchNorm2d(fan_out)
        self.convolution2 = convolution(fan_out, fan_out, 3, dimensions)
        same = fan_in == fan_out and stride == 1
        self.shortcut = None if same else convolution(fan_in, fan_out, 1, dimensions, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        residual = x if self.shortcut is None else self.shortcut(active)
        out = self.convolution1(active)
        out = self.convolution2(F.relu(self.norm2(out)))
        return torch.add(residual, out)
