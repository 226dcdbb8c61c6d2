"""Random changes of training inputs, as batched tensor operations."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutelage.errors import unknown
from tutelage.types import Batch

__all__ = ["Augment", "CropFlip", "Jitter", "Missing", "Scaling", "Shift", "augmented"]


class Augment(ABC):
    """A random change of one modality: ``([B, ...], generator) -> [B, ...]``."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed inputs; the given ones are not written to."""


@dataclass(frozen=True)
class Jitter(Augment):
    """Gaussian noise on a signal.

    Args:
        sigma: standard deviation in units of each sample's own standard deviation per channel.
    """

    sigma: float = 0.05

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with noise added."""
        noise = torch.randn(x.shape, generator=generator)
        return x + noise * x.float().std(dim=-1, keepdim=True) * self.sigma


@dataclass(frozen=True)
class Scaling(Augment):
    """One random gain per sample and channel.

    Args:
        sigma: standard deviation of the gain around 1.
    """

    sigma: float = 0.1

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with scaled channels."""
        gain = 1 + self.sigma * torch.randn(x.shape[0], x.shape[1], 1, generator=generator)
        return x * gain


@dataclass(frozen=True)
class Shift(Augment):
    """Circular shift in time, another one for each sample.

    Args:
        fraction: largest shift as a fraction of the window, in either direction.
    """

    fraction: float = 0.1

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time], shifted."""
        length = x.shape[-1]
        reach = int(self.fraction * length)
        offset = torch.randint(-reach, reach + 1, (len(x), 1, 1), generator=generator)
        position = (torch.arange(length) - offset) % length
        return x.gather(-1, position.expand(x.shape))


@dataclass(frozen=True)
class Missing(Augment):
    """A contiguous part of each window set to zero (removal).

    Args:
        fraction: length of the part as a fraction of the window (levels 1-3 of the literature: 0.15, 0.22, 0.30).
    """

    fraction: float = 0.15

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with one gap per sample."""
        length = x.shape[-1]
        gap = int(self.fraction * length)
        start = torch.randint(0, length - gap + 1, (len(x), 1, 1), generator=generator)
        position = torch.arange(length)
        return x.masked_fill((position >= start) & (position < start + gap), 0)


@dataclass(frozen=True)
class CropFlip(Augment):
    """Random crop after zero padding, and a horizontal flip: the augmentation of the CIFAR recipes.

    Args:
        padding: pixels added on each side.
        flip: probability of a horizontal flip.
    """

    padding: int = 4
    flip: float = 0.5

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, height, width]."""
        count, _, height, width = x.shape
        padded = torch.nn.functional.pad(x, [self.padding] * 4)
        reach = 2 * self.padding + 1
        top = torch.randint(0, reach, (count, 1), generator=generator)
        left = torch.randint(0, reach, (count, 1), generator=generator)
        flipped = torch.rand(count, 1, generator=generator) < self.flip
        columns = torch.arange(width).expand(count, width)
        columns = torch.where(flipped, width - 1 - columns, columns) + left
        rows = torch.arange(height) + top
        sample = torch.arange(count)[:, None, None]
        # One gather for the whole batch; the channel axis moves last and back.
        picked = padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2)


def augmented(batch: Batch, augments: Mapping[str, Augment], generator: torch.Generator) -> Batch:
    """Return the batch with the named modalities changed.

    Raises:
        UserError: a modality is not in the batch.
    """
    inputs = dict(batch.inputs)
    for name, augment in augments.items():
        if name not in inputs:
            raise unknown("augment", "modality", name, inputs)
        inputs[name] = augment(inputs[name], generator)
    return replace(batch, inputs=inputs)
