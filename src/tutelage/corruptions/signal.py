"""Damage that happens to a sensor on a body, applied to raw signals [N, channels, time]."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tutelage.corruptions.base import Corruption, InputFacts, Inputs, increasing
from tutelage.errors import UserError

__all__ = [
    "Drift",
    "GainError",
    "LostChannels",
    "LostSamples",
    "LostStretch",
    "LowerRate",
    "Noise",
    "SignalCorruption",
    "TimeShift",
    "TimeWarp",
]

Fill = Literal["mean", "hold"]


class SignalCorruption(Corruption):
    """Damage to signals whose amounts are the argument ``levels``: one number for each severity."""

    modality: ClassVar[str] = "signal"
    most: ClassVar[float] = math.inf
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        increasing(type(self).__name__, self.levels, 0, self.most)

    def amounts(self, facts: InputFacts) -> tuple[float, ...]:
        """Return the levels."""
        return self.levels

    @abstractmethod
    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return damaged signals."""


@dataclass(frozen=True)
class Noise(SignalCorruption):
    """Gaussian noise on every channel, in units of the channel's own standard deviation in training.

    Args:
        levels: standard deviation of the noise over that of the channel, for severity 1, 2, ...

    Source:
        Robustness studies on GENEActiv and PAMAP2 publish 0.06, 0.09 and 0.12; the others are ours.
    """

    meaning: ClassVar[str] = "standard deviation of the noise, in that of the channel in training"
    levels: tuple[float, ...] = (0.06, 0.12, 0.25, 0.5, 1.0)

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return signals with noise."""
        noise = rng.standard_normal(inputs.shape, np.float32)
        inputs += (amount * facts.std[:, None] * noise).astype(inputs.dtype)
        return inputs


@dataclass(frozen=True)
class LostSamples(SignalCorruption):
    """Single samples lost on the way, in all channels at once, anywhere in the window: exactly this share of it.

    Args:
        levels: share of the samples, for severity 1, 2, ...
        fill: what stands in their place: ``mean`` of the channel in training, or ``hold``: the sample before
            (``mean`` where there is none).
    """

    meaning: ClassVar[str] = "share of the samples lost"
    most: ClassVar[float] = 0.99
    levels: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5, 0.7)
    fill: Fill = "mean"

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return signals with gaps filled."""
        count, _, time = inputs.shape
        order = rng.random((count, time)).argsort(axis=1).argsort(axis=1)
        return _filled(inputs, order < round(amount * time), self.fill, facts)


@dataclass(frozen=True)
class LostStretch(SignalCorruption):
    """One uninterrupted stretch of every window lost, in all channels at once.

    Args:
        levels: share of the window, for severity 1, 2, ...
        fill: as for :class:`LostSamples`.

    Source:
        Robustness studies on GENEActiv and PAMAP2 publish 0.15, 0.22 and 0.30 (severity 2 to 4 here), filled with
        0 of the normalised signal, which is the mean; the same stretch in all channels is our reading.
    """

    meaning: ClassVar[str] = "share of the window lost in one piece"
    most: ClassVar[float] = 0.99
    levels: tuple[float, ...] = (0.08, 0.15, 0.22, 0.3, 0.5)
    fill: Fill = "mean"

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return signals with one gap filled."""
        count, _, time = inputs.shape
        length = round(amount * time)
        first = np.floor(rng.random((count, 1)) * (time - length + 1))
        at = np.arange(time)
        return _filled(inputs, (at >= first) & (at < first + length), self.fill, facts)


@dataclass(frozen=True)
class LostChannels(SignalCorruption):
    """Whole channels lost, others in every window: at least one is lost and one is left.

    Args:
        levels: share of the channels, rounded to whole ones, for severity 1, 2, ...
    """

    meaning: ClassVar[str] = "share of the channels lost, at least one and never all"
    most: ClassVar[float] = 0.99
    levels: tuple[float, ...] = (0.17, 0.33, 0.5, 0.67, 0.83)

    def refuse(self, facts: InputFacts) -> None:
        """Refuse signals of one channel."""
        super().refuse(facts)
        if facts.shape[0] < 2:
            raise UserError(
                "LostChannels: the data set has one channel, and without it nothing would be left "
                "(allowed: 2 channels or more)"
            )

    def lost(self, amount: float, channels: int) -> int:
        """Return how many channels are lost."""
        return min(max(1, math.floor(amount * channels + 0.5)), channels - 1)

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return signals whose lost channels show their mean in training."""
        count, channels, _ = inputs.shape
        order = rng.random((count, channels)).argsort(axis=1).argsort(axis=1)
        gone = order < self.lost(amount, channels)
        mean = facts.mean.astype(inputs.dtype)
        return np.where(gone[:, :, None], mean[:, None], inputs)


@dataclass(frozen=True)
class GainError(SignalCorruption):
    """Every channel multiplied by a gain of its own, exp(amount x a standard normal number), new in every window.

    Args:
        levels: standard deviation of the logarithm of the gain, for severity 1, 2, ...
    """

    meaning: ClassVar[str] = "standard deviation of the logarithm of each channel's gain"
    levels: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5)

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return scaled signals."""
        gain = np.exp(amount * rng.standard_normal((*inputs.shape[:2], 1)))
        return np.multiply(inputs, gain, dtype=inputs.dtype, casting="same_kind")


@dataclass(frozen=True)
class Drift(SignalCorruption):
    """Every channel drifts away along a straight line, up or down, from 0 at the first sample to its end.

    Args:
        levels: end of the line in standard deviations of the channel in training, for severity 1, 2, ...
    """

    meaning: ClassVar[str] = (
        "offset at the last sample, in standard deviations of the channel in training"
    )
    levels: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0)

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return signals that drift."""
        sign = rng.choice([-1.0, 1.0], (*inputs.shape[:2], 1))
        line = (amount * sign * facts.std[:, None] * np.linspace(0, 1, inputs.shape[-1])).astype(
            inputs.dtype
        )
        drifted: Inputs = inputs + line
        return drifted


@dataclass(frozen=True)
class TimeWarp(SignalCorruption):
    """Time runs faster in one part of the window and slower in the other; both ends stay where they are.

    What is shown at sample t is the signal, linearly interpolated, at t + a (sin(2 pi t / T + p) - sin p): T is
    the length of the window minus one, p a random phase, a such that the speed is from 1 - amount to 1 + amount.

    Args:
        levels: largest relative change of speed, for severity 1, 2, ...; at most 1 (time stands still).
    """

    meaning: ClassVar[str] = "largest relative change of speed within the window"
    most: ClassVar[float] = 1.0
    levels: tuple[float, ...] = (0.1, 0.2, 0.4, 0.6, 0.8)

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return warped signals."""
        span = inputs.shape[-1] - 1
        phase = 2 * np.pi * rng.random((len(inputs), 1))
        at = np.arange(span + 1)
        turn = 2 * np.pi * at / max(span, 1)
        reach = amount * span / (2 * np.pi)
        return _read_at(inputs, at + reach * (np.sin(turn + phase) - np.sin(phase)))


@dataclass(frozen=True)
class LowerRate(SignalCorruption):
    """A device that takes one sample where it should take several; those between are interpolated linearly.

    Nothing is filtered before, so what is too fast for the lower rate appears as something slower. Before the
    first sample and after the last one its value is held.

    Args:
        levels: of so many samples one is taken, for severity 1, 2, ...; whole numbers from 2.
    """

    meaning: ClassVar[str] = "of so many samples one is taken"
    levels: tuple[float, ...] = (2, 3, 4, 6, 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels[0] < 2 or any(level != round(level) for level in self.levels):
            raise UserError(
                f"LowerRate.levels: found {list(self.levels)}; allowed: whole numbers from 2"
            )

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return signals of the lower rate, at the old length."""
        time, step = inputs.shape[-1], int(amount)
        # Also where the window is shorter than the step, one sample is taken.
        first = np.floor(rng.random((len(inputs), 1)) * min(step, time)).astype(np.int64)
        last = first + (time - 1 - first) // step * step
        at = np.clip(np.arange(time), first, last)
        before = first + (at - first) // step * step
        after = np.minimum(before + step, last)
        share = ((at - before) / step)[:, None, :]
        low, high = (np.take_along_axis(inputs, i[:, None, :], axis=2) for i in (before, after))
        return _between(low, high, share)


@dataclass(frozen=True)
class TimeShift(SignalCorruption):
    """Windows turned in time, forward or back: what leaves at one end comes back at the other.

    Args:
        levels: by how much, as a share of the window, for severity 1, 2, ...; at least one sample.
    """

    meaning: ClassVar[str] = "shift, as a share of the window"
    most: ClassVar[float] = 0.5
    levels: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.45)

    def damage(self, inputs: Inputs, amount: float, rng: Generator, facts: InputFacts) -> Inputs:
        """Return shifted signals."""
        time = inputs.shape[-1]
        steps = max(1, round(amount * time)) * rng.choice([-1, 1], (len(inputs), 1))
        source = (np.arange(time) - steps) % time
        return np.take_along_axis(inputs, source[:, None, :], axis=2)


def _filled(inputs: Inputs, gone: NDArray[np.bool_], fill: Fill, facts: InputFacts) -> Inputs:
    """Return signals whose lost samples, [N, time], are filled."""
    mean = facts.mean.astype(inputs.dtype)[:, None]
    if fill == "mean":
        return np.where(gone[:, None, :], mean, inputs)
    at = np.where(gone, -1, np.arange(inputs.shape[-1]))
    known = np.maximum.accumulate(at, axis=1)
    held = np.take_along_axis(inputs, np.maximum(known, 0)[:, None, :], axis=2)
    return np.where(known[:, None, :] < 0, mean, held)


def _read_at(inputs: Inputs, position: NDArray[np.float64]) -> Inputs:
    """Return signals at fractional positions [N, time], linearly interpolated."""
    last = inputs.shape[-1] - 1
    position = np.clip(position, 0, last)
    before = np.minimum(np.floor(position).astype(np.int64), max(last - 1, 0))
    after = np.minimum(before + 1, last)
    share = (position - before)[:, None, :]
    low, high = (np.take_along_axis(inputs, i[:, None, :], axis=2) for i in (before, after))
    return _between(low, high, share)


def _between(low: Inputs, high: Inputs, share: NDArray[np.float64]) -> Inputs:
    """Return what lies at a share of the way from one array to the other, in their type."""
    found: Inputs = (low + share * (high - low)).astype(low.dtype)
    return found
