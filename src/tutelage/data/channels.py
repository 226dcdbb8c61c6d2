"""What the values of signal channels say: their ranges, which never move, and in which unit they may be."""

import re
from collections.abc import Sequence

import numpy as np

from tutelage.data.dataset import DataSet, blocks

Ranges = tuple[tuple[str, float, float], ...]
_UNITS = 10  # from this ratio of ranges on, channels seem to have other units
_LOOKED_AT = 1000  # windows that a unit is guessed from
_AXIS = re.compile(r"(.*?)[\W_]*([xyz])[\W_]*", re.IGNORECASE)
# What a sensor at rest shows: least and greatest length of the mean vector, and the unit in which it is that.
_GRAVITY = ((0.8, 1.25, "g"), (7.8, 12.3, "m/s2"), (780.0, 1250.0, "mg"))
_TURNS = 35.0  # rad/s; nobody turns a limb faster, in deg/s it is slow


def ranges_of(dataset: DataSet) -> Ranges:
    """Return name, least and greatest value of every channel."""
    parts = [(part.min(axis=(0, 2)), part.max(axis=(0, 2))) for part in blocks(dataset.inputs)]
    low, high = (np.stack(ends).astype(np.float64) for ends in zip(*parts, strict=True))
    ends = zip(dataset.channel_names, low.min(0).tolist(), high.max(0).tolist(), strict=True)
    return tuple(ends)


def units_of(dataset: DataSet) -> tuple[str, ...]:
    """Return the unit of every channel: as declared, or guessed with a question mark, or nothing.

    Three channels that end with x, y, z are one sensor. Acceleration is known by gravity, which is the mean of
    most windows; angular speed by its name, and by how fast people turn.
    """
    guessed = _guesses(dataset)
    told = dataset.units or ("",) * len(dataset.channel_names)
    return tuple(unit or guessed.get(number, "") for number, unit in enumerate(told))


def range_notes(ranges: Ranges) -> tuple[str, ...]:
    """Return what the ranges say of sensors that were off, and of units that differ."""
    notes = []
    dead = [name for name, low, high in ranges if low == high]
    if dead:
        notes.append(f"constant in all windows, as if the sensor was off: {', '.join(dead)}")
    spans = sorted((high - low, name) for name, low, high in ranges if high > low)
    if spans and spans[-1][0] >= _UNITS * spans[0][0]:
        (least, narrow), (most, wide) = spans[0], spans[-1]
        notes.append(
            f"ranges differ: {wide} spans {most:.3g}, {narrow} {least:.3g}; if their units differ, put Scaled "
            "before representations that take all channels together"
        )
    return tuple(notes)


def sensors(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the channels of every sensor with three axes, by what their names begin with.

    Examples:
        >>> sensors(["acc-x", "acc-y", "acc-z", "hr"])
        {'acc': [0, 1, 2]}
    """
    found: dict[str, dict[str, int]] = {}
    for number, name in enumerate(names):
        match = _AXIS.fullmatch(name)
        if match:
            found.setdefault(match[1], {})[match[2].lower()] = number
    return {stem: [axes[a] for a in "xyz"] for stem, axes in found.items() if len(axes) == 3}


def _guesses(dataset: DataSet) -> dict[int, str]:
    step = max(1, len(dataset) // _LOOKED_AT)
    some = np.asarray(dataset.inputs[::step], np.float64)
    found: dict[int, str] = {}
    for stem, axes in sensors(dataset.channel_names).items():
        unit = _guess(stem.casefold(), some[:, axes])
        found |= dict.fromkeys(axes, f"{unit}?") if unit else {}
    return found


def _guess(stem: str, values: np.ndarray) -> str:
    """Return the unit that a sensor [windows, 3, time] seems to have, or nothing."""
    if re.search("gyr|rot|omega|ang", stem):
        return "deg/s" if np.abs(values).max() > _TURNS else "rad/s"
    if re.search("mag", stem):
        return ""
    rest = float(np.median(np.linalg.norm(values.mean(axis=2), axis=1)))
    return next((unit for low, high, unit in _GRAVITY if low <= rest <= high), "")
