"""TinierHAR: separable convolutions per sensor channel, a small recurrent network, attention over time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tutelage.models.network import Network
from tutelage.types import Output

__all__ = ["TinierHAR"]


class TinierHAR(Network):
    """Residual depthwise separable convolutions along time, a bidirectional GRU, and attention over its steps.

    Every sensor channel is filtered by the same kernels and keeps its row until the GRU reads all rows of a step.

    Args:
        shape: of an input, [channels, time].
        classes: output classes.
        filters: planes of the first block; the others have twice as many.
        blocks: residual blocks after the first two, which halve time; >= 1.
        units: of the GRU in each direction.
        dropout: of what the GRU reads, in training.

    Shapes:
        [B, channels, time] -> logits [B, classes]; features ``stage1``, ``stage2``, ``stage3`` (sums of the first,
        second and last block, [B, planes·channels, time/2 or time/4]) and ``embedding`` [B, 2·units].

    Raises:
        ValueError: the input is no signal of four samples or more, or a number is below 1.

    Source:
        Bian et al. 2025, TinierHAR, arXiv:2507.07949; settings of zhaxidele/TinierHAR@a31e7c0
        (``configs/model.yaml``): 4 filters, 4 blocks, 16 units, dropout 0.3, kernels of 5. Parameter counts equal
        those of its log (``Run_logs/macs_params.txt``): 7,483 for 6 channels and 12 classes.
    """

    last = "stage3"

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        filters: int = 4,
        blocks: int = 4,
        units: int = 16,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if len(shape) != 2 or shape[1] < 4:
            raise ValueError(
                f"TinierHAR reads signals [channels, time] of 4 samples or more; found {list(shape)}"
            )
        if min(filters, blocks, units) < 1:
            raise ValueError(f"filters, blocks, units: {filters}, {blocks}, {units}; allowed: >= 1")
        self.channels = shape[0]
        wide = 2 * filters
        self.stages = nn.ModuleList(
            (
                _Block(1, filters, halve=True),
                _Block(filters, wide, halve=True),
                nn.Sequential(*(_Block(wide, wide, halve=False) for _ in range(blocks))),
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(wide * self.channels, units, bidirectional=True, batch_first=True)
        self.attention = nn.Linear(2 * units, 1)
        self.head = nn.Linear(2 * units, classes)

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised signals."""
        x = x.unsqueeze(1)
        features = {}
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            features[f"stage{number}"] = x.flatten(1, 2)
        logits, features["embedding"] = self.decode(features[self.last])
        return Output(logits, features)

    def decode(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embedding of a ``stage3`` feature, [B, planes·channels, time/4]."""
        steps, _ = self.gru(self.dropout(feature.transpose(1, 2)))
        weights = torch.softmax(self.attention(steps), dim=1)
        embedding = (weights * steps).sum(dim=1)
        return self.head(embedding), embedding


class _Block(nn.Module):
    """A separable convolution along time beside a shortcut; both may halve time by maxima."""

    def __init__(self, fan_in: int, fan_out: int, *, halve: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(fan_in, fan_in, (1, 5), padding=(0, 2), groups=fan_in),
            nn.Conv2d(fan_in, fan_out, 1),
            nn.BatchNorm2d(fan_out),
            nn.ReLU(),
        )
        self.shortcut = nn.Sequential()
        if fan_in != fan_out:
            self.shortcut.extend((nn.Conv2d(fan_in, fan_out, 1), nn.BatchNorm2d(fan_out)))
        if halve:
            self.branch.append(nn.MaxPool2d((1, 2)))
            self.shortcut.append(nn.MaxPool2d((1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.branch(x) + self.shortcut(x)
        return found
