"""One cell of a table as a number with its spread, a broken number, a text, or nothing."""

import re
from dataclasses import dataclass

Value = str | float | None
"""What a spreadsheet or a CSV file holds in a cell."""

NOTHING = frozenset({"", "-", "--", "–", "—", "n/a", "na", "n.a.", "tbd", "?", "x", "...", "…"})
BROKEN = frozenset({"nan", "inf", "-inf", "diverged", "failed", "fail", "oom", "error", "crashed",
                    "#div/0!", "#n/a", "#value!", "#ref!", "#num!", "#name?"})  # fmt: skip

_NUMBER = r"[-+−]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?"
_CELL = re.compile(
    rf"(?P<value>{_NUMBER})\s*(?P<percent>%)?\s*"
    rf"(?:(?:±|\+/-|\+-|\\pm)\s*(?P<spread>{_NUMBER})|\(\s*(?P<bracket>{_NUMBER})\s*\))?\s*%?\s*[*†‡]*"
)


@dataclass(frozen=True)
class Number:
    """A number in a cell; ``value`` is None where the text says that it broke."""

    value: float | None
    spread: float | None
    text: str


def number_in(cell: Value) -> Number | None:
    """Return the number of a cell, or None where it holds a text or nothing.

    Example:
        >>> number_in("85.27 ± 2,50")
        Number(value=85.27, spread=2.5, text='85.27 ± 2,50')
        >>> number_in("NaN")
        Number(value=None, spread=None, text='NaN')
        >>> number_in("WRN16-1") is None
        True
    """
    if isinstance(cell, float):
        return Number(cell, None, f"{cell:.10g}") if cell == cell else Number(None, None, "nan")  # noqa: PLR0124
    if cell is None:
        return None
    text = cell.strip()
    if text.lower() in BROKEN:
        return Number(None, None, text)
    match = _CELL.fullmatch(text)
    if match is None:
        return None
    spread = match["spread"] or match["bracket"]
    return Number(_float(match["value"]), None if spread is None else _float(spread), text)


def is_empty(cell: Value) -> bool:
    """Whether a cell holds nothing, or a dash that stands for nothing."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in NOTHING)


def label_of(cell: Value) -> str:
    """Return a cell as a label: 0.5 is ``0.5`` and 3.0 is ``3``."""
    if is_empty(cell):
        return ""
    return f"{cell:g}" if isinstance(cell, float) else str(cell).strip()


def digits(text: str) -> int:
    """Return how many decimals a number has as it stands; what rounding may have taken is half of the last.

    Example:
        >>> digits("85.27 ± 2.5"), digits("86")
        (2, 0)
    """
    match = re.search(r"\d+[.,](\d+)", text)
    return len(match[1]) if match else 0


def _float(text: str) -> float:
    return float(text.replace("−", "-").replace(",", "."))
