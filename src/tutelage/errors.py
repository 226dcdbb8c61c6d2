"""One sentence for a user's mistake: place, what was found, what is allowed, the near name."""

import importlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class UserError(ValueError):
    """A mistake in a recipe, a command or a data folder; shown as one sentence, never as a traceback."""


def near(found: str, allowed: Iterable[str]) -> str:
    """Return `` ; did you mean 'x'`` for the closest allowed name, else the empty string."""
    match = get_close_matches(found, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}" if match else ""


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

    Example:
        >>> str(unknown("stages.base", "key", "seeed", ["seed", "epochs"]))
        "stages.base: unknown key 'seeed'; did you mean 'seed' (allowed: epochs, seed)"
    """
    names = sorted(allowed)
    return UserError(
        f"{place}: unknown {what} {found!r}{near(found, names)} (allowed: {', '.join(names)})"
    )
