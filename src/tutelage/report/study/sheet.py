"""The table of a study as a spreadsheet: the table, the runs behind each cell, and what is missing."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tutelage.errors import UserError
from tutelage.inert import FORMULA, printable
from tutelage.report.cells import Link, no_link
from tutelage.report.study.table import HOLE, StudyTable, missing_in
from tutelage.report.table import Table

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["study_sheet"]

RUNS = "runs"
HEADER = ("group", "row", "column", "cell", "stage", "fold", "seed", "value", "counts", "reason",
          "fingerprint", "folder")  # fmt: skip


def study_sheet(table: StudyTable, link: Link = no_link) -> bytes:
    """Return an .xlsx file.

    A cell with one number is a number, shown with its spread by its format, so that it can be computed with;
    several methods in one cell are text. Every cell links to its runs on the second sheet, every run to its
    folder.

    Args:
        table: with its numbers.
        link: makes the address of a run's folder.

    Raises:
        UserError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise UserError(
            "xlsx: openpyxl is not installed; install it with: pip install 'tutelage[study]'"
        ) from None
    from io import BytesIO

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "table"
    first = _runs(book, table, link)
    _table(sheet, table, first)
    _plain(book, missing_in(table.ledger), "missing")
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def _table(sheet: "Worksheet", table: StudyTable, first: dict[tuple[int, int], int]) -> None:
    from openpyxl.comments import Comment
    from openpyxl.styles import Alignment, Font
    from openpyxl.worksheet.hyperlink import Hyperlink

    quiet = Font(italic=True, color="5C6778")
    _put(sheet, 1, 1, table.title).font = Font(bold=True, size=14)
    grouped = any(row.group for row in table.layout.rows)
    _heading(
        sheet, [*(["group"] if grouped else []), table.layout.corner, *table.layout.columns], 3
    )
    shown, before = table.table(), None
    for at, (row, line) in enumerate(zip(table.layout.rows, shown.rows, strict=True)):
        line_at = at + 4
        left = [row.group if row.group != before else None, row.name] if grouped else [row.name]
        before = row.group
        for column, text in enumerate(left, 1):
            _put(sheet, line_at, column, text)
        for number, cell in enumerate(line.cells[1:]):
            slot = table.slots[at][number]
            column = len(left) + 1 + number
            value, form = _value(table, slot, cell.plain)
            target = _put(sheet, line_at, column, value)
            target.alignment = Alignment(horizontal="right")
            if form:
                target.number_format = form
            if cell.note:
                target.comment = Comment(printable(cell.note), "tutelage", width=420, height=140)
            if (at, number) in first:
                link = f"'{RUNS}'!A{first[at, number]}"
                target.hyperlink = Hyperlink(ref=target.coordinate, location=link, display=None)
    end = len(shown.rows) + 5
    _put(sheet, end, 1, table.caption).font = quiet
    sheet.freeze_panes = sheet.cell(4, 3 if grouped else 2)
    _widths(sheet, skip=(1, end))


def _value(table: StudyTable, slot: tuple[Any, ...], text: str) -> tuple[str | float | None, str]:
    """Return what a cell holds and how it is shown: a number keeps its value, its spread stands in the format."""
    if len(slot) != 1 or slot[0] is None or slot[0].made.mean is None:
        return text or None, ""
    digits = f"0.{'0' * table.spec.digits}" if table.spec.digits else "0"
    after = text.partition(" ")[2].replace('"', "'")
    return table.spec.scale * slot[0].made.mean, f'{digits}" {after}"' if after else digits


def _runs(book: "Workbook", table: StudyTable, link: Link) -> dict[tuple[int, int], int]:
    """Write the runs and return, by row and column of the table, the line where those of a cell begin."""
    from openpyxl.styles import Font

    sheet = book.create_sheet(RUNS)
    _heading(sheet, HEADER)
    first: dict[tuple[int, int], int] = {}
    line = 2
    for at, row in enumerate(table.layout.rows):
        for number, column in enumerate(table.layout.columns):
            for values, address in _lines(table, at, number, link):
                first.setdefault((at, number), line)
                for across, value in enumerate([row.group, row.name, column, *values], 1):
                    _put(sheet, line, across, value)
                if address:
                    target = sheet.cell(line, len(HEADER))
                    target.hyperlink = address
                    target.font = Font(color="0563C1", underline="single")
                line += 1
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{sheet.cell(max(line - 1, 1), len(HEADER)).coordinate}"
    _widths(sheet)
    return first


def _lines(
    table: StudyTable, at: int, column: int, link: Link
) -> Iterator[tuple[tuple[Any, ...], str]]:
    names = table.ledger.fold_names
    for number in table.slots[at][column]:
        if number is None:
            continue
        for run in sorted(number.part.runs, key=lambda run: run.key):
            value = number.made.values.get(run.key)
            yield (
                number.part.cell.name, number.part.stage, names.get(run.fold, run.fold), run.seed,
                None if value is None else table.spec.scale * value,
                "no" if value is None else "yes", number.made.left_out.get(run.key, ""),
                run.fingerprint[:10], f"{number.part.cell.record.path}/{run.path}",
            ), link(run)  # fmt: skip
        for reason in number.part.reasons:
            yield (
                (number.part.cell.name, number.part.stage, None, None, None, HOLE, reason, "", ""),
                "",
            )


def _plain(book: "Workbook", table: Table, title: str) -> None:
    sheet = book.create_sheet(title)
    _heading(sheet, [column.title for column in table.columns])
    for line, row in enumerate(table.rows, 2):
        for across, shown in enumerate(row.cells, 1):
            _put(sheet, line, across, shown.text)
    _widths(sheet)


def _put(sheet: "Worksheet", row: int, column: int, value: Any) -> Any:
    """Write a cell; text that begins like a formula stays text, also after it was edited."""
    text = isinstance(value, str)
    cell = sheet.cell(row, column, printable(value) if text else value)
    if text:
        cell.data_type = "s"
        cell.quotePrefix = value.startswith(FORMULA)
    return cell


def _heading(sheet: "Worksheet", titles: Iterable[str], row: int = 1) -> None:
    """Write a row of titles."""
    from openpyxl.styles import Font

    for column, title in enumerate(titles, 1):
        _put(sheet, row, column, title).font = Font(bold=True)


def _widths(sheet: "Worksheet", skip: tuple[int, ...] = ()) -> None:
    from openpyxl.utils import get_column_letter

    for at, column in enumerate(sheet.iter_cols(), 1):
        lengths = [len(str(cell.value)) + (12 if '"' in cell.number_format else 0)
                   for cell in column if cell.value is not None and cell.row not in skip]  # fmt: skip
        sheet.column_dimensions[get_column_letter(at)].width = min(max([8, *lengths]) + 2, 48)
