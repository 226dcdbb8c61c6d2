"""A table whose cells know the runs behind them, and its Markdown, LaTeX and CSV."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tabulate import tabulate

from tutelage.framed import Framed
from tutelage.inert import csv_text, printable
from tutelage.report.writing import write

if TYPE_CHECKING:
    import pandas as pd

Value = float | int | str | None
Tone = Literal["", "better", "worse", "unsure", "bad", "quiet"]


@dataclass(frozen=True)
class SourceRun:
    """One run behind a cell; ``of`` tells several methods of one cell apart, ``link`` leads to its folder."""

    fold: str
    seed: int
    value: str
    path: str
    of: str = ""
    link: str = ""


@dataclass(frozen=True)
class TableCell:
    """What is shown, the plain value behind it, and where it comes from.

    Args:
        text: as shown.
        value: as written to CSV, unrounded.
        sub: a second, smaller line.
        spread: named spread of ``value``.
        interval: ends of the interval of ``value``.
        evidence: the runs behind it.
        note: one sentence shown above the runs.
        tone: colours the cell.
        heat: from 0 to 1, shades the cell; None leaves it plain.
        bar: from 0 to 1, draws a thin bar below the number; None draws none.
        link: where the text leads, on the page.
    """

    text: str
    value: Value = None
    sub: str = ""
    spread: float | None = None
    interval: tuple[float, float] | None = None
    evidence: tuple[SourceRun, ...] = ()
    note: str = ""
    tone: Tone = ""
    heat: float | None = None
    bar: float | None = None
    link: str = ""

    @property
    def plain(self) -> str:
        """Both lines on one."""
        if self.sub.startswith("±"):
            return f"{self.text} {self.sub}"
        return f"{self.text} ({self.sub})" if self.sub else self.text


@dataclass(frozen=True)
class TableColumn:
    """A column: key in CSV, title on the page."""

    key: str
    title: str
    unit: str = ""
    left: bool = False

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


def left(key: str, title: str = "", unit: str = "") -> TableColumn:
    """A column of words; its title is its key unless told otherwise."""
    return TableColumn(key, title or key, unit, left=True)


def stated(text: str, sub: str = "", tone: Tone = "") -> TableCell:
    """A cell whose value is what it shows."""
    return TableCell(text, text, sub=sub, tone=tone)


def counted(count: int) -> TableCell:
    """A cell with a whole number."""
    return TableCell(str(count), count)


@dataclass(frozen=True)
class Row:
    """A row, and the group it belongs to (``students``, ``teachers`` or none)."""

    cells: tuple[TableCell, ...]
    group: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Table(Framed):
    """A named table with a caption that says what its numbers are."""

    name: str
    caption: str
    columns: tuple[TableColumn, ...]
    rows: tuple[Row, ...]

    @property
    def grouped(self) -> list[tuple[str, list[Row]]]:
        """Rows by group, in order."""
        return [(name, list(rows)) for name, rows in groupby(self.rows, lambda row: row.group)]

    def markdown(self) -> str:
        """Return the table as GitHub Markdown."""
        body = [[_markdown(cell.plain) for cell in row.cells] for row in self.rows]
        headings = [_markdown(column.heading) for column in self.columns]
        aligned = ["left" if column.left else "right" for column in self.columns]
        table = tabulate(body, headings, "pipe", colalign=aligned if body else None,
                         disable_numparse=True)  # fmt: skip
        return f"{table}\n\n{_markdown(self.caption)}\n"

    def latex(self) -> str:
        """Return the table for ``booktabs``, caption as a comment, ready to be read in."""
        kinds = "".join("l" if column.left else "r" for column in self.columns)
        lines = [
            f"% {printable(' '.join(self.caption.split()))}",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
        ]
        lines += [_latex_row(column.heading for column in self.columns), r"\midrule"]
        group = self.rows[0].group if self.rows else ""
        for row in self.rows:
            if row.group != group:
                lines.append(r"\midrule")
            group = row.group
            lines.append(_latex_row(cell.plain for cell in row.cells))
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    @property
    def heading(self) -> str:
        """What its numbers are."""
        return self.caption

    def to_frame(self) -> "pd.DataFrame":
        """Return unrounded values; spreads and intervals have columns of their own."""
        import pandas as pd

        header, rows = self._values()
        return pd.DataFrame(rows, columns=header)

    def csv(self) -> str:
        """Return unrounded values; spreads and intervals have columns of their own."""
        return csv_text(*self._values())

    def _values(self) -> tuple[list[str], list[list[Value]]]:
        extra = [_extras(self.rows, i) for i in range(len(self.columns))]
        header = [
            f"{column.key}{suffix}"
            for column, suffixes in zip(self.columns, extra, strict=True)
            for suffix in ("", *suffixes)
        ]
        rows = [
            [value for cell, suffixes in zip(row.cells, extra, strict=True)
             for value in _values(cell, suffixes)]
            for row in self.rows
        ]  # fmt: skip
        return header, rows

    def write(self, folder: Path, name: str = "") -> tuple[Path, ...]:
        """Write the three files under the name of the table, or another, and return their paths."""
        made = {"md": self.markdown(), "tex": self.latex(), "csv": self.csv()}
        return tuple(write(folder / f"{name or self.name}.{suffix}", text.encode())
                     for suffix, text in made.items())  # fmt: skip


def _extras(rows: tuple[Row, ...], column: int) -> tuple[str, ...]:
    cells = [row.cells[column] for row in rows]
    spreads = ("_spread",) if any(cell.spread is not None for cell in cells) else ()
    intervals = ("_low", "_high") if any(cell.interval is not None for cell in cells) else ()
    return spreads + intervals


def _values(cell: TableCell, suffixes: tuple[str, ...]) -> list[Value]:
    low, high = cell.interval or (None, None)
    known: dict[str, Value] = {"_spread": cell.spread, "_low": low, "_high": high}
    return [cell.value, *(known[suffix] for suffix in suffixes)]


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*<\[|])", r"\\\1", printable(" ".join(text.split())))


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "±": r"$\pm$", "−": r"$-$", "×": r"$\times$", "Δ": r"$\Delta$", "–": "--", "…": r"\dots{}",
    "→": r"$\to$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≈": r"$\approx$", "√": r"$\surd$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    r"""Escape every character that LaTeX gives a meaning.

    Examples:
        >>> print(escape_latex("50_a & 3 %"))
        50\_a \& 3 \%
    """
    line = printable(" ".join(text.split()))
    return "".join(_LATEX.get(character, character) for character in line)


def _latex_row(texts: Iterable[str]) -> str:
    """Return a row; a bracket or star at its beginning would be an argument of the line break before it."""
    row = " & ".join(escape_latex(text) for text in texts) + r" \\"
    return f"{{}}{row}" if row.startswith(("[", "*")) else row
