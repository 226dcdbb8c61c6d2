"""Damage that happens on the wrist: pure functions of normalised signals and a random generator.

Apply them to test signals that were normalised with the *training* statistics of clean data. All have one form:

Args:
    signals: normalised windows, [N, channels, time]; left untouched.
    level: 0 (nothing) to 3.
    rng: draws the damage.

Returns:
    A new array of the same shape and type.

Raises:
    UserError: no such level, or no windows.

Source:
    Levels of ``missing`` and ``noise`` as published for GENEActiv and PAMAP2 robustness studies; the same
    stretch in all channels is our reading of "missing". Levels of ``shift`` and ``scaling`` are ours: the studies
    give none.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from tutelage.errors import UserError

Corruption = Callable[[np.ndarray, int, Generator], np.ndarray]

MISSING = (0.0, 0.15, 0.22, 0.30)  # fraction of the window, by level
NOISE = (0.0, 0.06, 0.09, 0.12)  # standard deviation on the normalised signal, by level
SHIFT = (0.0, 0.05, 0.10, 0.20)  # largest shift, fraction of the window, by level
SCALE = (0.0, 0.05, 0.10, 0.20)  # standard deviation of the gain about 1, by level


def _by_level(
    levels: tuple[float, ...],
) -> Callable[[Callable[[np.ndarray, float, Generator], np.ndarray]], Corruption]:
    """Make a corruption of a function that damages a copy by an amount above 0."""

    def decorated(damage: Callable[[np.ndarray, float, Generator], np.ndarray]) -> Corruption:
        @wraps(damage)
        def corruption(signals: np.ndarray, level: int, rng: Generator) -> np.ndarray:
            if level not in range(len(levels)):
                raise UserError(
                    f"corruption level: found {level}, allowed are 0 to {len(levels) - 1}"
                )
            if signals.ndim != 3 or signals.dtype.kind != "f":
                raise UserError(
                    f"corruption: found {list(signals.shape)} {signals.dtype}, allowed are windows "
                    "[N, channels, time] of floating-point numbers"
                )
            copy = np.array(signals)
            return damage(copy, levels[level], rng) if level else copy

        return corruption

    return decorated


@_by_level(MISSING)
def missing(signals: np.ndarray, share: float, rng: Generator) -> np.ndarray:
    """Set one contiguous stretch of every window, 15, 22 or 30 % of it, to zero in all channels."""
    samples = signals.shape[-1]
    length = round(share * samples)
    if length:
        first = rng.integers(0, samples - length + 1, size=(len(signals), 1))
        time = np.arange(samples)
        gone = (time >= first) & (time < first + length)
        signals[np.broadcast_to(gone[:, None, :], signals.shape)] = 0
    return signals


@_by_level(NOISE)
def noise(signals: np.ndarray, deviation: float, rng: Generator) -> np.ndarray:
    """Add zero-mean Gaussian noise of standard deviation 0.06, 0.09 or 0.12."""
    signals += rng.normal(0, deviation, signals.shape).astype(signals.dtype)
    return signals


@_by_level(SHIFT)
def shift(signals: np.ndarray, share: float, rng: Generator) -> np.ndarray:
    """Turn every window in time, at most 5, 10 or 20 % either way, never 0; what leaves at one end comes back."""
    samples = signals.shape[-1]
    most = max(1, round(share * samples))
    steps = rng.integers(1, most + 1, len(signals)) * rng.choice([-1, 1], len(signals))
    source = (np.arange(samples) - steps[:, None]) % samples
    return np.take_along_axis(signals, source[:, None, :], axis=2)


@_by_level(SCALE)
def scaling(signals: np.ndarray, deviation: float, rng: Generator) -> np.ndarray:
    """Multiply every channel of every window by a gain about 1, of standard deviation 0.05, 0.10 or 0.20."""
    signals *= rng.normal(1, deviation, (*signals.shape[:2], 1)).astype(signals.dtype)
    return signals


def missing_and_noise(signals: np.ndarray, level: int, rng: Generator) -> np.ndarray:
    """Add noise, then set a stretch to zero (exactly), both at the same level."""
    return missing(noise(signals, level, rng), level, rng)


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "missing": missing,
        "noise": noise,
        "shift": shift,
        "scaling": scaling,
        "missing and noise": missing_and_noise,
    }
)
