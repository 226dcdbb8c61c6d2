"""What the cache beside a folder of runs holds, and how it is kept small: all of it can be made again."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tutelage import seals
from tutelage.errors import UserError
from tutelage.execution.claim import is_held

__all__ = ["BOUND", "CacheEntry", "entries", "hold_bound", "prune", "size_of"]

BOUND = "TUTELAGE_CACHE"
"""Name of the environment variable that bounds caches, such as 20GB."""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE)


@dataclass(frozen=True)
class CacheEntry:
    """One thing that can be made again.

    Args:
        kind: ``teacher`` (its outputs on a split) or ``representation`` (a modality of a data set).
        what: in words.
        paths: what is removed with it.
        bytes: on the disk.
        used: when it was last read or written, seconds since 1970.
    """

    kind: str
    what: str
    paths: tuple[Path, ...]
    bytes: int
    used: float


def entries(cache: Path) -> list[CacheEntry]:
    """Return what is there, what was used longest ago first, without locks and measurements, which are small."""
    return sorted((*_teachers(cache), *_representations(cache)), key=lambda entry: entry.used)


def size_of(text: str, place: str) -> int:
    """Return a size in bytes: of ``2GB``, ``500 MB``, ``1000``.

    Raises:
        UserError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UserError(
            f"{place}: found {text!r}; allowed: a number with B, KB, MB, GB or TB, such as 20GB"
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


def prune(
    cache: Path, *, older_than: float | None = None, to: int | None = None
) -> list[CacheEntry]:
    """Remove what was used longest ago; return what was removed.

    Args:
        cache: the folder.
        older_than: seconds; what was used before is removed.
        to: bytes that may stay.

    Raises:
        UserError: a run is being trained from it.
    """
    if _busy(cache):
        raise UserError(
            f"{cache}: runs are being trained from it; nothing was removed (wait for their end)"
        )
    now, kept = time.time(), entries(cache)
    total, removed = sum(entry.bytes for entry in kept), []
    for entry in kept:
        old = older_than is not None and now - entry.used > older_than
        if old or (to is not None and total > to):
            _remove(entry)
            total -= entry.bytes
            removed.append(entry)
    return removed


def hold_bound(cache: Path) -> list[CacheEntry]:
    """Prune to what the environment variable ``TUTELAGE_CACHE`` allows; nothing is done while other runs go on.

    Raises:
        UserError: it is no size.
    """
    told = os.environ.get(BOUND, "")
    if not told:
        return []
    bound = size_of(told, BOUND)
    try:
        return prune(cache, to=bound)
    except UserError:  # another command is at work; it holds the bound at its own end
        return []


def _teachers(cache: Path) -> Iterator[CacheEntry]:
    for marker in cache.glob("*/complete.json"):
        files = _files([marker.parent])
        try:
            said = json.loads(marker.read_text())
            count = said["samples"]
            named = sorted(file.stem for file in files if file.suffix == ".npy")
            what = f"{', '.join(name for name in named if name != 'rows')} of {count:,} samples"
            if about := said.get("about"):  # of a version that wrote it
                what = "{teacher} in {experiment} on {data}: ".format(**about) + what
        except (OSError, ValueError, KeyError, TypeError):
            what = "damaged"
        yield _entry("teacher", what, [marker.parent, *cache.glob(f"{marker.parent.name}.lock")])


def _representations(cache: Path) -> Iterator[CacheEntry]:
    for values in (cache / "modalities").glob("*.npy"):
        yield _entry("representation", values.stem, sorted(values.parent.glob(f"{values.stem}.*")))


def _entry(kind: str, what: str, paths: Sequence[Path]) -> CacheEntry:
    files = {path: path.stat() for path in _files(paths)}
    # Whoever uses an entry asks its seals, which keeps the time; not every file system notes who reads.
    times = (stat.st_mtime for path, stat in files.items() if path.suffix in (".npy", seals.SUFFIX))
    used = max(times, default=0.0)
    return CacheEntry(kind, what, tuple(paths), sum(stat.st_size for stat in files.values()), used)


def _files(paths: Sequence[Path]) -> list[Path]:
    found = [[path] if path.is_file() else sorted(path.iterdir()) for path in paths]
    return [path for some in found for path in some]


def _remove(entry: CacheEntry) -> None:
    """Remove an entry; the file that says that it is whole goes first, so a killed command leaves none half."""
    for path in entry.paths:
        if path.is_dir():
            (path / "complete.json").unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _busy(cache: Path) -> bool:
    """Return whether any process holds a run of this cache."""
    for path in (cache / "locks").glob("*"):
        with suppress(OSError):  # somebody else's, who may not be asked
            if is_held(FileLock(path)):
                return True
    return False
