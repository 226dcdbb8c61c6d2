"""A network for microcontrollers: depthwise separable convolutions, 1 k to 30 k parameters."""

from typing import Literal

from torch import Tensor, nn

from tutelage.models._layers import Staged, active, average, initialise_by_fan_out


class SeparableNet(Staged):
    """A convolution and three stages of depthwise separable ones, each stage half as long and twice as wide.

    Every convolution is followed by batch normalisation and ReLU, in this order: both go into the convolution when
    a file for devices is written, so nothing but convolutions, a mean and one linear layer is left to compute.

    Args:
        channels: input channels.
        classes: output classes.
        width: channels of the first convolution; the stages have 1, 2 and 4 times as many.
        blocks: separable convolutions of a stage, >= 1.
        kernel: odd length of the kernels along time (and of their sides in images), >= 3.
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1``, ``stage2``, ``stage3`` (after ReLU, [B, width·2^(i-1), ...] at
        1/4, 1/8 and 1/16 of the input's size) and ``embedding`` [B, 4·width], the mean of ``stage3``.

    Raises:
        ValueError: width < 2, blocks < 1, an even or small kernel, or dimensions is neither 1 nor 2.

    Source:
        Ours, in the manner of DS-CNN (Zhang et al. 2017, arXiv:1711.07128) and MobileNet (Howard et al. 2017,
        arXiv:1704.04861), made one-dimensional: longer kernels along time, a stride of 2 in every stage.
    """

    last = "stage3"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: int = 16,
        blocks: int = 1,
        kernel: int = 5,
        dimensions: Literal[1, 2] = 1,
    ) -> None:
        super().__init__(dimensions)
        if width < 2 or blocks < 1:
            raise ValueError(f"width, blocks: {width}, {blocks}; allowed: 2 or more, 1 or more")
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"kernel: {kernel}; allowed: 3, 5, 7, ...")
        self.stem = active(channels, width, kernel, dimensions, stride=2)
        stages, fan_in = [], width
        for fan_out in (width, 2 * width, 4 * width):
            stage = nn.Sequential()
            for number in range(blocks):
                stride = 2 if number == 0 else 1
                stage.extend(
                    active(fan_in, fan_in, kernel, dimensions, stride=stride, groups=fan_in)
                )
                stage.extend(active(fan_in, fan_out, 1, dimensions))
                fan_in = fan_out
            stages.append(stage)
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(fan_in, classes)
        initialise_by_fan_out(self)

    def embed(self, x: Tensor) -> Tensor:
        """Return the mean of a last-stage image over space."""
        return average(x)
