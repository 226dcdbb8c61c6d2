"""Recordings made regular: gaps bridged or cut, samples brought to a grid and to a rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tutelage.data.dataset import Ints
from tutelage.data.recordings.ingest import Stretch
from tutelage.data.recordings.spool import Spool
from tutelage.data.recordings.timing import BLOCK

_JITTER = 0.25  # of a period; timestamps that are nearer to a grid than that are the grid
_MISSING = 1.75  # periods; a longer step is a gap


@dataclass
class Gaps:
    """What was missing in the recordings.

    Args:
        cut: gaps at which recordings were cut.
        longest: of these, in seconds.
        where: it begins.
        bridged: gaps that were filled.
        moved: rows that were brought to a grid because their timestamps are irregular.
    """

    cut: int = 0
    longest: float = 0.0
    where: str = ""
    bridged: int = 0
    moved: int = 0


@dataclass(frozen=True)
class Piece:
    """Samples without a gap, at the rate of the windows.

    Args:
        offset: of its first sample in the recording.
        values: [samples, C] float32.
        labels: [samples].
    """

    offset: int
    values: np.ndarray
    labels: Ints


def pieces_of(
    spool: Spool, stretch: Stretch, own: float, kept: float, fill: float, gaps: Gaps, timed: bool
) -> Iterator[Piece]:
    """Yield the pieces of one recording; one that is longer than a million rows is read in parts of that length.

    Args:
        spool: the rows.
        stretch: the recording.
        own: its rate in Hz.
        kept: rate of the windows in Hz.
        fill: seconds up to which what is missing is interpolated.
        gaps: where what was missing is counted.
        timed: there are timestamps.
    """
    began, after = None, 0
    for first in range(stretch.first, stretch.end, BLOCK):
        end = min(first + BLOCK, stretch.end)
        time = spool.read("time", first, end) if timed else np.arange(first, end) / own
        began = time[0] if began is None else began
        part = _Part(
            time, spool.read("values", first, end), spool.read("label", first, end), 1 / own
        )
        rows = np.arange(first - stretch.first, end - stretch.first)
        kept_rows = part.without_missing(fill, gaps)
        for piece in part.between_gaps(fill, gaps, stretch, rows[kept_rows]):
            regular = piece.on_grid(gaps)
            offset = max(after, round(float(regular.time[0] - began) * kept))
            values, labels = resampled(regular.values, regular.labels, own, kept)
            after = offset + len(values)
            yield Piece(offset, values, labels)


@dataclass
class _Part:
    """Rows in memory: seconds, values [rows, C], labels, and the time from one sample to the next."""

    time: np.ndarray
    values: np.ndarray
    labels: np.ndarray
    period: float

    def take(self, rows: np.ndarray | slice) -> "_Part":
        """Return some of the rows."""
        return _Part(self.time[rows], self.values[rows], self.labels[rows], self.period)

    def without_missing(self, fill: float, gaps: Gaps) -> np.ndarray:
        """Fill missing values between near neighbours, leave other rows with one out; return which are left."""
        missing = np.isnan(self.values)
        if not missing.any():
            return np.ones(len(self.time), bool)
        self.values = self.values.copy()
        for channel in np.flatnonzero(missing.any(axis=0)).tolist():
            gaps.bridged += self._bridge(
                channel, missing[:, channel], fill + _MISSING * self.period
            )
        left = ~np.isnan(self.values).any(axis=1)
        self.time, self.values, self.labels = self.time[left], self.values[left], self.labels[left]
        return np.asarray(left)

    def _bridge(self, channel: int, missing: np.ndarray, most: float) -> int:
        """Interpolate one channel where its neighbours are near; return how many stretches."""
        there, lost = np.flatnonzero(~missing), np.flatnonzero(missing)
        if not len(there):
            return 0
        after = np.searchsorted(there, lost)
        inside = (after > 0) & (after < len(there))
        lost, after = lost[inside], after[inside]
        near = self.time[there[after]] - self.time[there[after - 1]] <= most
        rows = lost[near]
        self.values[rows, channel] = np.interp(
            self.time[rows], self.time[there], self.values[there, channel]
        )
        return len(np.unique(after[near]))

    def between_gaps(
        self, fill: float, gaps: Gaps, stretch: Stretch, rows: np.ndarray
    ) -> Iterator["_Part"]:
        """Yield what lies between gaps that are too long to fill."""
        steps = np.diff(self.time)
        cuts = np.flatnonzero(steps > fill + _MISSING * self.period)
        gaps.bridged += int((steps > _MISSING * self.period).sum()) - len(cuts)
        gaps.cut += len(cuts)
        if len(cuts) and steps[cuts].max() - self.period > gaps.longest:
            longest = int(cuts[steps[cuts].argmax()])
            gaps.longest = float(steps[longest] - self.period)
            gaps.where = stretch.place(int(rows[longest + 1]))
        for first, end in zip([0, *(cuts + 1)], [*(cuts + 1), len(self.time)], strict=True):
            if end > first:
                yield self.take(slice(first, end))

    def on_grid(self, gaps: Gaps) -> "_Part":
        """Return the rows as they are if their steps are even, else interpolated at even steps."""
        steps = np.diff(self.time)
        if (np.abs(steps - self.period) <= _JITTER * self.period).all():
            return self
        gaps.moved += len(self.time)
        count = int((self.time[-1] - self.time[0]) / self.period + 1e-6) + 1
        grid = self.time[0] + self.period * np.arange(count)
        values = np.stack([np.interp(grid, self.time, column) for column in self.values.T], axis=1)
        after = np.clip(np.searchsorted(self.time, grid), 1, len(self.time) - 1)
        nearer = after - (grid - self.time[after - 1] <= self.time[after] - grid)
        return _Part(grid, values.astype(np.float32), self.labels[nearer], self.period)


def resampled(
    values: np.ndarray, labels: np.ndarray, own: float, kept: float
) -> tuple[np.ndarray, Ints]:
    """Return samples at another rate: filtered against aliasing (polyphase), labels of the nearest sample.

    Args:
        values: [samples, C].
        labels: [samples].
        own: their rate in Hz.
        kept: the wanted rate in Hz.
    """
    ratio = Fraction(kept / own).limit_denominator(1000)
    if ratio == 1:
        return values, labels.astype(np.int64)
    from scipy.signal import resample_poly

    up, down = ratio.numerator, ratio.denominator
    made = resample_poly(values.astype(np.float64), up, down, axis=0, padtype="line")
    nearest = np.minimum(np.round(np.arange(len(made)) * down / up), len(labels) - 1)
    return made.astype(np.float32), labels[nearest.astype(np.int64)].astype(np.int64)
