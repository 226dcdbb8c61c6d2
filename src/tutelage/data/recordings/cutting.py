"""Pieces of recordings cut into labelled windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tutelage.data.dataset import Ints
from tutelage.data.names import NONE
from tutelage.data.recordings.pieces import Piece
from tutelage.data.recordings.spool import Spool
from tutelage.data.windows import cut, runs, starts_within_runs

OUT = -2  # of labels: rows of no class that is asked for
_WINDOWS = 1024  # in memory at once


@dataclass(frozen=True)
class CuttingRule:
    """How windows are cut.

    Args:
        window: length in samples.
        hop: samples from one to the next.
        purity: share of its samples that must have the label of a window; 1: windows lie inside one run of a
            label.
        classes: how many there are.
        unlabelled: windows without a label are kept.
    """

    window: int
    hop: int
    purity: float
    classes: int
    unlabelled: bool

    def starts(self, labels: Ints) -> tuple[Ints, Ints]:
        """Return first samples and labels of the windows of a piece.

        Args:
            labels: of its samples: a class, -1 unlabelled, -2 of no class that is asked for.
        """
        allowed = {*range(self.classes), *([NONE] if self.unlabelled else [])}
        if self.purity == 1:
            starts = starts_within_runs(labels, allowed, self.window, self.hop)
            return starts, labels[starts]
        starts = np.arange(0, len(labels) - self.window + 1, self.hop, dtype=np.int64)
        if not len(starts):
            return starts, starts
        found, share = self._most_frequent(labels, starts)
        kept = np.isin(found, list(allowed)) & (share >= self.purity - 1e-9)
        return starts[kept], found[kept]

    def _most_frequent(self, labels: Ints, starts: Ints) -> tuple[Ints, np.ndarray]:
        """Return the most frequent label of each window (the lowest of several), and its share."""
        best = np.full(len(starts), OUT, np.int64)
        most = np.zeros(len(starts))
        for label in np.unique(labels).tolist():
            sums = np.concatenate([[0], np.cumsum(labels == label)])
            share = (sums[starts + self.window] - sums[starts]) / self.window
            better = share > most
            best[better], most[better] = label, share[better]
        return best, most


@dataclass
class Cuts:
    """All windows of a data set before they are written.

    Args:
        spool: samples at the rate of the windows: ``values``.
        rule: how they are cut.
        places: of every piece with windows: recording, first sample in the spool, how many, its offset, starts.
        labels: of the windows of each piece.
        longest: longest piece, and longest run of one class, in samples.
        short: pieces that are shorter than a window.
    """

    spool: Spool
    rule: CuttingRule
    places: list[tuple[int, int, int, int, Ints]] = field(default_factory=list)
    labels: list[Ints] = field(default_factory=list)
    longest: tuple[int, int] = (0, 0)
    short: int = 0

    def add(self, recording: int, piece: Piece, lookup: Ints) -> None:
        """Find the windows of a piece, and keep its samples if there are some.

        Args:
            recording: its number.
            piece: its samples; labels are numbers of names.
            lookup: class of each name, the last entry for none.
        """
        labels = lookup[piece.labels]
        stretches = runs(labels)
        own = stretches[labels[stretches[:, 0]] >= 0]
        run = int((own[:, 1] - own[:, 0]).max()) if len(own) else 0
        self.longest = (max(self.longest[0], len(labels)), max(self.longest[1], run))
        self.short += len(labels) < self.rule.window
        starts, found = self.rule.starts(labels)
        if len(starts):
            self.places.append((recording, self.spool.rows, len(labels), piece.offset, starts))
            self.labels.append(found)
            self.spool.append(values=piece.values)

    @property
    def counts(self) -> list[int]:
        """Windows of each piece."""
        return [len(starts) for *_, starts in self.places]

    def recordings(self) -> Ints:
        """Return the recording of each window."""
        return np.repeat(np.array([place[0] for place in self.places], np.int64), self.counts)

    def starts(self) -> Ints:
        """Return the first sample of each window in its recording."""
        return np.concatenate([offset + starts for _, _, _, offset, starts in self.places])

    def write(self, path: Path, channels: int) -> np.ndarray:
        """Write all windows as a .npy file, part by part, and open it as a memory-map."""
        shape = (sum(self.counts), channels, self.rule.window)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in self._windows():
                file.write(np.ascontiguousarray(part, "<f4").data)
        opened: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return opened

    def _windows(self) -> Iterator[np.ndarray]:
        for _, first, count, _, starts in self.places:
            rows = self.spool.read("values", first, first + count)
            for at in range(0, len(starts), _WINDOWS):
                yield cut(rows, starts[at : at + _WINDOWS], self.rule.window)


def lookup_of(names: Sequence[str], classes: Sequence[str]) -> Ints:
    """Return the class of each name, -2 of names that are no class; the last entry, of no name, is -1."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([*(numbers.get(name, OUT) for name in names), NONE], np.int64)
