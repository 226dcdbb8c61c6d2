"""One sentence for a user's mistake: place, what was found, what is allowed, the near name."""

import errno
import importlib
from collections.abc import Iterable
from difflib import get_close_matches
from math import isfinite, isinf
from typing import Any

_STORAGE = {
    errno.ENOSPC: "the disk is full; free some room",
    errno.EDQUOT: "your share of the disk is used up; free some room",
    errno.EROFS: "the disk can only be read; name another folder",
    errno.EACCES: "you may not read or write here; name another folder, or change its permissions",
    errno.EPERM: "you may not do this here; name another folder, or change its permissions",
    errno.ENOTDIR: "a part of this path is a file; a folder is needed",
    errno.EISDIR: "this is a folder; a file is needed",
    errno.ELOOP: "the links of this path lead in a circle",
    errno.ENAMETOOLONG: "this name is longer than the file system allows",
    errno.EIO: "the disk does not answer as it should",
    errno.ENOLCK: "this file system has no locks; name a folder on one that has, with --runs",
}
_OTHER = {
    errno.ENOENT: "there is no such file or folder",
    errno.EEXIST: "something else is there already",
}


QUOTED = 80
"""Characters that an error shows of what was found."""
LISTED = 60
"""Names that an error lists of those that are allowed."""


class UserError(ValueError):
    """A mistake in a recipe, a command or a data folder; shown as one sentence, never as a traceback."""


def quoted(value: object) -> str:
    """Return what was found as an error shows it: at most 80 characters of it.

    Examples:
        >>> quoted("seeed")
        "'seeed'"
    """
    text = repr(value[:200] if isinstance(value, str | bytes | list | tuple) else value)
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 3]}..."


def near(found: str, allowed: Iterable[str]) -> str:
    """Return `` ; did you mean 'x'`` for the closest allowed name, else the empty string."""
    match = get_close_matches(str(found)[:QUOTED], list(map(str, allowed)), n=1, cutoff=0.6)
    return f"; did you mean {quoted(match[0])}" if match else ""


def one_line(error: Exception, most: int = 300) -> str:
    """Return what another library says of a mistake, without its line breaks, cut to this many characters."""
    return " ".join(str(error).split())[:most]


def library(name: str, user: str, extra: str) -> Any:
    """Return a module that is not always installed.

    Args:
        name: of the module.
        user: what needs it, for the sentence.
        extra: of this package, that installs it.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{user} needs {name}: pip install 'tutelage[{extra}]' ({error})"
        ) from error


def unknown(place: str, what: str, found: str, allowed: Iterable[str]) -> UserError:
    """Build the sentence for a name that does not exist.

    Args:
        place: dotted path in the recipe or command, for example ``distiller.soft.term``.
        what: the kind of thing that was looked up, for example ``term``.
        found: the name that was given.
        allowed: every name that would have been accepted.

    Returns:
        The error; the caller raises it.

    Examples:
        >>> str(unknown("stages.base", "key", "seeed", ["seed", "epochs"]))
        "stages.base: unknown key 'seeed'; did you mean 'seed' (allowed: epochs, seed)"
    """
    names = sorted(map(str, allowed))
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listed = ", ".join(name[:QUOTED] for name in names[:LISTED])
    return UserError(
        f"{place}: unknown {what} {quoted(found)}{near(found, names)} (allowed: {listed}{more})"
    )


def system_sentence(error: OSError) -> str:
    """Return what the file system refused, in a sentence: where, and why.

    Examples:
        >>> system_sentence(OSError(errno.ENOSPC, "No space left on device", "runs/it/run.json"))
        'runs/it/run.json: the disk is full; free some room'
    """
    why = (_STORAGE | _OTHER).get(
        error.errno or 0
    ) or f"{error.strerror or error} (errno {error.errno})"
    return why if error.filename is None else f"{str(error.filename)[:200]}: {why}"


def is_storage(error: BaseException) -> bool:
    """Return whether a disk or its permissions refused something: no property of what was being done."""
    return isinstance(error, OSError) and error.errno in _STORAGE


def within(interval: str, **values: object) -> None:
    """Refuse numbers that are outside an interval, or not a number; what is no number (None, a schedule) passes.

    Args:
        interval: such as ``(0, 2]``; a round bracket leaves its end out, so ``[0, inf)`` wants a finite number.
        values: by the name of the argument.

    Raises:
        UserError: a value is outside.

    Examples:
        >>> within("(0, inf)", temperature=4.0, scale=-1)
        Traceback (most recent call last):
        tutelage.errors.UserError: scale: -1 must be > 0
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    for name, value in values.items():
        if not isinstance(value, int | float):
            continue
        above = value >= low if interval[0] == "[" else value > low
        below = value <= high if interval[-1] == "]" else value < high
        if not (above and below):
            rule = (
                f"{'>=' if interval[0] == '[' else '>'} {low:g}"
                if isinf(high)
                else f"in {interval}"
            )
            finite = "" if isfinite(value) else " and finite"
            raise UserError(f"{name}: {value} must be {rule}{finite}")
