"""One rule for names: what people call stages, modalities, groups, experiments becomes part of paths."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote

from tutelage.errors import UserError, quoted

__all__ = ["path_part", "refuse_names"]

_BYTES = 100  # of a name; a file system allows 255, and a hash or an ending is added
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{i}" for port in ("com", "lpt") for i in range(10)),
}
_ALLOWED = (
    'allowed: at most 100 bytes, without / \\ : * ? " < > | and control characters, not beginning with a dot, not '
    "beginning or ending with a space, not ending with a dot"
)


def refuse_names(names: Iterable[str], place: str) -> None:
    """Refuse names that cannot be part of a path on every system, and names that are one on some.

    Args:
        names: of things of one kind, which stand side by side.
        place: where in the recipe or command, for errors.

    Raises:
        UserError: which name, and what is allowed.
    """
    known: dict[str, str] = {}
    for name in names:
        if not _is_sound(name):
            raise UserError(f"{place}: found the name {quoted(name)}; {_ALLOWED}")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in known:
            raise UserError(
                f"{place}: {quoted(known[folded])} and {quoted(name)} are one name where capitals do not count"
            )
        known[folded] = name


def path_part(name: str) -> str:
    """Return a name from data as a part of a path: itself where it is sound, else spelled out.

    Examples:
        >>> path_part("fold-1-of-3"), path_part("../1")
        ('fold-1-of-3', '%2E%2E%2F1-9a6ac8d5')
    """
    if _is_sound(name):
        return name
    letters = (
        f"%{byte:02X}" for byte in name[:1].encode(errors="replace")
    )  # also where it is a sound letter
    spelled = "".join(letters) + quote(name[1:40], safe="", errors="replace").replace(".", "%2E")
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{spelled[:80]}-{digest}"


def _is_sound(name: str) -> bool:
    return (
        0 < len(name.encode(errors="surrogatepass")) <= _BYTES
        and not _FORBIDDEN.search(name)
        and name == name.strip()
        and not name.startswith(".")
        and not name.endswith(".")
        and name.partition(".")[0].casefold() not in _DEVICES
        and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in name)
    )
