"""Timestamps: seconds, milliseconds, epochs, ISO 8601, dates of tables; each file has one clock."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tutelage.data.recordings.tables import comma_advice
from tutelage.errors import UserError, quoted

if TYPE_CHECKING:
    from tutelage.data.recordings.tables import Chunk

SCALES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_EPOCHS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))  # what a number of this size counts since 1970
_ZONE = re.compile(r"(?:Z|[+-]\d\d(?::?\d\d)?)$")


@dataclass
class RecordingClock:
    """What the first timestamp of a file says of all of them.

    Args:
        column: of the timestamps.
        unit: of numbers: s, ms, us or ns; None: seconds, or what the size of an epoch tells.
        origin: the first timestamp, as it was read; seconds count from it.
        zone: how ISO texts end; ``""`` without a zone, None where timestamps are no texts.
        scale: seconds in one unit of what is read.
    """

    column: str
    unit: str | None
    origin: Any = None
    zone: str | None = None
    scale: float = 1.0

    def seconds(self, chunk: "Chunk") -> np.ndarray:
        """Return seconds since the first timestamp of the file, [rows] float64.

        Raises:
            UserError: no timestamp, another kind than before, or another time zone; with its line.
        """
        raw, zone = self._raw(chunk)
        if not len(raw):
            return np.empty(0)
        if self.origin is None:
            self.origin, self.zone = raw[0], zone
            self.scale = self._scale_of(raw[0]) if zone is None else SCALES["ns"]
        if (zone is None) != (self.zone is None):
            words = "a number" if zone is None else "a text"
            raise UserError(
                f"{chunk.place(0)}: column {self.column!r}: found {words}, the file began otherwise"
            )
        return np.asarray((raw - self.origin).astype(np.float64) * self.scale)

    def _scale_of(self, first: Any) -> float:
        if self.unit is not None:
            return SCALES[self.unit]
        return SCALES[next((unit for least, unit in _EPOCHS if abs(first) >= least), "s")]

    def _raw(self, chunk: "Chunk") -> tuple[np.ndarray, str | None]:
        """Return timestamps as numbers, or as whole nanoseconds with the zone they are in."""
        column = chunk.frame[self.column]
        kind = column.dtype.kind
        if kind in "iu":
            return column.to_numpy(), None
        if kind == "f":
            values = column.to_numpy(np.float64)
            self._refuse(chunk, ~np.isfinite(values))
            return values, None
        if kind == "M" or str(column.dtype).startswith("datetime64"):
            self._refuse(chunk, column.isna().to_numpy())
            return _nanoseconds(column), "column of dates"
        return self._texts(chunk)

    def _texts(self, chunk: "Chunk") -> tuple[np.ndarray, str]:
        import pandas as pd

        texts = chunk.frame[self.column].astype("object")
        self._refuse(chunk, texts.isna().to_numpy())
        texts = texts.astype(str).str.strip()
        zones = texts.map(_zone_of)
        expected = zones.iloc[0] if self.zone is None else self.zone
        other = np.flatnonzero((zones != expected).to_numpy())
        if (len(other) and self.zone is not None) or len(set(zones)) > 1:
            raise UserError(
                f"{chunk.place(int(other[0]))}: column {self.column!r}: found the time zone "
                f"{zones.iloc[other[0]] or 'none'!r}, the lines before have {expected or 'none'!r}; allowed is one"
            )
        dates = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
        self._refuse(chunk, dates.isna().to_numpy())
        return _nanoseconds(dates), str(expected)

    def _refuse(self, chunk: "Chunk", wrong: np.ndarray) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            value = chunk.frame[self.column].iloc[row]
            found = quoted(value) if isinstance(value, str) else "no time"
            raise UserError(
                f"{chunk.place(row)}: column {self.column!r}: found {found}, allowed are numbers, or ISO 8601 "
                "such "
                f"as 2026-01-31T12:00:00.02+01:00{comma_advice(value)}"
            )


def _nanoseconds(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy(dtype="datetime64[ns]")).astype(np.int64)


def _zone_of(text: str) -> str:
    """Return how a timestamp ends that has a time of day; dates alone end with what looks like a zone."""
    match = _ZONE.search(text) if ":" in text else None
    return (
        "Z" if match and match[0] in ("Z", "+00:00", "+0000", "+00") else match[0] if match else ""
    )
