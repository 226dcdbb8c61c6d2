"""Random changes of signals."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.augment.base import Augment, StillAugment
from tutelage.errors import within


@dataclass(frozen=True)
class Jitter(StillAugment):
    """Gaussian noise on a signal.

    Args:
        sigma: standard deviation in units of each sample's own standard deviation per channel, >= 0.
    """

    sigma: float = 0.05

    def __post_init__(self) -> None:
        within("[0, inf)", **{"Jitter.sigma": self.sigma})

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with noise added."""
        noise = torch.randn(x.shape, generator=generator)
        return x + noise * x.float().std(dim=-1, keepdim=True) * self.sigma


@dataclass(frozen=True)
class Scaling(StillAugment):
    """One random gain per sample and channel.

    Args:
        sigma: standard deviation of the gain around 1, >= 0.
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        within("[0, inf)", **{"Scaling.sigma": self.sigma})

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with scaled channels."""
        gain = 1 + self.sigma * torch.randn(x.shape[0], x.shape[1], 1, generator=generator)
        return x * gain


@dataclass(frozen=True)
class Shift(Augment):
    """Circular shift in time, another one for each sample.

    Args:
        fraction: largest shift as a fraction of the window, in either direction, in [0, 1].
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        within("[0, 1]", **{"Shift.fraction": self.fraction})

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time], shifted."""
        length = x.shape[-1]
        reach = int(self.fraction * length)
        offset = torch.randint(-reach, reach + 1, (len(x), 1, 1), generator=generator)
        position = (torch.arange(length) - offset) % length
        return x.gather(-1, position.expand(x.shape))

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places moved in the same way."""
        return self(places, generator)


@dataclass(frozen=True)
class Missing(StillAugment):
    """A contiguous part of each window set to zero (removal).

    Args:
        fraction: length of the part as a fraction of the window, in [0, 1) (levels 1-3 of the literature: 0.15,
            0.22, 0.30).
    """

    fraction: float = 0.15

    def __post_init__(self) -> None:
        within("[0, 1)", **{"Missing.fraction": self.fraction})

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with one gap per sample."""
        length = x.shape[-1]
        gap = int(self.fraction * length)
        start = torch.randint(0, length - gap + 1, (len(x), 1, 1), generator=generator)
        position = torch.arange(length)
        return x.masked_fill((position >= start) & (position < start + gap), 0)
