"""Where a ledger lies: a folder here, or anything fsspec knows by its URL (``s3://``, ``memory://``, ``ssh://``)."""

from pathlib import Path
from typing import cast

from upath import UPath

from tutelage.errors import UserError

__all__ = ["below", "is_ledger", "is_local", "location"]


def location(text: str) -> Path:
    """Return the place that a path or a URL names.

    What stands behind a URL is no ``pathlib.Path``, but has its methods; the ledger asks for no others.

    Raises:
        UserError: nobody knows such a URL, or the package for it is not installed.

    Examples:
        >>> location("runs/ladder").as_posix()
        'runs/ladder'
    """
    if "://" not in text:
        return Path(text)
    try:
        remote = UPath(text)
        _ = remote.fs  # made here, so that a missing package is told before anything is read
    except (ImportError, ValueError) as error:
        raise UserError(f"{text}: cannot be read: {error}") from None
    return cast(Path, remote)


def is_local(folder: Path) -> bool:
    """Whether a place is an ordinary folder of this machine."""
    return isinstance(folder, Path)


def below(folder: Path, relative: str) -> Path:
    """Return a place by its path from a folder; the path may climb (``../other/0/alone/seed-0-...``).

    Storage behind a URL knows no ``..``, so there it is taken out of the address.
    """
    path = folder / relative
    return path if is_local(folder) else path.resolve()


def is_ledger(place: Path) -> bool:
    """Whether a place is the folder of a study or of an experiment."""
    return any((place / name).is_file() for name in ("study.json", "experiment.json"))
