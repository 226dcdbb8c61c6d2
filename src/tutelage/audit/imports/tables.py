"""Tables as people write them, read as claims."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tutelage.audit.imports.cells import CellNumber, Value, is_empty, label_of, number_in
from tutelage.audit.imports.claim import SEPARATOR, Claim
from tutelage.audit.imports.grid import Block, Grid, blocks
from tutelage.audit.imports.heads import Column, head_of
from tutelage.audit.imports.names import plain, settings_in


def claims_of(grid: Grid) -> Iterator[Claim]:
    """Read every table of a grid.

    A table has labels in its first columns and numbers in others; a head tells settings (``seed``, ``T``), single
    runs (``seed 0``), means, spreads and counts. A row with a label alone is the head of a group.
    """
    for block in blocks(grid):
        yield from _Table(block).claims()


@dataclass(frozen=True)
class _Line:
    """What the labels and settings of a row say."""

    row: str
    settings: Mapping[str, str]
    n: int | None


class _Table:
    """One table on the way to claims."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.columns, self.top = head_of(block)
        self.title = block.title or block.grid.name.rpartition("!")[2]
        self.stated = settings_in(f"{block.grid.name.rpartition('!')[2]} {block.title}")
        self.labels = [column for column in self.columns if column.role == "label"]
        self.group = ""
        self.above: dict[int, str] = {}

    def claims(self) -> Iterator[Claim]:
        """Return the claims of all rows."""
        for at, row in enumerate(self.block.rows[self.top :], self.top):
            measured = [column for column in self.columns if column.role in ("value", "spread")]
            if not any(number_in(row[column.at]) for column in measured):
                self._heading(row)
                continue
            yield from self._row(at, row, self._line(row))

    def _heading(self, row: list[Value]) -> None:
        filled = [label_of(cell) for cell in row if not is_empty(cell)]
        if len(filled) == 1 and number_in(filled[0]) is None:
            self.group = filled[0]
            self.above = {}

    def _line(self, row: list[Value]) -> _Line:
        parts = [self.group] if self.group else []
        for column in self.labels:
            label = label_of(row[column.at])
            if label:
                self.above[column.at] = label
            elif column is not self.labels[-1]:
                label = self.above.get(column.at, "")  # merged over several rows
            parts += [label] if label else []
        told = dict(self.stated) | settings_in(SEPARATOR.join(parts))
        told |= self._settings(row)
        counts = [number_in(row[column.at]) for column in self.columns if column.role == "n"]
        n = next((int(count.value) for count in counts if count and count.value), None)
        own = "" if self.labels and is_empty(row[self.labels[-1].at]) else SEPARATOR.join(parts)
        return _Line(own, told, n if n is not None else _whole(told.get("n")))

    def _settings(self, row: list[Value]) -> dict[str, str]:
        settings: dict[str, str] = {}
        for column in self.columns:
            text = label_of(row[column.at])
            if column.role == "note":
                settings |= settings_in(text)
            elif column.role == "setting" and text:
                number = number_in(row[column.at])
                value = None if number is None else number.value
                settings[column.key] = text.lower() if value is None else plain(str(value))
        return settings

    def _row(self, at: int, row: list[Value], line: _Line) -> Iterator[Claim]:
        claims: list[Claim] = []
        for column in self.columns:
            number = number_in(row[column.at])
            if column.role == "value" and not is_empty(row[column.at]):
                unread = CellNumber(None, None, label_of(row[column.at]))
                claims.append(self._claim(at, column, number or unread, line))
            elif column.role == "spread" and number and number.value is not None:
                _attach(claims, column, number.value)
        yield from claims

    def _claim(self, at: int, column: Column, number: CellNumber, line: _Line) -> Claim:
        settings = {**line.settings, **column.settings}
        single = "rule" not in column.settings and bool({"seed", "run"} & set(settings))
        if single:  # "best of 3" in a title or a note is said of the mean, not of each run
            settings = {
                key: setting for key, setting in settings.items() if key not in ("rule", "n")
            }
        return Claim(
            table=self.title,
            row=line.row,
            column=column.label,
            value=number.value,
            place=self.block.place(at, column.at),
            text=number.text,
            mark=number.mark,
            spread=number.spread,
            n=None if single else line.n if line.n is not None else _whole(settings.get("n")),
            settings=settings,
            block=self.block.place(0, 0),
            line=self.block.top + at,
            stated=self.stated,
        )


def _attach(claims: list[Claim], column: Column, spread: float) -> None:
    """Give a spread to the mean with the same label, else to the number left of it."""
    same = [i for i, claim in enumerate(claims) if claim.column == column.label
            and "rule" in claim.settings]  # fmt: skip
    if claims:
        at = same[-1] if same else len(claims) - 1
        claims[at] = replace(claims[at], spread=spread, spread_name=column.spread_name)


def _whole(text: str | None) -> int | None:
    return int(float(text)) if text else None
