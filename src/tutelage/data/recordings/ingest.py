"""From tables to rows on disk, in order: values, seconds and labels, and where each recording begins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.data.names import NONE, ColumnNames
from tutelage.data.recordings.annotations import Book, Stretches
from tutelage.data.recordings.clock import RecordingClock
from tutelage.data.recordings.paths import Found
from tutelage.data.recordings.spool import Spool
from tutelage.data.recordings.tables import (
    Chunk,
    Frame,
    Table,
    TextForm,
    comma_advice,
    refuse_missing,
    table_of,
)
from tutelage.errors import UserError, quoted

ROLES = ("subject", "session", "part")
_SCATTERED = 16  # rows of a stretch of one person, at least, where there are many


@dataclass(frozen=True)
class Columns:
    """Which column means what; None where a table has no such column.

    Args:
        channels: the sensor channels.
        factors: what each is multiplied with.
        time, label: of the rows.
        roles: ``subject``, ``session``, ``part`` -> its column.
        unit: of numbers as timestamps.
        form: how text files are written.
        optional_label: a table may come without the column of labels.
        refuse_missing_values: a NaN is refused.
    """

    channels: tuple[str, ...]
    factors: Sequence[float]
    time: str | None
    label: str | None
    roles: dict[str, str]
    unit: str | None
    form: TextForm
    optional_label: bool
    refuse_missing_values: bool


@dataclass
class Stretch:
    """Rows of one recording: one table, one person, one occasion.

    Args:
        source: of the rows, for sentences.
        line: of the first row, as ``source`` counts it.
        word: ``line`` or ``row``.
        first, end: rows in the spool.
        names: number of the name of each role, in the order of ``ROLES``; -1 where it is not told.
    """

    source: str
    line: int
    word: str
    first: int
    end: int
    names: tuple[int, ...]

    def place(self, row: int = 0) -> str:
        """Return where a row of the stretch stands, for sentences."""
        return f"{self.source}: {self.word} {self.line + row}"


@dataclass
class Rows:
    """What was read.

    Args:
        spool: ``values`` [rows, C], ``time`` [rows] (where there are timestamps), ``label`` [rows].
        labels: names of the labels.
        roles: names of people, sessions and parts.
        stretches: the recordings, in order.
    """

    spool: Spool
    labels: ColumnNames = field(default_factory=ColumnNames)
    roles: dict[str, ColumnNames] = field(
        default_factory=lambda: {role: ColumnNames() for role in ROLES}
    )
    stretches: list[Stretch] = field(default_factory=list)


def spool_of(folder: Path, columns: Columns) -> Spool:
    """Return the empty files for rows with these columns."""
    forms: dict[str, tuple[Any, int]] = {
        "values": (np.float32, len(columns.channels)),
        "label": (np.int32, 0),
    }
    if columns.time is not None:
        forms["time"] = (np.float64, 0)
    return Spool(folder, "read", forms)


def ingest(
    contents: Sequence[Found | Frame],
    columns: Columns,
    book: Book | None,
    spool: Spool,
    tell: Callable[[float], None],
) -> Rows:
    """Read all tables, chunk by chunk.

    Args:
        contents: the files, or a frame.
        columns: what their columns mean.
        book: annotations, if there are some.
        spool: open, empty.
        tell: called with the fraction done.

    Raises:
        UserError: something in a table that cannot be read, with file and line.
    """
    rows = Rows(spool)
    labelled = False
    for number, content in enumerate(contents):
        reader = _Reader(rows, columns, book, content)
        reader.read()
        labelled |= reader.labelled
        tell((number + 1) / len(contents))
    if columns.label is not None and not labelled and contents:
        refuse_missing(_table(contents[0], columns), [columns.label], "label")
    return rows


def _table(content: Found | Frame, columns: Columns) -> Table:
    return table_of(content.path if isinstance(content, Found) else content, columns.form)


class _Reader:
    """Reads one table into the spool."""

    def __init__(
        self, rows: Rows, columns: Columns, book: Book | None, content: Found | Frame
    ) -> None:
        self.rows, self.columns, self.book, self.content = rows, columns, book, content
        self.table = _table(content, columns)
        self.labelled = columns.label in self.table.columns
        label = [columns.label] if columns.label is not None else []
        roles = list(columns.roles.values())
        time = [columns.time] if columns.time is not None else []
        needed = [*time, *columns.channels, *roles]
        refuse_missing(self.table, needed, "data")
        if not columns.optional_label:
            refuse_missing(self.table, label, "label")
        self.texts = [*roles, *(label if self.labelled else [])]
        self.needed = [*needed, *(label if self.labelled else [])]
        self.clock = None if columns.time is None else RecordingClock(columns.time, columns.unit)
        self.stretches: Stretches | None = None

    def read(self) -> None:
        """Read all chunks."""
        before = len(self.rows.stretches)
        for chunk in self.table.chunks(self.needed, self.texts):
            if len(chunk.frame):
                self._add(chunk)
        made = self.rows.stretches[before:]
        if not made:
            raise UserError(f"{self.table.source}: found no row, allowed is one or more")
        if len(made) > 1000 and made[-1].end - made[0].first < _SCATTERED * len(made):
            raise UserError(
                f"{self.table.source}: found {len(made)} changes of {', '.join(self.columns.roles)} in "
                f"{made[-1].end - made[0].first} rows; allowed are rows sorted by them, then by time"
            )

    def _add(self, chunk: Chunk) -> None:
        seconds = None if self.clock is None else self.clock.seconds(chunk)
        values = self._values(chunk)
        codes = self._codes(chunk)
        self._mark(chunk, codes, seconds)
        columns = {"values": values, "label": self._labels(chunk, seconds)}
        self.rows.spool.append(**columns, **({} if seconds is None else {"time": seconds}))

    def _values(self, chunk: Chunk) -> np.ndarray:
        """Return the channels, [rows, C] float32; NaN where a value is missing."""
        values = np.empty((len(chunk.frame), len(self.columns.channels)), np.float32)
        for number, name in enumerate(self.columns.channels):
            column = _numbers(chunk, name) * self.columns.factors[number]
            wrong = np.isinf(column)
            if self.columns.refuse_missing_values:
                wrong |= np.isnan(column)
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                what = "no value" if np.isnan(column[row]) else "an infinite value"
                raise UserError(
                    f"{chunk.place(row)}: column {name!r}: found {what}, allowed is a number"
                )
            values[:, number] = column
        return values

    def _codes(self, chunk: Chunk) -> np.ndarray:
        """Return the numbers of person, session and part of each row, [rows, roles]."""
        codes = np.full((len(chunk.frame), len(ROLES)), NONE, np.int64)
        fields = self.content.fields if isinstance(self.content, Found) else {}
        for at, role in enumerate(ROLES):
            names = self.rows.roles[role]
            if role in self.columns.roles:
                codes[:, at] = names.numbers(chunk.frame[self.columns.roles[role]])
                self._refuse_nobody(chunk, role, codes[:, at])
            elif role in fields:
                codes[:, at] = names.number(fields[role])
        return codes

    def _refuse_nobody(self, chunk: Chunk, role: str, codes: np.ndarray) -> None:
        if (codes == NONE).any():
            row = int(np.flatnonzero(codes == NONE)[0])
            column = self.columns.roles[role]
            raise UserError(
                f"{chunk.place(row)}: column {column!r}: found no {role}, allowed is a name in every row"
            )

    def _mark(self, chunk: Chunk, codes: np.ndarray, seconds: np.ndarray | None) -> None:
        """Lengthen the last recording, or begin others where the person or the occasion changes."""
        changes = np.flatnonzero((codes[1:] != codes[:-1]).any(axis=1)) + 1
        bounds = [0, *changes.tolist(), len(codes)]
        start, last = self.rows.spool.rows, self.rows.stretches[-1:]
        for first, end in pairwise(bounds):
            names = tuple(codes[first].tolist())
            goes_on = (
                first == 0 and last and last[0].names == names and chunk.first > self._first_line
            )
            if goes_on:
                last[0].end = start + end
            else:
                self.rows.stretches.append(
                    Stretch(chunk.source, chunk.first + first, chunk.word, start + first, start + end, names)
                )  # fmt: skip

    @property
    def _first_line(self) -> int:
        """Line of the first row of the table: there a recording always begins."""
        form = self.columns.form
        return form.skip + (1 if form.columns else 2) if self.table.word == "line" else 0

    def _labels(self, chunk: Chunk, seconds: np.ndarray | None) -> np.ndarray:
        if self.labelled and self.columns.label is not None:
            return self.rows.labels.numbers(chunk.frame[self.columns.label])
        fields = self.content.fields if isinstance(self.content, Found) else {}
        if "label" in fields:
            return np.full(len(chunk.frame), self.rows.labels.number(fields["label"]))
        if self.book is None or not isinstance(self.content, Found):
            return np.full(len(chunk.frame), NONE)
        assert self.clock is not None
        assert seconds is not None
        if self.stretches is None:
            self.stretches = self.book.of(self.content, self.clock, self.rows.labels)
        return self.stretches.at(seconds)


def _numbers(chunk: Chunk, name: str) -> np.ndarray:
    """Return a column as numbers, [rows] float64."""
    import pandas as pd

    column = chunk.frame[name]
    if column.dtype.kind in "iufb":
        return np.asarray(column.to_numpy(np.float64, na_value=np.nan))
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.isnan(values) & ~column.isna().to_numpy()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        text = column.iloc[row]
        raise UserError(
            f"{chunk.place(row)}: column {name!r}: found {quoted(text)}, allowed is a number{comma_advice(text)}"
        )
    return np.asarray(values)
