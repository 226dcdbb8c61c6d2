"""Labels that stand in tables of their own: from when to when somebody did what."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tutelage.data.dataset import Ints
from tutelage.data.names import NONE, ColumnNames
from tutelage.data.recordings.clock import RecordingClock
from tutelage.data.recordings.paths import Found, fields_of, matching
from tutelage.data.recordings.tables import Chunk, TextForm, refuse_missing, table_of
from tutelage.errors import UserError


@dataclass(frozen=True)
class Annotations:
    """Tables of labels: one stretch of time a line.

    A table belongs to the recordings whose path says the same by the names in braces that both patterns have:
    ``data/{subject}/{session}.csv`` and ``labels/{subject}-{session}.csv``. Times are on the clock of the
    recording's timestamps, the end excluded.

    Args:
        files: pattern of the tables.
        start: column of the first moment.
        end: column of the last.
        label: column of the label.
        recording: column with the name of the recording's file (with or without folders and suffix), where one
            table is about several.
    """

    files: str
    start: str = "start"
    end: str = "end"
    label: str = "label"
    recording: str | None = None


@dataclass
class Stretches:
    """Labelled stretches of one recording, in order: from, to, number of the label, where it is written."""

    first: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    place: list[str] = field(default_factory=list)

    def ordered(self) -> "Stretches":
        """Return them by their first moment.

        Raises:
            UserError: two of them overlap, or one ends before it begins.
        """
        order = sorted(range(len(self.first)), key=lambda i: self.first[i])
        for number in order:
            if not self.end[number] > self.first[number]:
                raise UserError(f"{self.place[number]}: found an end that is not after its start")
        for before, after in pairwise(order):
            if self.first[after] < self.end[before]:
                raise UserError(
                    f"{self.place[after]}: found a stretch that begins before the one of {self.place[before]} "
                    "ends; "
                    "allowed is one label at a time"
                )
        return Stretches(
            [self.first[i] for i in order], [self.end[i] for i in order],
            [self.label[i] for i in order], [self.place[i] for i in order],
        )  # fmt: skip

    def at(self, seconds: np.ndarray) -> Ints:
        """Return the label of every moment, [rows]; -1 where there is none."""
        if not self.first:
            return np.full(len(seconds), NONE, np.int64)
        index = np.searchsorted(self.first, seconds, side="right") - 1
        inside = (index >= 0) & (seconds < np.array(self.end)[index])
        return np.where(inside, np.array(self.label, np.int64)[index], NONE)


class Book:
    """All tables of annotations, found once.

    Args:
        described: what the recipe says of them.
        patterns: of the recordings.
    """

    def __init__(self, described: Annotations, patterns: tuple[str, ...]) -> None:
        self.described = described
        self.files = matching((described.files,), "Recordings.annotations.files")
        self._shared = sorted(fields_of((described.files,)) & fields_of(patterns))
        if not self._shared and described.recording is None:
            raise UserError(
                "Recordings.annotations: found nothing that tells which recording a table belongs to; allowed are "
                "names in braces that both patterns have, such as {subject}, or recording: a column of file names"
            )

    def of(self, found: Found, clock: RecordingClock, names: ColumnNames) -> Stretches:
        """Return the stretches of one recording's file.

        Args:
            found: the file.
            clock: of its timestamps.
            names: of the labels; new ones are added.
        """
        stretches = Stretches()
        for table in self.files:
            if all(table.fields[name] == found.fields[name] for name in self._shared):
                self._read(table, found, clock, names, stretches)
        return stretches.ordered()

    def _read(
        self, table: Found, found: Found, clock: RecordingClock, names: ColumnNames, into: Stretches
    ) -> None:
        for chunk in self._chunks(table):
            ends = [
                _times(chunk, column, clock)
                for column in (self.described.start, self.described.end)
            ]
            labels = names.numbers(chunk.frame[self.described.label])
            for row in np.flatnonzero(self._mine(chunk, found)).tolist():
                into.first.append(float(ends[0][row]))
                into.end.append(float(ends[1][row]))
                into.label.append(int(labels[row]))
                into.place.append(chunk.place(row))

    def _chunks(self, table: Found) -> Iterator[Chunk]:
        described = self.described
        columns = [described.start, described.end, described.label]
        texts = [described.label]
        if described.recording is not None:
            columns.append(described.recording)
            texts.append(described.recording)
        opened = table_of(table.path, TextForm())
        refuse_missing(opened, columns, "annotations")
        yield from opened.chunks(columns, texts)

    def _mine(self, chunk: Chunk, found: Found) -> np.ndarray:
        """Return which rows are about this file."""
        if self.described.recording is None:
            return np.ones(len(chunk.frame), bool)
        named = chunk.frame[self.described.recording].astype(str).str.strip()
        path = found.path
        own = {path.name, path.stem, str(path), path.as_posix(), path.with_suffix("").as_posix()}
        return np.asarray(named.isin(own).to_numpy(bool))


def _times(chunk: Chunk, column: str, clock: RecordingClock) -> np.ndarray:
    """Return the moments of a column on the clock of a recording, in seconds from its start."""
    same = RecordingClock(column, clock.unit, clock.origin, clock.zone, clock.scale)
    return same.seconds(chunk)
