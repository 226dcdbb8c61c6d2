"""Recordings and windows that a shipped model is asked about, read block by block."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from tutelage.data.dataset import in_units
from tutelage.errors import UserError, unknown
from tutelage.export.facts import ModelFacts
from tutelage.export.models import Floats, Model
from tutelage.export.stream import Stream
from tutelage.files import replacing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predictions_of", "refuse_rate", "rows_of", "write_predictions"]

_ROWS = 4096
_RATE = 0.05  # of a rate, within which a clock may be wrong
_TIMES = {"t", "time", "timestamp", "seconds", "elapsed"}
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_LOOKED = 51  # times that tell the rate


def predictions_of(
    model: Model, path: Path, hop: int | None = None, rate: float | None = None
) -> "pd.DataFrame":
    """Return what a model says of a recording, or of windows.

    Args:
        model: of ``load_model``.
        path: ``.csv``: a recording, one column a channel, found by its head, else by order. ``.npy``:
            windows [n, channels, samples], or one recording [channels, samples].
        hop: samples from one window of a recording to the next; None as the model was tested.
        rate: of the recording (Hz), where somebody knows it.

    Returns:
        ``start`` and ``end`` (seconds where the rate is known, else samples; of windows their number), ``class``,
        ``probability``.

    Raises:
        UserError: the file cannot be read, is shorter than one window, or was taken at another rate.
    """
    import pandas as pd

    refuse_rate(rate, model.facts, "--rate")
    facts, rows = model.facts, list[tuple[float, float, str, float]]()
    values = _array(path) if path.suffix.lower() == ".npy" else None
    if values is not None and values.ndim == len(facts.shape) + 1:
        for number, prediction in enumerate(model.predict(values)):
            rows.append((number, number + 1, prediction.name, prediction.probability))
    else:
        stream, samples = Stream(model, hop=hop), 0
        for block in [values] if values is not None else rows_of(path, facts, str(path)):
            samples += block.shape[-1]
            for moment in stream.push(block):
                unit = facts.rate or 1
                said = moment.prediction
                rows.append((moment.start / unit, moment.end / unit, said.name, said.probability))
        if not rows:
            raise UserError(f"{path}: {samples} samples; one window of the model is {facts.window}")
    return pd.DataFrame(rows, columns=["start", "end", "class", "probability"])


def write_predictions(table: "pd.DataFrame", path: Path) -> None:
    """Write a table of predictions, ``.csv`` or ``.parquet``.

    Raises:
        UserError: another ending.
    """
    writers = {".csv": table.to_csv, ".parquet": table.to_parquet}
    writer: Any = writers.get(path.suffix.lower())
    if writer is None:
        raise UserError(f"{path}: found {path.suffix or 'no ending'!r}; allowed: .csv, .parquet")
    with replacing(path) as part:
        try:
            writer(part, index=False)
        except ImportError:
            raise UserError(
                f"{path}: parquet needs pyarrow; pip install pyarrow, or write .csv"
            ) from None


def rows_of(source: Path | TextIO, facts: ModelFacts, name: str) -> Iterator[Floats]:
    """Yield the samples of separated values in blocks, [channels, n].

    Args:
        source: a file, or what comes in.
        facts: of the model; its channels are looked for in the first line, by name with or without its unit.
        name: of the source, for errors.

    Raises:
        UserError: a channel is missing, or a value is no finite number; with its line.
    """
    if isinstance(source, Path):
        try:
            with source.open(encoding="utf-8-sig", newline="") as file:
                yield from _blocks(file, facts, name, _ROWS)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name}: cannot be read ({error})") from None
    else:
        yield from _blocks(source, facts, name, 1)


def refuse_rate(found: float | None, facts: ModelFacts, place: str) -> None:
    """Do nothing where samples were taken as fast as the model reads them, or nobody knows.

    Args:
        found: samples per second, or None.
        facts: of the model.
        place: where that stands, for the sentence.

    Raises:
        UserError: it is more than 5 % another.
    """
    wanted = facts.rate
    if found is None or wanted is None or abs(found - wanted) <= _RATE * wanted:
        return
    raise UserError(
        f"{place}: found {found:.4g} samples per second; allowed: about {wanted:.4g} Hz, which the model reads "
        "(resample the recording)"
    )


class _Times:
    """A column of times in seconds, which tells how fast samples were taken."""

    def __init__(self, column: int, unit: float, facts: ModelFacts, place: str) -> None:
        self.column, self.unit, self.facts, self.place = column, unit, facts, place
        self.seen: list[float] = []

    @classmethod
    def of(cls, heads: Sequence[str], facts: ModelFacts, place: str) -> "_Times | None":
        """Return the first column that says it is a time, and in which unit; None where none does."""
        for column, head in enumerate(heads):
            if _bare(head) in _TIMES and _unit(head) in _SECONDS:
                return cls(column, _SECONDS[_unit(head)], facts, f"{place}: column {head!r}")
        return None

    def note(self, row: Sequence[str]) -> None:
        """Look at one more row; once there are enough, refuse another rate."""
        if len(self.seen) < _LOOKED:
            with suppress(ValueError, IndexError):
                self.seen.append(self.unit * float(row[self.column]))
            if len(self.seen) == _LOOKED:
                self.check()

    def check(self) -> None:
        """Refuse another rate, by the middle of the steps so far."""
        steps = np.diff(self.seen)
        if len(steps) > 1 and (step := float(np.median(steps))) > 0:
            refuse_rate(1 / step, self.facts, self.place)


def _blocks(file: Iterable[str], facts: ModelFacts, name: str, size: int) -> Iterator[Floats]:
    lines = csv.reader(file)
    columns: Sequence[int] | None = None
    times: _Times | None = None
    rows: list[list[float]] = []
    for row in lines:
        if not row:
            continue
        if columns is None:
            columns, is_head = _columns(row, facts, name)
            if is_head:
                times = _Times.of(row, facts, f"{name}:1")
                continue
        if times is not None:
            times.note(row)
        rows.append(_numbers(row, columns, f"{name}:{lines.line_num}"))
        if len(rows) == size:
            yield np.asarray(rows, np.float32).T
            rows = []
    if times is not None and len(times.seen) < _LOOKED:
        times.check()
    if rows:
        yield np.asarray(rows, np.float32).T


def _columns(row: Sequence[str], facts: ModelFacts, name: str) -> tuple[Sequence[int], bool]:
    """Return where the channels are, and whether this line is the head that says so."""
    try:
        [float(cell) for cell in row]
    except ValueError:
        heads = [cell.strip() for cell in row]
        known = {_bare(head): at for at, head in enumerate(heads)}
        for channel in in_units(facts.channels, facts.units):
            if _bare(channel) not in known:
                raise unknown(f"{name}:1", "channel", channel, heads) from None
            _refuse_unit(heads[known[_bare(channel)]], channel, f"{name}:1")
        return [known[_bare(channel)] for channel in facts.channels], True
    if len(row) != len(facts.channels):
        raise UserError(
            f"{name}:1: found {len(row)} columns without names; allowed: {len(facts.channels)} "
            f"({facts.inputs}), or a first line with names"
        ) from None
    return range(len(row)), False


def _bare(name: str) -> str:
    """Return the name of a channel without its unit: ``acc_x (g)`` is ``acc_x``."""
    return name.partition("(")[0].partition("[")[0].strip().casefold()


def _unit(name: str) -> str:
    """Return the unit of a channel, without spaces: ``acc_x [g]`` gives ``g``; empty where there is none."""
    inside = name.replace("[", "(").partition("(")[2]
    return inside.rstrip().rstrip(")]").replace(" ", "").casefold()


def _refuse_unit(head: str, channel: str, place: str) -> None:
    """Refuse a column whose head says another unit than the model reads."""
    found, wanted = _unit(head), _unit(channel)
    if found and wanted and found != wanted:
        raise UserError(
            f"{place}: found {head!r}; the model reads {channel!r} (allowed: that unit, or a head without one)"
        )


def _numbers(row: Sequence[str], columns: Sequence[int], place: str) -> list[float]:
    try:
        values = [float(row[column]) for column in columns]
    except (ValueError, IndexError):
        raise UserError(
            f"{place}: found {','.join(row)[:80]!r}; allowed: a number for every channel"
        ) from None
    if not np.isfinite(values).all():
        raise UserError(f"{place}: holds NaN or an infinite value")
    return values


def _array(path: Path) -> NDArray[Any]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: found {getattr(values, 'dtype', 'several arrays')}; allowed: one array of numbers"
        )
    return values
