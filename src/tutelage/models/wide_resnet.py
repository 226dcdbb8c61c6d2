"""Wide residual networks on signals and images."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.types import Output


class WideResNet(nn.Module):
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
        ValueError: depth is not 6n + 4, or width < 1.

    Source:
        Zagoruyko & Komodakis 2016, arXiv:1605.07146, as used by TGD, TPKD and AMD: no dropout, 3-wide
        kernels, a 1x1 shortcut on the activated input where the shape changes, He initialisation by fan-out.
        A signal runs as an image of height 1 with 1x3 kernels: the same function and the same parameter
        count as ``Conv1d``, and faster on CPUs because the channels-last kernels serve it.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 16,
        width: int = 1,
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth: {depth} is not 6n + 4; allowed: 10, 16, 22, 28, 34, 40, ...")
        if width < 1:
            raise ValueError(f"width: {width} must be >= 1")
        self.dimensions = dimensions
        blocks = (depth - 4) // 6
        self.stem = _convolution(channels, 16, 3, 1, dimensions)
        self.stages = nn.ModuleList()
        fan_in = 16
        for stage, stride in enumerate((1, 2, 2)):
            fan_out = 16 * 2**stage * width
            self.stages.append(
                nn.Sequential(
                    *(
                        _Block(
                            fan_in if i == 0 else fan_out,
                            fan_out,
                            stride if i == 0 else 1,
                            dimensions,
                        )
                        for i in range(blocks)
                    )
                )
            )
            fan_in = fan_out
        self.norm = nn.BatchNorm2d(fan_in)
        self.head = nn.Linear(fan_in, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan))

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return the raw outputs of the three stages by name."""
        x = self.stem(x.unsqueeze(2) if self.dimensions == 1 else x)
        features = {}
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            features[f"stage{number}"] = x.squeeze(2) if self.dimensions == 1 else x
        return features

    def decode(self, stage3: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embedding of a last-stage feature map (final norm, ReLU, pool, head)."""
        x = stage3.unsqueeze(2) if self.dimensions == 1 else stage3
        embedding = F.relu(self.norm(x)).mean(dim=(2, 3))
        return self.head(embedding), embedding

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        features = self.encode(x)
        logits, features["embedding"] = self.decode(features["stage3"])
        return Output(logits, features)


class _Block(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int, dimensions: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(fan_in)
        self.convolution1 = _convolution(fan_in, fan_out, 3, stride, dimensions)
        self.norm2 = nn.BatchNorm2d(fan_out)
        self.convolution2 = _convolution(fan_out, fan_out, 3, 1, dimensions)
        same = fan_in == fan_out and stride == 1
        self.shortcut = None if same else _convolution(fan_in, fan_out, 1, stride, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        residual = x if self.shortcut is None else self.shortcut(active)
        out = self.convolution1(active)
        out = self.convolution2(F.relu(self.norm2(out)))
        return torch.add(residual, out)


def _convolution(fan_in: int, fan_out: int, kernel: int, stride: int, dimensions: int) -> nn.Conv2d:
    if dimensions == 1:
        shape, step, pad = (1, kernel), (1, stride), (0, kernel // 2)
    else:
        shape, step, pad = (kernel, kernel), (stride, stride), (kernel // 2, kernel // 2)
    return nn.Conv2d(fan_in, fan_out, shape, stride=step, padding=pad, bias=False)
