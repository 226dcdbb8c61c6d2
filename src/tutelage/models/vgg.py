"""VGG without its fully connected layers, on signals and images."""

from typing import Literal

from torch import nn

from tutelage.models._layers import (
    Staged,
    convolution,
    halving,
    initialise_by_fan_out,
    initialise_small,
)

# depth -> convolutions of the stem and of the four stages
_CONVOLUTIONS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(Staged):
    """VGG-8 to VGG-19 of the CIFAR benchmarks: five groups of convolutions, the mean over space, one linear layer.

    Args:
        channels: input channels.
        classes: output classes.
        depth: 8, 11, 13, 16 or 19.
        norm: batch normalisation after every convolution, as in the benchmarks; ``false`` leaves it out.
        halvings: max poolings between the five groups: 3 for 32x32 pixels; 4 puts one before the last group,
            for 64x64 pixels.
        dimensions: 1 for signals [B, channels, time], 2 for images [B, channels, height, width].

    Shapes:
        -> logits [B, classes]; features ``stage1`` to ``stage4`` (after the ReLU that ends a group; 128, 256, 512,
        512 channels at 1/2, 1/4, 1/8 and 1/8 of the input's size, 1/16 in the end with four halvings) and
        ``embedding`` [B, 512], the mean of ``stage4``.

    Raises:
        ValueError: depth or halvings is not one of those above, or dimensions is neither 1 nor 2.

    Source:
        Simonyan & Zisserman 2015, arXiv:1409.1556, as RepDistiller runs it (``models/vgg.py``). The first group
        is the stem and the stages are its f1 to f4, after the activation: what FitNet, AT, SP and CRD compare
        there. Differs from the paper as RepDistiller does: depth 8, the mean over space and one linear layer
        for the three. Differs from RepDistiller: the fourth halving is asked for; there an input of height 64
        switches it on. Convolutions keep their bias under batch normalisation. He initialisation by fan-out,
        head from N(0, 0.01²), biases 0; batch normalisation starts as the identity.
    """

    last = "stage4"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        depth: int = 8,
        norm: bool = True,
        halvings: Literal[3, 4] = 3,
        dimensions: Literal[1, 2] = 2,
    ) -> None:
        super().__init__(dimensions)
        if depth not in _CONVOLUTIONS:
            raise ValueError(f"depth: {depth}; allowed: {', '.join(map(str, _CONVOLUTIONS))}")
        if halvings not in (3, 4):
            raise ValueError(f"halvings: {halvings}; allowed: 3, 4")
        groups = []
        fan_in = channels
        for number, (count, width) in enumerate(zip(_CONVOLUTIONS[depth], _WIDTHS, strict=True)):
            group = nn.Sequential()
            if 1 <= number <= halvings:
                group.append(halving(nn.MaxPool2d, 2, dimensions))
            for _ in range(count):
                group.append(convolution(fan_in, width, 3, dimensions, bias=True))
                if norm:
                    group.append(nn.BatchNorm2d(width))
                group.append(nn.ReLU())
                fan_in = width
            groups.append(group)
        self.stem, *stages = groups
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(fan_in, classes)
        initialise_by_fan_out(self)
        initialise_small(self.head)
