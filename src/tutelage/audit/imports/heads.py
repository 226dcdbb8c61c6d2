"""The head of a table: what each column holds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tutelage.audit.imports.cells import Value, is_empty, label_of, number_in
from tutelage.audit.imports.grid import Block
from tutelage.audit.imports.names import setting_named, settings_in, without_settings

Role = Literal["label", "setting", "note", "value", "spread", "n"]

_MEAN = re.compile(r"^(?:mean|average|avg\.?|mu|μ)$", re.IGNORECASE)
_SPREAD = re.compile(
    r"^(?:±|\+/?-|std\.?(?: ?dev(?:iation)?)?|stdev|sd|sem|se|ste|spread|sigma|σ|error)$",
    re.IGNORECASE,
)
_DIVIDED = re.compile(r"(?:sd|std)\s*/\s*(?:sqrt|√|\\sqrt)?\W?\w+\W?", re.IGNORECASE)
_NAMES = {"std": "SD", "stdev": "SD", "sd": "SD", "sigma": "SD", "σ": "SD", "sem": "SD/√n", "se": "SD/√n",
          "ste": "SD/√n"}  # fmt: skip
_BEST = re.compile(r"^(?:best|max|maximum|top)$", re.IGNORECASE)
_NOTE = re.compile(r"note|comment|remark|path|file|log|date|link|checkpoint|who", re.IGNORECASE)
_LABEL = re.compile(
    r"method|model|network|teacher|student|modality|group|arch|row|name|setting|loss|data ?set|corruption",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        at: its number in the table.
        role: what it holds.
        label: its head, without the words that tell the role.
        key: name of the setting, where it holds one.
        settings: what its head tells of all its numbers.
        spread_name: the words of its head, where it holds spreads.
    """

    at: int
    role: Role
    label: str = ""
    key: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    spread_name: str = ""


def head_of(block: Block) -> tuple[list[Column], int]:
    """Return the columns of a table, and how many lines its head has."""
    lines = _lines(block.rows)
    head = [_filled(row) for row in block.rows[: max(lines - 1, 0)]]
    head += [[label_of(cell) for cell in row] for row in block.rows[max(lines - 1, 0) : lines]]
    body = block.rows[lines:]
    columns = []
    for at in range(len(block.rows[0])):
        parts = [label for row in head if (label := row[at])]
        columns.append(_column(at, list(dict.fromkeys(parts)), [row[at] for row in body]))
    if not any(column.role in ("label", "setting") for column in columns):
        columns[0] = Column(0, "label", columns[0].label)
    return columns, lines


def spread_name(text: str) -> str:
    """Return what people call a spread in one form; empty where ± alone is said.

    Examples:
        >>> spread_name("Std. dev"), spread_name("SEM"), spread_name("std/sqrt(26)"), spread_name("±")
        ('SD', 'SD/√n', 'SD/√26', '')
    """
    word = re.sub(r"[\s.]|dev(iation)?$", "", text.lower())
    if "/" in word:
        return "SD/√" + re.sub(r"sqrt|\W", "", word.partition("/")[2])
    return _NAMES.get(word, "")


def _lines(rows: list[list[Value]]) -> int:
    """Return how many lines the head has: texts above numbers, or settings above numbers."""
    first = rows[0]
    texts = [cell for cell in first[1:] if not is_empty(cell) and number_in(cell) is None]
    corner = label_of(first[0])
    named = is_empty(first[0]) or setting_named(corner) or _LABEL.search(corner)
    if not texts and not named:
        return 0
    lines = 1
    while lines < min(3, len(rows) - 1):
        filled = [cell for cell in rows[lines] if not is_empty(cell)]
        if len(filled) < 2 or any(number_in(cell) for cell in filled):
            break
        lines += 1
    return lines


def _filled(row: Sequence[Value]) -> list[str]:
    """Return the labels of an upper line; a merged cell stands in its first column only."""
    labels: list[str] = []
    for at, cell in enumerate(row):
        label = label_of(cell)
        labels.append(label or (labels[-1] if at > 1 else ""))
    return labels


def _column(at: int, parts: list[str], cells: list[Value]) -> Column:
    text = " ".join(parts)
    key = setting_named(parts[-1]) if parts else None
    filled = [cell for cell in cells if not is_empty(cell)]
    numbers = [cell for cell in filled if number_in(cell)]
    if key in ("n", "windows") and len(parts) < 3:
        return Column(at, "n" if key == "n" else "setting", key=key)
    if key is not None and len(parts) == 1:
        return Column(at, "setting", key=key)
    if parts and _NOTE.search(parts[-1]) and len(numbers) < len(filled):
        return Column(at, "note", text)
    if (at == 0 and (not parts or _LABEL.fullmatch(parts[-1]))) or len(numbers) * 2 < len(filled):
        return Column(at, "label", text)
    return _measured(at, parts, text)


def _measured(at: int, parts: list[str], text: str) -> Column:
    """Tell means, best values, spreads and single runs by the words of the head."""
    words = [word for part in parts for word in re.split(r"[\s_,()]+", part) if word]
    settings = settings_in(text)
    rest = [word for word in words if not any(p.match(word) for p in (_MEAN, _SPREAD, _BEST))]
    label = without_settings(" ".join(rest)) if settings else " ".join(rest)
    spread = _DIVIDED.search(text) or next(filter(None, map(_SPREAD.match, words)), None)
    if spread is not None:
        label = _DIVIDED.sub("", label).strip(" ()")
        return Column(at, "spread", label, spread_name=spread_name(spread[0]))
    if any(_BEST.match(word) for word in words):
        settings.setdefault("rule", "best")
    elif any(_MEAN.match(word) for word in words):
        settings.setdefault("rule", "mean")
    return Column(at, "value", label, settings=settings)
