"""Damage that happens on the wrist: pure functions of normalised signals and a random generator.

Apply them to test signals that were normalised with the *training* statistics of clean data.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from tutelage.errors import UserError

MISSING = (0.0, 0.15, 0.22, 0.30)  # fraction of the window, by level
NOISE = (0.0, 0.06, 0.09, 0.12)  # standard deviation on the normalised signal, by level
SHIFT = (0.0, 0.05, 0.10, 0.20)  # largest shift, fraction of the window, by level
SCALE = (0.0, 0.05, 0.10, 0.20)  # standard deviation of the gain about 1, by level


def missing(signals: np.ndarray, level: int, rng: Generator) -> np.ndarray:
    """Set one contiguous stretch of every window to zero, in all channels.

    Args:
        signals: normalised windows, [N, channels, time]; left untouched.
        level: 0 (nothing) to 3; the stretch is 0, 15, 22 or 30 % of the window, rounded.
        rng: draws where each stretch starts.

    Returns:
        A new array of the same shape and type.

    Raises:
        UserError: no such level, or no windows.

    Source:
        Levels as published for GENEActiv and PAMAP2 robustness studies; the same stretch in
        all channels is our reading of "missing".
    """
    damaged = _copy(signals, level, MISSING)
    samples = signals.shape[-1]
    length = round(MISSING[level] * samples)
    if length:
        first = rng.integers(0, samples - length + 1, size=(len(signals), 1))
        time = np.arange(samples)
        gone = (time >= first) & (time < first + length)
        damaged[np.broadcast_to(gone[:, None, :], signals.shape)] = 0
    return damaged


def noise(signals: np.ndarray, level: int, rng: Generator) -> np.ndarray:
    """Add zero-mean Gaussian noise of standard deviation 0, 0.06, 0.09 or 0.12.

    Args:
        signals: normalised windows, [N, channels, time]; left untouched.
        level: 0 (nothing) to 3.
        rng: draws the noise.

    Returns:
        A new array of the same shape and type.

    Raises:
        UserError: no such level, or no windows.
    """
    damaged = _copy(signals, level, NOISE)
    if level:
        damaged += rng.normal(0, NOISE[level], signals.shape).astype(signals.dtype)
    return damaged


def shift(signals: np.ndarray, level: int, rng: Generator) -> np.ndarray:
    """Turn every window in time by a random number of samples; what leaves at one end comes back.

    Args:
        signals: normalised windows, [N, channels, time]; left untouched.
        level: 0 (nothing) to 3; at most 5, 10 or 20 % of the window, either way, never 0.
        rng: draws the shifts.

    Returns:
        A new array of the same shape and type.

    Raises:
        UserError: no such level, or no windows.

    Source:
        Levels are ours; the published studies give none for the shift.
    """
    damaged = _copy(signals, level, SHIFT)
    if level:
        samples = signals.shape[-1]
        most = max(1, round(SHIFT[level] * samples))
        steps = rng.integers(1, most + 1, len(signals)) * rng.choice([-1, 1], len(signals))
        source = (np.arange(samples) - steps[:, None]) % samples
        damaged = np.take_along_axis(damaged, source[:, None, :], axis=2)
    return damaged


def scaling(signals: np.ndarray, level: int, rng: Generator) -> np.ndarray:
    """Multiply every channel of every window by a random gain about 1.

    Args:
        signals: normalised windows, [N, channels, time]; left untouched.
        level: 0 (nothing) to 3; standard deviation of the gain 0, 0.05, 0.10 or 0.20.
        rng: draws the gains.

    Returns:
        A new array of the same shape and type.

    Raises:
        UserError: no such level, or no windows.

    Source:
        Levels are ours.
    """
    damaged = _copy(signals, level, SCALE)
    if level:
        gain = rng.normal(1, SCALE[level], (*signals.shape[:2], 1))
        damaged *= gain.astype(signals.dtype)
    return damaged


def missing_and_noise(signals: np.ndarray, level: int, rng: Generator) -> np.ndarray:
    """Add noise, then set a stretch to zero, both at the same level.

    Args:
        signals: normalised windows, [N, channels, time]; left untouched.
        level: 0 (nothing) to 3, as in :func:`missing` and :func:`noise`.
        rng: draws both.

    Returns:
        A new array of the same shape and type; the missing stretch is exactly zero.

    Raises:
        UserError: no such level, or no windows.
    """
    return missing(noise(signals, level, rng), level, rng)


CORRUPTIONS: Mapping[str, Callable[[np.ndarray, int, Generator], np.ndarray]] = MappingProxyType(
    {
        "missing": missing,
        "noise": noise,
        "shift": shift,
        "scaling": scaling,
        "missing and noise": missing_and_noise,
    }
)


def _copy(signals: np.ndarray, level: int, levels: tuple[float, ...]) -> np.ndarray:
    if level not in range(len(levels)):
        raise UserError(f"corruption level: found {level}, allowed are 0 to {len(levels) - 1}")
    if signals.ndim != 3 or signals.dtype.kind != "f":
        raise UserError(
            f"corruption: found {list(signals.shape)} {signals.dtype}, allowed are windows "
            "[N, channels, time] of floating-point numbers"
        )
    return np.array(signals)
