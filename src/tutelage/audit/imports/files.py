"""Spreadsheets and files of separated values as grids."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

from tutelage.audit.imports.cells import Value, number_in
from tutelage.audit.imports.grid import Grid
from tutelage.audit.imports.workbooks import extents
from tutelage.errors import UserError

SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
SEPARATED = {".csv": ",", ".tsv": "\t"}


def grids(path: Path) -> Iterator[Grid]:
    """Read every sheet of a spreadsheet, or a file of separated values.

    Only the values of cells are read. A spreadsheet whose cells name styles that do not exist, which other readers
    refuse, is read like any other.

    Args:
        path: local, or anything with ``read_bytes``.

    Raises:
        UserError: the file cannot be read.
    """
    if path.suffix.lower() in SEPARATED:
        yield Grid(path.name, _separated(path, SEPARATED[path.suffix.lower()]))
    else:
        yield from _sheets(path)


def _sheets(path: Path) -> Iterator[Grid]:
    try:
        import python_calamine as calamine
    except ImportError:
        raise UserError(
            f"{path}: spreadsheets need python-calamine; pip install 'tutelage[study]'"
        ) from None
    content = path.read_bytes()
    reached = extents(path, content)
    try:
        book = calamine.load_workbook(io.BytesIO(content))
        for number, name in enumerate(book.sheet_names):
            cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            rows = [[_value(cell) for cell in row] for row in cells]
            if number < len(reached):
                _put(rows, reached[number].formulas)
            yield Grid(f"{path.name}!{name}", rows)
    except (calamine.CalamineError, OSError) as error:
        raise UserError(f"{path}: not readable as a spreadsheet ({error})") from None


def _put(rows: list[list[Value]], formulas: Mapping[tuple[int, int], str]) -> None:
    """Put formulas where their values should be: an empty cell would say that nothing is there."""
    for (row, column), formula in formulas.items():
        rows += [[] for _ in range(row + 1 - len(rows))]
        rows[row] += [None] * (column + 1 - len(rows[row]))
        if rows[row][column] is None:
            rows[row][column] = formula


def _separated(path: Path, usual: str) -> list[list[Value]]:
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    often = [
        candidate
        for candidate in (";", "\t")
        if 2 * sum(candidate in line for line in lines) > len(lines)
    ]
    separator = (often or [usual])[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[_plain(cell) for cell in row] for row in rows]


def _value(cell: Any) -> Value:
    if isinstance(cell, bool) or isinstance(cell, date | time | timedelta):
        return str(cell)
    return float(cell) if isinstance(cell, int | float) else str(cell) or None


def _plain(cell: str) -> Value:
    """Keep a number as it stands, for its decimals tell how it was rounded."""
    return cell.strip() if cell.strip() or number_in(cell) else None
