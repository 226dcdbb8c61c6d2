"""Files and folders that appear whole or not at all, whatever happens while they are written."""

import errno
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from uuid import uuid4
from zlib import crc32

__all__ = [
    "UNFINISHED",
    "bytes_in_words",
    "is_file",
    "is_folder",
    "remove_abandoned",
    "remove_leftovers",
    "replacing",
    "replacing_folder",
]

UNFINISHED = ".unfinished-"
"""How the name of a file or folder begins that is still being written; one that was left behind may be removed."""


_LEFTOVER = re.compile(rf"{re.escape(UNFINISHED)}.*|.*\.part(\.\w+)?|\.tmp\w{{6}}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; when the block ends the file takes its name, and replaces what was there.

    The content is on the disk before the name is: after a power cut there is the old file or the new one. What a
    block leaves behind that raises is removed. Several processes may write the same file: the last one stays.

    Args:
        path: of the file; folders above it are made. The path given has the same suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _beside(path)
    try:
        yield unfinished
        _sync(unfinished)
        unfinished.chmod(
            0o666 & ~_umask()
        )  # some writers make files that only their owner may read
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    _sync(path.parent)


@contextmanager
def replacing_folder(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Give a new folder to fill; when the block ends it takes its name, and replaces what was there.

    Args:
        path: of the folder; those above it are made.
        alone: nobody else writes it now (a lock is held): an unfinished version was left behind by a process
            that was killed, and is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{_begins(path)}*") if alone else ():
        shutil.rmtree(left, ignore_errors=True)
    unfinished = _beside(path)
    unfinished.mkdir()
    try:
        yield unfinished
        for file in unfinished.rglob("*"):
            _sync(file)
        if path.exists():
            shutil.rmtree(path)
        unfinished.replace(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _sync(path.parent)


def is_file(path: Path) -> bool:
    """Return whether a file is there; a name longer than any file can have is that of none."""
    return _is(Path.is_file, path)


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; a name longer than any folder can have is that of none."""
    return _is(Path.is_dir, path)


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    try:
        return kind(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def remove_leftovers(folder: Path, before: float = inf) -> None:
    """Remove what commands that were killed have left half-written in a folder, not below it.

    Besides our own names these are ``.part`` of earlier versions, and the temporary files of safetensors.

    Args:
        folder: to clear.
        before: only what was last changed before this time, in seconds since 1970; where nobody else can be
            writing, everything.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _LEFTOVER.fullmatch(path.name) or path.lstat().st_mtime >= before:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def bytes_in_words(count: float) -> str:
    """Return a number of bytes with the unit that shows it best.

    Examples:
        >>> bytes_in_words(3.2e9), bytes_in_words(4.5e6), bytes_in_words(300)
        ('3.2 GB', '4.5 MB', '0.3 kB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1e3:.1f} kB"


def remove_abandoned(folder: Path) -> None:
    """Remove what processes of this machine that no longer exist have left unfinished in a folder."""
    for path in folder.glob(f"{UNFINISHED}*-{_host()}-*"):
        process = path.name.split("-")[3]
        if process.isdigit() and not _alive(int(process)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _beside(path: Path) -> Path:
    """Return a name of our own in the same folder, which tells who writes it."""
    return path.with_name(f"{_begins(path)}{_host()}-{os.getpid()}-{uuid4().hex[:8]}{path.suffix}")


def _host() -> str:
    return f"{crc32(socket.gethostname().encode()):08x}"


def _begins(path: Path) -> str:
    """Return how the names of unfinished versions of a file or folder begin; short, whatever its own name is."""
    return f"{UNFINISHED}{crc32(path.name.encode()):08x}-"


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # a folder cannot be opened there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """Return which permissions new files do not get; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
