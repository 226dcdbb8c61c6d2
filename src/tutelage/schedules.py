"""Values that change over training, as pure functions of the clock.

A coefficient, a temperature and a learning rate are all schedules; because a schedule keeps no state, a resumed
run needs nothing but the epoch number to go on exactly where it stopped.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tutelage.errors import within
from tutelage.types import Clock

__all__ = [
    "Constant",
    "Cosine",
    "EpochCosine",
    "GradientShare",
    "Linear",
    "Piecewise",
    "Schedule",
    "value_at",
]


class Quantity:
    """A number that a recipe does not state outright; the seat of a coefficient takes any of them."""


class Schedule(Quantity, ABC):
    """A number as a function of the clock."""

    @abstractmethod
    def __call__(self, clock: Clock) -> float:
        """Return the value at this time."""


def value_at(value: float | Schedule, clock: Clock) -> float:
    """Return a plain number as it is, and a schedule's value at this time."""
    return value(clock) if isinstance(value, Schedule) else value


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step."""

    value: float

    def __call__(self, clock: Clock) -> float:
        """Return the value."""
        return self.value


@dataclass(frozen=True)
class Linear(Schedule):
    """Straight line from ``start`` to ``end``, reached at ``until`` (a fraction of the stage), then held.

    Raises:
        ValueError: ``until`` outside (0, 1].
    """

    start: float
    end: float
    until: float = 1.0

    def __post_init__(self) -> None:
        within("(0, 1]", until=self.until)

    def __call__(self, clock: Clock) -> float:
        """Return the value at this time."""
        done = min(1.0, clock.fraction / self.until)
        return self.start + (self.end - self.start) * done


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from ``start`` to ``end``, after a linear warm-up from zero.

    Args:
        start: value after the warm-up.
        end: value at the end of the stage.
        warmup: fraction of the stage spent rising linearly to ``start``.

    Raises:
        ValueError: ``warmup`` outside [0, 1).

    Source:
        Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983, eq. 5 with one period.
    """

    start: float
    end: float = 0.0
    warmup: float = 0.0

    def __post_init__(self) -> None:
        within("[0, 1)", warmup=self.warmup)

    def __call__(self, clock: Clock) -> float:
        """Return the value at this time."""
        if clock.fraction < self.warmup:
            # The first step must move: count the step that is about to be made.
            return (
                self.start
                * (clock.fraction + 1 / _steps(clock))
                / (self.warmup + 1 / _steps(clock))
            )
        done = (clock.fraction - self.warmup) / (1 - self.warmup)
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class EpochCosine(Schedule):
    """A small value in the first epochs, then a cosine in steps of one epoch that does not quite end.

    Args:
        start: value after the first epochs.
        first: value in them.
        warmup: how many they are.

    Raises:
        ValueError: ``warmup`` is negative.

    Source:
        Dassl's ``ConstantWarmupScheduler`` (zhengli97/PromptKD@ec244f7), with which CoOp, PromptSRC and PromptKD
        train: ``first`` 1e-5 for one epoch. Half the cosine is as long as all epochs, but begins after the first
        ones, so that training stops before it is at zero.
    """

    start: float
    first: float = 1e-5
    warmup: int = 1

    def __post_init__(self) -> None:
        within("[0, inf)", warmup=self.warmup)

    def __call__(self, clock: Clock) -> float:
        """Return the value at this time."""
        if clock.epoch < self.warmup:
            return self.first
        done = (clock.epoch - self.warmup) / clock.epochs
        return self.start * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Constant pieces: ``values[i]`` until the epoch ``floor(at[i] * epochs)``.

    Args:
        values: one value per piece.
        at: fractions of the stage at which the next piece begins, rounded down to whole epochs; a text such as
            ``1/3`` is exact, where 0.3333 of 90 epochs are 29.

    Raises:
        ValueError: lengths do not match, a text is no fraction, or ``at`` is not increasing inside (0, 1).

    Source:
        The schedule of TDA_KD and TPKD is ``values=[.05, .01, .001, .0001], at=[1/18, 1/3, 2/3]``.
    """

    values: Sequence[float]
    at: Sequence[float | str]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.at) + 1:
            raise ValueError(
                f"values: {len(self.values)} pieces need {len(self.values) - 1} borders in 'at', "
                f"found {len(self.at)}"
            )
        if not all(a < b for a, b in pairwise([0, *self._fractions, 1])):
            raise ValueError(f"at: {list(self.at)} must increase strictly inside (0, 1)")

    def __call__(self, clock: Clock) -> float:
        """Return the value at this time."""
        borders = [math.floor(fraction * clock.epochs + 1e-9) for fraction in self._fractions]
        return self.values[sum(clock.epoch >= border for border in borders)]

    @property
    def _fractions(self) -> list[Fraction | float]:
        try:
            return [Fraction(part) if isinstance(part, str) else part for part in self.at]
        except (ValueError, ZeroDivisionError):
            raise ValueError(
                f"at: found {list(self.at)}; allowed: numbers, or fractions such as 1/3"
            ) from None


@dataclass(frozen=True)
class GradientShare(Quantity):
    """A coefficient that gives an objective this share of the student's gradient at the first steps.

    It becomes a number before the first step and stays that number (``tutelage.train.shares.settle``): norms of
    gradients depend on data, network and batch size, so that a coefficient that was published for others may be a
    hundred times too large here. It is no schedule: the share is not held while training goes on, only logged.

    Args:
        share: norm of coefficient · gradient of the batch mean, over the sum of these norms of all objectives.

    Raises:
        ValueError: ``share`` outside (0, 1).
    """

    share: float

    def __post_init__(self) -> None:
        within("(0, 1)", share=self.share)


def _steps(clock: Clock) -> int:
    return max(1, clock.epochs * clock.steps_per_epoch)
