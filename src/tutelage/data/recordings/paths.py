"""Which files a pattern names, and what their paths say: ``data/{subject}/*.csv``."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from tutelage.data.names import natural
from tutelage.errors import UserError, quoted

_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Found:
    """One file, and what its path says by the names in the pattern."""

    path: Path
    fields: dict[str, str]


def fields_of(patterns: tuple[str, ...]) -> set[str]:
    """Return the names in braces."""
    return {name for pattern in patterns for name in _FIELD.findall(pattern)}


def matching(patterns: tuple[str, ...], place: str) -> list[Found]:
    """Return all files of the patterns, each once, in natural order of their paths.

    Args:
        patterns: as a shell has them (``*``, ``?``, ``**``); ``{subject}`` stands for a part of one name. Relative
            ones start at the working directory.
        place: which argument, for the sentence.

    Raises:
        UserError: a pattern names no file, or a folder.
    """
    found: dict[str, Found] = {}
    for pattern in patterns:
        expression = _expression(pattern)
        wide = str(Path(_FIELD.sub("*", pattern)).expanduser())
        if Path(wide).is_dir():
            raise UserError(
                f"{place}: found the folder {quoted(pattern)}, allowed is a pattern of files in it, such as "
                f"{Path(pattern) / '*.csv'}"
            )
        paths = sorted(glob.glob(wide, recursive=True), key=natural)  # noqa: PTH207 (of any folder)
        for path in paths:
            match = expression.fullmatch(path)
            if match and Path(path).is_file():
                found.setdefault(path, Found(Path(path), match.groupdict()))
        if not paths:
            raise UserError(
                f"{place}: found no file for {quoted(pattern)} (looked in {Path(_base(wide)).absolute()})"
            )
    return sorted(found.values(), key=lambda one: natural(str(one.path)))


def _expression(pattern: str) -> re.Pattern[str]:
    """Return what a path of the pattern looks like, with a group for each name in braces."""
    text, seen = "", set[str]()
    for part in re.split(r"(\{\w+\}|\*\*/|\*|\?)", str(Path(pattern).expanduser())):
        name = part[1:-1] if _FIELD.fullmatch(part) else ""
        if name:
            text += f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)"
            seen.add(name)
        else:
            text += {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(text)


def _base(wide: str) -> str:
    """Return the longest folder of a pattern that holds no wildcard."""
    parts = Path(wide).parent.parts
    plain = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return str(Path(*parts[:plain])) if plain else "."
