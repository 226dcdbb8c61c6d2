"""One cell of a table as a number with its spread, a broken number, a text, or nothing."""

import re
from dataclasses import dataclass
from math import isnan

Value = str | float | None
"""What a spreadsheet or a CSV file holds in a cell."""

NOTHING = frozenset({"", "-", "--", "–", "—", "n/a", "na", "n.a.", "tbd", "?", "x", "...", "…"})
BROKEN = frozenset({"nan", "inf", "-inf", "diverged", "failed", "fail", "oom", "error", "crashed",
                    "#div/0!", "#n/a", "#value!", "#ref!", "#num!", "#name?"})  # fmt: skip

_NUMBER = r"[-+−]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?"
# Of texts whose white space is single blanks: a pattern that allows any would take minutes for a cell of blanks.
_CELL = re.compile(
    rf"(?P<value>{_NUMBER}) ?%? ?"
    rf"(?:(?:±|\+/-|\+-|\\pm) ?(?P<spread>{_NUMBER})|\( ?(?P<bracket>{_NUMBER}) ?\))? ?%? ?(?P<mark>[*†‡]*)"
)
_LONGEST = 100
"""Characters of a cell that may be a number."""


@dataclass(frozen=True)
class CellNumber:
    """A number in a cell; ``value`` is None where the text says that it broke, or is a bare formula."""

    value: float | None
    spread: float | None
    text: str
    mark: str = ""


def number_in(cell: Value) -> CellNumber | None:
    """Return the number of a cell, or None where it holds a text or nothing.

    Examples:
        >>> number_in("85.27 ± 2,50")
        CellNumber(value=85.27, spread=2.5, text='85.27 ± 2,50', mark='')
        >>> number_in("NaN")
        CellNumber(value=None, spread=None, text='NaN', mark='')
        >>> number_in("WRN16-1") is None
        True
    """
    if cell is None:
        return None
    if isinstance(cell, float):
        return (
            CellNumber(None, None, "nan") if isnan(cell) else CellNumber(cell, None, f"{cell:.10g}")
        )
    text = cell if cell.startswith("=") else " ".join(cell.split())
    if cell.startswith("=") or text.lower() in BROKEN:
        return CellNumber(None, None, text)
    match = _CELL.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    spread = match["spread"] or match["bracket"]
    return CellNumber(
        _float(match["value"]), None if spread is None else _float(spread), text, match["mark"]
    )


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

    Examples:
        >>> digits("85.27 ± 2.5"), digits("86")
        (2, 0)
    """
    match = re.search(r"\d+[.,](\d+)", text)
    return len(match[1]) if match else 0


def _float(text: str) -> float:
    return float(text.replace("−", "-").replace(",", "."))
