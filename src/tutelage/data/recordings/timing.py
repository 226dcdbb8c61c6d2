"""How fast recordings were taken, by their timestamps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.data.recordings.ingest import Stretch
from tutelage.data.recordings.spool import Spool
from tutelage.errors import UserError

BLOCK = 1 << 20  # rows that are in memory at once
_SAME = 0.02  # rates that differ by less are one rate
_CONTRADICTION = 0.05  # a stated rate that is off by more is wrong
_WHOLE = 0.003  # a measured rate this near to a whole number is that number


@dataclass(frozen=True)
class Rates:
    """Samples per second.

    Args:
        own: of each recording.
        kept: of the windows.
        measured: least and greatest that timestamps say; none without timestamps.
    """

    own: tuple[float, ...]
    kept: float
    measured: tuple[float, ...] = ()


def rates_of(
    spool: Spool,
    stretches: Sequence[Stretch],
    rate: float | None,
    resample: float | None,
    timed: bool,
) -> Rates:
    """Return the rates of all recordings.

    Args:
        spool: the rows.
        stretches: the recordings.
        rate: what the user says.
        resample: what the user wants.
        timed: there are timestamps.

    Raises:
        UserError: timestamps that do not rise, that contradict the rate, or rates that differ.
    """
    if not timed:
        assert rate is not None
        return Rates((rate,) * len(stretches), resample or rate)
    measured = [_measured(spool, stretch) for stretch in stretches]
    known = [value for value in measured if value]
    if not known:
        raise UserError(
            f"{stretches[0].place()}: found recordings of one row, so no rate can be measured"
        )
    for stretch, value in zip(stretches, measured, strict=True):
        if rate and value and abs(value / rate - 1) > _CONTRADICTION:
            raise _contradiction(stretch, value, rate)
    rows = [stretch.end - stretch.first for stretch in stretches]
    usual = rate or _median(measured, rows)
    own = tuple(usual if not v or abs(v / usual - 1) <= _SAME else v for v in measured)
    if resample is None:
        _refuse_several(stretches, own, usual, rate)
    return Rates(own, resample or usual, (min(known), max(known)))


def _median(measured: Sequence[float], rows: Sequence[int]) -> float:
    """Return the rate that half of the rows have, or less."""
    order = np.argsort(measured)
    sums = np.cumsum(np.where(np.array(measured) > 0, rows, 0)[order])
    return measured[int(order[np.searchsorted(sums, sums[-1] / 2)])]


def _contradiction(stretch: Stretch, value: float, rate: float) -> UserError:
    factor = value / rate
    unit = "ms" if abs(factor - 1e-3) < 1e-4 else "us" if abs(factor - 1e-6) < 1e-7 else ""
    advice = (
        f"; are they in {unit}? (time_unit: {unit})"
        if unit
        else (
            f"; rate: {value:g} says what they are, resample: {rate:g} brings them to {rate:g} Hz"
        )
    )
    return UserError(
        f"{stretch.place()}: found timestamps {1000 / value:.4g} ms apart, which are {value:g} Hz, but "
        f"Recordings.rate says {rate:g}{advice}"
    )


def _refuse_several(
    stretches: Sequence[Stretch], own: Sequence[float], usual: float, rate: float | None
) -> None:
    for stretch, value in zip(stretches, own, strict=True):
        if value != usual and rate is None:
            raise UserError(
                f"{stretch.place()}: found a recording at {value:g} Hz, others are at {usual:g}; allowed is one "
                "rate, "
                f"or resample: {min(value, usual):g}"
            )


def _measured(spool: Spool, stretch: Stretch) -> float:
    """Return the rate that the timestamps of a recording say; 0 where it has one row."""
    total, count, middle = 0.0, 0, 0.0
    for steps in _steps(spool, stretch):
        middle = middle or float(np.median(steps))
        usual = steps[
            (steps > 0.5 * middle) & (steps < 1.5 * middle)
        ]  # gaps say nothing of the rate
        total, count = total + float(usual.sum()), count + len(usual)
    if not count:
        return 0.0
    value = count / total
    return (
        float(round(value))
        if abs(value - round(value)) <= _WHOLE * value
        else float(f"{value:.5g}")
    )


def _steps(spool: Spool, stretch: Stretch) -> Iterator[np.ndarray]:
    """Yield the time from each row to the next.

    Raises:
        UserError: time that does not rise.
    """
    for first in range(stretch.first, stretch.end - 1, BLOCK):
        time = spool.read("time", first, min(first + BLOCK + 1, stretch.end))
        steps = np.diff(time)
        wrong = np.flatnonzero(steps <= 0)
        if len(wrong):
            row = first - stretch.first + int(wrong[0]) + 1
            back = float(steps[wrong[0]])
            what = (
                f"time that goes back by {-back:g} s"
                if back
                else "the time of the line before once more"
            )
            raise UserError(
                f"{stretch.place(row)}: found {what} ({len(wrong)} times here); allowed is time that rises: sort, "
                "take copies away, or leave time out and state the rate"
            )
        yield steps
