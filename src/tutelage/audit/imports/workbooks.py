"""What stands in a spreadsheet before it is read as a whole: how far it reaches, and formulas without values.

A reader of spreadsheets allocates the rectangle from the first cell to the last one. One stray value in the last
corner of a sheet makes that hundreds of gigabytes, so the corner is looked for first, cell by cell.
"""

import io
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError, iterparse

from tutelage.errors import UserError

MOST_CELLS = 5_000_000
"""Of the rectangle of one sheet; more is no table of results."""
MOST_BYTES = 500_000_000
"""Of one unpacked sheet."""

_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9]\d{0,6})")
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"


@dataclass
class Extent:
    """How far the cells of a sheet reach.

    Args:
        rows: up to the last one that holds anything.
        columns: likewise.
        formulas: (row, column) from 0 -> formula, of cells whose value was never stored.
    """

    rows: int = 0
    columns: int = 0
    formulas: dict[tuple[int, int], str] = field(default_factory=dict)

    def reach(self, row: int, column: int) -> None:
        """Take a cell in, counted from 0."""
        self.rows, self.columns = max(self.rows, row + 1), max(self.columns, column + 1)


def extents(path: Path, content: bytes) -> list[Extent]:
    """Return the extent of every sheet, in the order of the workbook; none of a format that cannot be that large.

    Args:
        path: of the file, for its ending and for errors.
        content: of the file.

    Raises:
        UserError: a sheet is too large to be read, or the file is damaged.
    """
    look = {".xlsx": _open_xml, ".xlsm": _open_xml, ".xlsb": _binary, ".ods": _open_document}
    ending = path.suffix.lower()
    if ending not in look:
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            sheets = list(look[ending](book))
    except (
        zipfile.BadZipFile,
        ParseError,
        RuntimeError,
        KeyError,
        struct.error,
        ValueError,
    ) as error:
        raise UserError(f"{path}: not readable as a spreadsheet ({error})") from None
    for number, extent in enumerate(sheets, 1):
        if extent.rows * extent.columns > MOST_CELLS:
            corner = f"{letters(extent.columns - 1)}{extent.rows}"
            raise UserError(
                f"{path}: sheet {number} reaches to {corner}, a table of {extent.rows * extent.columns:,} cells "
                f"(allowed: {MOST_CELLS:,}); clear what stands far from the tables"
            )
    return sheets


def letters(column: int) -> str:
    """Return the name of a column, counted from 0.

    Examples:
        >>> letters(0), letters(26), letters(16383)
        ('A', 'AA', 'XFD')
    """
    name, left = "", column + 1
    while left:
        left, digit = divmod(left - 1, 26)
        name = chr(65 + digit) + name
    return name


def _open_xml(book: zipfile.ZipFile) -> Iterator[Extent]:
    relations = {
        part.get("Id"): part.get("Target", "")
        for part in _parts(book, "xl/_rels/workbook.xml.rels")
        if part.tag.endswith("}Relationship")
    }
    for part in _parts(book, "xl/workbook.xml"):
        if part.tag == f"{_MAIN}sheet":
            key = next((value for name, value in part.attrib.items() if name.endswith("}id")), None)
            target = relations.get(key, "")
            name = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            yield _sheet(book, name) if name in book.NameToInfo else Extent()


def _sheet(book: zipfile.ZipFile, name: str) -> Extent:
    extent, row, column = Extent(), -1, -1
    for part in _parts(book, name):
        if part.tag != f"{_MAIN}c":
            continue
        match = _REFERENCE.fullmatch(part.get("r", ""))
        if match:
            row, column = int(match[2]) - 1, _column(match[1])
        else:
            column += 1  # cells without a reference follow each other
        formula, value = part.find(f"{_MAIN}f"), part.find(f"{_MAIN}v")
        if formula is not None and (value is None or not value.text):
            extent.formulas[row, column] = f"={formula.text or ''}"
        if formula is not None or len(part):
            extent.reach(max(row, 0), column)
    return extent


def _open_document(book: zipfile.ZipFile) -> Iterator[Extent]:
    extent, row, column = Extent(), 0, 0
    for part in _parts(book, "content.xml"):
        if part.tag in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            column += int(part.get(f"{_TABLE}number-columns-repeated", 1))
            if len(part) or part.get(f"{_TABLE}formula"):
                extent.reach(row, column - 1)
        elif part.tag == f"{_TABLE}table-row":
            repeated = int(part.get(f"{_TABLE}number-rows-repeated", 1))
            if column and extent.rows == row + 1:
                extent.reach(row + repeated - 1, 0)
            row, column = row + repeated, 0
        elif part.tag == f"{_TABLE}table":
            yield extent
            extent, row, column = Extent(), 0, 0


def _binary(book: zipfile.ZipFile) -> Iterator[Extent]:
    """Read the row and cell records of .xlsb: type and length as 7 bits a byte, then the content."""
    for name in sorted(book.namelist()):
        if re.fullmatch(r"xl/worksheets/sheet\d+\.bin", name):
            content, at, extent, row = _unpacked(book, name).read(), 0, Extent(), 0
            while at < len(content):
                kind, at = _seven(content, at)
                length, at = _seven(content, at)
                if kind == 0 and length >= 4:
                    (row,) = struct.unpack_from("<I", content, at)
                elif 1 < kind < 12 and length >= 4:
                    (column,) = struct.unpack_from("<I", content, at)
                    extent.reach(row, column)
                at += length
            yield extent


def _seven(content: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        if at >= len(content):
            raise ValueError("a record is cut")
        byte = content[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _parts(book: zipfile.ZipFile, name: str) -> Iterator[Element]:
    """Yield the elements of a member as they end; those of rows are forgotten at once."""
    for _, part in iterparse(_unpacked(book, name), events=("end",)):
        yield part
        if part.tag in (f"{_MAIN}row", f"{_TABLE}table-row"):
            part.clear()


def _unpacked(book: zipfile.ZipFile, name: str) -> IO[bytes]:
    size = book.getinfo(name).file_size
    if size > MOST_BYTES:
        raise ValueError(f"{name} unpacks to {size:,} bytes; allowed: {MOST_BYTES:,}")
    return book.open(name)


def _column(name: str) -> int:
    number = 0
    for letter in name:
        number = 26 * number + ord(letter) - 64
    return number - 1
