"""Text of others that is shown and not obeyed: by terminals, by pages, and by spreadsheets that read CSV."""

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["FORMULA", "cell_text", "csv_cell", "csv_text", "printable"]

FORMULA = tuple("=+-@\t\r＝＋－＠")
"""What text begins with that a spreadsheet would compute."""

_HIDDEN = {"\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"}
"""Marks that turn the direction of what follows."""

_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def printable(text: str) -> str:
    r"""Show characters that control a device, or turn text around, as their escapes; line ends and tabs stay.

    Examples:
        >>> print(printable("a\x00b"), printable("50 µm, ok"))
        a\x00b 50 µm, ok
    """
    if text.isprintable():
        return text
    return "".join(character.encode("unicode_escape").decode() if _controls(character) else character
                   for character in text)  # fmt: skip


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return CSV with a header line; no spreadsheet takes a text of it for a formula, and numbers stay numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, header))
    writer.writerows(map(csv_cell, row) for row in rows)
    return text.getvalue()


def csv_cell(value: object) -> object:
    r"""Write an apostrophe before what would be a formula, as spreadsheets do, and controls as escapes.

    :func:`cell_text` gives the same text again: an apostrophe that would be taken for one of ours gets another,
    and a backslash that would be read as the beginning of an escape is written as one itself.

    Examples:
        >>> csv_cell("=1+1"), csv_cell("-2.5"), csv_cell(-2.5), csv_cell("'tis")
        ("'=1+1", '-2.5', -2.5, "'tis")
    """
    if not isinstance(value, str):
        return value
    text = _ESCAPE.sub(
        lambda match: f"\\x5c{match[0][1:]}" if _meant(match[0]) else match[0], value
    )
    text = text.replace("\r", r"\x0d")  # its escape otherwise, \r, stands in many a path
    return printable(f"'{text}" if _live(value) else text)


def cell_text(cell: str) -> str:
    """Return the text that :func:`csv_cell` wrote, from the cell as it is read."""
    text = _ESCAPE.sub(lambda match: _meant(match[0]) or match[0], cell)
    return text[1:] if text.startswith("'") and _live(text) else text


def _controls(character: str) -> bool:
    if character in "\n\t":
        return False
    nothing = ord(character) & 0xFFFE == 0xFFFE  # of these code points XML knows none
    return nothing or character in _HIDDEN or unicodedata.category(character) in ("Cc", "Cs")


def _meant(escape: str) -> str:
    """Return the character that an escape stands for, where we write that one as an escape; else nothing."""
    number = int(escape[2:], 16)
    character = chr(number) if number <= 0x10FFFF else ""
    return character if character and (character == "\\" or _controls(character)) else ""


def _live(text: str) -> bool:
    """Return whether a spreadsheet would compute a text; apostrophes before it do not count."""
    text = text.lstrip("'")
    return text.startswith(FORMULA) and not _is_number(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text == text.strip()
    except ValueError:
        return False
