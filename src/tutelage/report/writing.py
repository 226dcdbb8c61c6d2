"""Files of a report: whole or not at all, each set of options its own, and one sentence if there is no room."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tutelage.errors import UserError, system_sentence
from tutelage.files import replacing

LONGEST = 80
"""Letters of a file name without its suffix."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the system says of a full disk or a folder without permission into one sentence.

    Raises:
        UserError: a file could not be written; what stood there before is still there.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder}: not written; {system_sentence(error)}") from None


def write(path: Path, content: bytes) -> Path:
    """Write a file that replaces what was there when it is whole, and return its path."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)
    return path


def name_of(kind: str, options: Mapping[str, object]) -> str:
    """Return the name of files that were asked for with these options; other options have another name.

    Examples:
        >>> name_of("table", {}), name_of("comparison", {"against": {"weight": "low"}})
        ('table', 'comparison-against-weight-low')
    """
    text = "-".join([kind, *(f"{key}-{_text(value)}" for key, value in options.items())])
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    if name == text and len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "-".join(f"{key}-{inner}" for key, inner in value.items())
    return "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
