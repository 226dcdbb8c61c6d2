"""MobileNetV2 in its CIFAR form, on signals and images."""

from typing import Literal

from torch import Tensor, nn

from tutelage.models._layers import (
    Staged,
    active,
    average,
    initialise_by_fan_out,
    initialise_small,
    normed,
)

# per stage: rows of (channels at width 1, blocks, stride of the first)
_STAGES = (
    ((16, 1, 1), (24, 2, 1)),
    ((32, 3, 2),),
    ((64, 4, 2), (96, 3, 1)),
    ((160, 3, 2), (320, 1, 1)),
)


class MobileNetV2(Staged):
    """MobileNetV2 of the CIFAR benchmarks: 17 inverted residuals behind a stem of stride 2.

    Args:
        channels: input channels.
        classes: output classes.
        width: multiplier of all channels up to the last stage, rounded down; 0.5 is the benchmarks' network.
        expansion: channels inside a block over those at its ends (1 in the first block).
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1`` to ``stage4`` (24, 32, 96 and 320 channels times width, at
        1/2, 1/4, 1/8 and 1/16 of the input's size) and ``embedding`` [B, 1280·max(1, width)], the mean over
        space of a last 1x1 convolution that belongs to the head.

    Raises:
        ValueError: width leaves a layer without channels, expansion < 1, or dimensions is neither 1 nor 2.

    Source:
        Sandler et al. 2018, arXiv:1801.04381, as RepDistiller runs it (``models/mobilenetv2.py``). The stages are
        its f1 to f4: ends of linear bottlenecks, so there is no activation before or after which to tap. Differs
        from the paper as RepDistiller does: the 24-channel blocks have stride 1 (32 pixels are few), the first
        block keeps its 1x1 convolution, ReLU instead of ReLU6, no dropout. He initialisation by fan-out (a
        depthwise kernel counts all output channels), head from N(0, 0.01²), bias 0; batch normalisation
        starts as the identity.
    """

    last = "stage4"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: float = 0.5,
        expansion: int = 6,
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__(dimensions)
        if int(16 * width) < 1:
            raise ValueError(f"width: {width} must be >= 0.0625 (one channel of 16)")
        if expansion < 1:
            raise ValueError(f"expansion: {expansion} must be >= 1")
        fan_in, factor = int(32 * width), 1
        self.stem = active(channels, fan_in, 3, dimensions, stride=2)
        self.stages = nn.ModuleList()
        for rows in _STAGES:
            stage = nn.Sequential()
            for base, count, stride in rows:
                fan_out = int(base * width)
                for block in range(count):
                    step = 1 if block else stride
                    stage.append(_Inverted(fan_in, fan_out, factor, step, dimensions))
                    fan_in = fan_out
                factor = expansion
            self.stages.append(stage)
        top = int(1280 * max(1.0, width))
        self.top = active(fan_in, top, 1, dimensions)
        self.head = nn.Linear(top, classes)
        initialise_by_fan_out(self)
        initialise_small(self.head)

    def embed(self, x: Tensor) -> Tensor:
        """Return the embedding of a last-stage image: the last 1x1 convolution, then the mean over space."""
        return average(self.top(x))


class _Inverted(nn.Module):
    def __init__(
        self, fan_in: int, fan_out: int, expansion: int, stride: int, dimensions: int
    ) -> None:
        super().__init__()
        inner = fan_in * expansion
        self.branch = nn.Sequential(
            active(fan_in, inner, 1, dimensions),
            active(inner, inner, 3, dimensions, stride=stride, groups=inner),
            normed(inner, fan_out, 1, dimensions),
        )
        self.residual = stride == 1 and fan_in == fan_out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.branch(x)
        return x + out if self.residual else out
