"""Checksums beside the files of a cache: a damaged one is noticed and made again, not believed."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from tutelage.files import replacing

__all__ = ["SUFFIX", "intact", "kept", "recall", "remember", "seal", "tell_damaged"]

SUFFIX = ".seal"
ALWAYS = 2**30  # bytes up to which a file is read through once per process: 0.4 s of CPU time
_BLOCK = 2**20

Value = TypeVar("Value")
_checked: dict[Path, list[int]] = {}


def seal(path: Path) -> None:
    """Write the checksum of a file beside it."""
    with replacing(_beside(path)) as unfinished:
        unfinished.write_text(json.dumps({"crc32": _checksum(path), "stamp": _stamp(path)}))
    _checked[path] = _stamp(path)


def intact(path: Path) -> bool:
    """Return whether a file is there and is what was sealed.

    A file is read once per process, and again when it changes. One larger than :data:`ALWAYS` is read only
    where size, times or inode differ from those at sealing: after a write by whomever, or a copy. A file of
    an earlier version has no seal; it is accepted, and sealed from now on. The time of its seal says when a
    file was last asked for.
    """
    if not path.is_file():
        return False
    with suppress(OSError):  # no seal, or somebody else's folder
        os.utime(_beside(path))
    stamp = _stamp(path)
    if _checked.get(path) == stamp:
        return True
    try:
        sealed = json.loads(_beside(path).read_text())
        untouched = sealed["stamp"] == stamp
        if not (untouched and stamp[0] > ALWAYS) and sealed["crc32"] != _checksum(path):
            return False
    except FileNotFoundError:
        untouched = False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not untouched:
        try:
            seal(path)
        except OSError:  # somebody else's folder: it is read through in every process
            pass
    _checked[path] = stamp
    return True


def tell_damaged(path: Path) -> None:
    """Say in one line that an entry of a cache is made again."""
    logging.getLogger("tutelage").warning("%s: is damaged, and is made again", path)


def kept(
    path: Path,
    read: Callable[[Path], Value],
    compute: Callable[[], Value],
    write: Callable[[Path, Value], object],
) -> Value:
    """Return what a file of a cache holds; computed where it is missing or damaged.

    Args:
        path: of the file.
        read: raises ``ValueError``, ``KeyError``, ``TypeError`` or ``OSError`` where the file makes no sense.
        compute: the value itself.
        write: puts it into a new file.
    """
    if path.exists():
        if intact(path):
            try:
                return read(path)
            except (OSError, ValueError, KeyError, TypeError):
                pass
        tell_damaged(path)
    value = compute()
    try:
        with replacing(path) as unfinished:
            write(unfinished, value)
        seal(path)
    except OSError as error:
        logging.getLogger("tutelage").warning("%s: cannot be kept (%s)", path, error.strerror)
    return value


def remember(path: Path, content: Mapping[str, Any]) -> None:
    """Keep in a JSON file of a cache what takes long to find out."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1, allow_nan=False))
    seal(path)


def recall(path: Path) -> dict[str, Any]:
    """Return what was remembered; nothing where the file is missing, or damaged, which is said."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes()) if intact(path) else None
    except (OSError, ValueError):
        content = None
    if isinstance(content, dict):
        return content
    tell_damaged(path)
    return {}


def _beside(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _stamp(path: Path) -> list[int]:
    about = path.stat()
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]


def _checksum(path: Path) -> int:
    total = 0
    buffer = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            total = crc32(buffer[:count], total)
    return total
