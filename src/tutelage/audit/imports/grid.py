"""Cells in rows, and the tables that stand in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.audit.imports.cells import Value, is_empty, number_in
from tutelage.audit.imports.workbooks import letters


@dataclass(frozen=True)
class Grid:
    """All cells of a sheet, or of a file of separated values.

    Args:
        name: ``file!sheet``, or ``file``.
        rows: [rows][columns]; rows may be of unequal length.
    """

    name: str
    rows: Sequence[Sequence[Value]]

    def place(self, row: int, column: int) -> str:
        """Return the place of a cell as a spreadsheet writes it."""
        return f"{self.name}!{letters(column)}{row + 1}"


@dataclass(frozen=True)
class Block:
    """One table in a grid: its title and its cells, all rows of one length.

    Args:
        grid: where it stands.
        title: above it, or empty.
        top: row of the first line of cells.
        left: column of the first cell.
        rows: its cells.
    """

    grid: Grid
    title: str
    top: int
    left: int
    rows: list[list[Value]]

    def place(self, row: int, column: int) -> str:
        """Return the place of one of its cells."""
        return self.grid.place(self.top + row, self.left + column)


def blocks(grid: Grid) -> Iterator[Block]:
    """Cut a grid at its empty rows, and each part at its empty columns, into tables with titles.

    A line with a single text is the title of the table below it.
    """
    title = ""
    for top, bottom in _runs([any(map(_full, row)) for row in grid.rows]):
        width = max(len(row) for row in grid.rows[top:bottom])
        rows = [[*row, *[None] * (width - len(row))] for row in grid.rows[top:bottom]]
        for left, right in _runs([any(_full(row[c]) for row in rows) for c in range(width)]):
            part = [row[left:right] for row in rows]
            block = _titled(grid, title, top, left, part)
            if len(block.rows) > 1 and any(number_in(cell) for row in block.rows for cell in row):
                yield block
                title = ""
            else:
                title = block.title or _only_text(part) or title


def _titled(grid: Grid, title: str, top: int, left: int, rows: list[list[Value]]) -> Block:
    """Take single texts off the top of a table and put them into its title; drop empty lines."""
    titles = [title] if title else []
    while rows:
        filled = [cell for cell in rows[0] if not is_empty(cell)]
        if len(filled) > 1 or (len(filled) == 1 and (len(rows[0]) == 1 or number_in(filled[0]))):
            break
        titles += [str(cell).strip() for cell in filled]
        top, rows = top + 1, rows[1:]
    while rows and not any(map(_full, rows[-1])):
        rows = rows[:-1]
    return Block(grid, "; ".join(dict.fromkeys(titles)), top, left, rows)


def _only_text(rows: list[list[Value]]) -> str:
    filled = [cell for row in rows for cell in row if not is_empty(cell)]
    return filled[0].strip() if len(filled) == 1 and isinstance(filled[0], str) else ""


def _full(cell: Value) -> bool:
    return cell is not None and cell != ""


def _runs(filled: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Return the stretches of true values, as (first, one after the last)."""
    start: int | None = None
    for at, full in enumerate([*filled, False]):
        if full and start is None:
            start = at
        elif not full and start is not None:
            yield start, at
            start = None
