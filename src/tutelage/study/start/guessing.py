"""What the tables of a folder seem to hold: which column is which, who was recorded, how fast."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tutelage.data.names import natural
from tutelage.data.recordings.clock import RecordingClock
from tutelage.data.recordings.tables import SUFFIXES, Chunk, TextForm, table_of
from tutelage.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_TIME = re.compile(r"t|time|times?_?stamp.*|date_?time|time[_ ].*|seconds?|sec|ms|epoch", re.I)
_LABEL = re.compile(r"label|activity|class|target|annotation|task|gesture|state", re.I)
_SUBJECT = re.compile(r"subject.*|user.*|participant.*|person.*|who|pid|id|patient.*", re.I)
_SESSION = re.compile(r"session.*|trial.*|visit.*|day|run|occasion", re.I)
_FEW = 64  # different values of a column of labels, at most


@dataclass(frozen=True)
class Guess:
    """What a folder of recordings seems to be.

    Args:
        files: pattern, with ``{subject}`` where the path tells who was recorded.
        columns: all of them, in order.
        channels: columns that seem to be sensor channels.
        time, label, subject, session: columns that seem to be these; None where none does.
        rate: samples per second by the timestamps; None without.
        people: how many there are, 0 where nothing tells.
        rows: of all tables, about, by the size of the files.
    """

    files: str
    columns: tuple[str, ...]
    channels: tuple[str, ...]
    time: str | None
    label: str | None
    subject: str | None
    session: str | None
    rate: float | None
    people: int
    rows: int = 0


def guess(folder: Path) -> Guess:
    """Return what the tables of a folder seem to hold, by their names and their first rows.

    Args:
        folder: of the recordings; sub-folders count.

    Raises:
        UserError: no folder, no tables in it, or a table without a column of numbers.
    """
    files = _tables(folder)
    pattern, people = _pattern(folder, files)
    first = _first(files[0])
    columns = tuple(map(str, first.frame.columns))
    time, label, subject, session = (
        _named(columns, like) for like in (_TIME, _LABEL, _SUBJECT, _SESSION)
    )
    label = label or _texts(first.frame, (time, subject, session))
    channels = tuple(
        name for name in columns
        if name not in (time, label, subject, session) and first.frame[name].dtype.kind in "iuf"
        and not name.lower().startswith(("unnamed", "index"))
    )  # fmt: skip
    if not channels:
        raise UserError(
            f"{files[0]}: found no column of numbers for a channel (there: {', '.join(columns[:20])})"
        )
    if subject is not None:
        pattern, people = pattern.replace("{subject}", "*"), _count(files, subject)
    return Guess(
        pattern, columns, channels, time, label, subject, session, _rate(first, time), people,
        _rows(files, first),
    )  # fmt: skip


def _tables(folder: Path) -> list[Path]:
    """Return the tables of the kind of which there are most."""
    if not folder.is_dir():
        raise UserError(f"--from: found no folder {str(folder)!r}")
    found = [
        path for path in folder.rglob("*")
        if path.is_file() and path.name.lower().endswith(SUFFIXES)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]  # fmt: skip
    if not found:
        raise UserError(f"--from: found no table in {folder}, allowed are {', '.join(SUFFIXES)}")
    suffixes = [_suffix(path) for path in found]
    usual = max(sorted(set(suffixes)), key=suffixes.count)
    return sorted((p for p in found if _suffix(p) == usual), key=lambda p: natural(str(p)))


def _suffix(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def _pattern(folder: Path, files: Sequence[Path]) -> tuple[str, int]:
    """Return the pattern of the files, and how many people it tells apart.

    Folders are people where there are several; else files are, where there are several.
    """
    parts = [path.relative_to(folder).parts for path in files]
    deep = max(map(len, parts))
    suffix = _suffix(files[0])
    if any(len(one) != deep for one in parts):
        return f"{folder.as_posix()}/**/*{suffix}", 0
    people = {one[0] for one in parts}
    if deep > 1 and len(people) > 1:
        return "/".join([folder.as_posix(), "{subject}", *["*"] * (deep - 2), f"*{suffix}"]), len(
            people
        )
    if deep == 1 and len(files) > 1:
        return f"{folder.as_posix()}/{{subject}}{suffix}", len(files)
    return "/".join([folder.as_posix(), *["*"] * (deep - 1), f"*{suffix}"]), 0


def _first(path: Path) -> Chunk:
    """Return the first rows of a table."""
    table = table_of(path, TextForm())
    chunk = next(table.chunks(table.columns, []), None)
    if chunk is None or not len(chunk.frame):
        raise UserError(f"{path}: found no row, allowed is one or more")
    return chunk


def _named(columns: Sequence[str], like: re.Pattern[str]) -> str | None:
    return next((name for name in columns if like.fullmatch(name.strip())), None)


def _texts(frame: "pd.DataFrame", taken: Sequence[str | None]) -> str | None:
    """Return a column of texts with few different values."""
    for name in frame.columns:
        if (
            name not in taken
            and frame[name].dtype.kind not in "iufbM"
            and frame[name].nunique() <= _FEW
        ):
            return str(name)
    return None


def _rows(files: Sequence[Path], first: Chunk) -> int:
    sizes = [path.stat().st_size for path in files]
    return round(len(first.frame) * sum(sizes) / sizes[0])


def _count(files: Sequence[Path], column: str) -> int:
    """Return how many different values a column has in all tables."""
    found: set[str] = set()
    for path in files:
        for chunk in table_of(path, TextForm()).chunks([column], [column]):
            found |= set(chunk.frame[column].dropna().astype(str))
    return len(found)


def _rate(first: Chunk, time: str | None) -> float | None:
    if time is None or len(first.frame) < 2:
        return None
    steps = np.diff(RecordingClock(time, None).seconds(first))
    steps = steps[steps > 0]
    if not len(steps):
        return None
    rate = 1 / float(np.median(steps))
    return float(round(rate)) if abs(rate - round(rate)) < 0.02 * rate else float(f"{rate:.4g}")
