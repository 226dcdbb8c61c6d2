"""Which runs stand where in a table: rows, groups of rows, columns, and several methods in one row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import Field, field_validator

from tutelage.errors import UserError, unknown
from tutelage.recipe.config import parse
from tutelage.recipe.keys import Strict
from tutelage.study.aggregate import Aggregation
from tutelage.study.ledger import StudyLedger
from tutelage.study.parts import OWN, Coordinates, Part, axes_of, part_at

__all__ = ["Layout", "LayoutRow", "RowSpec", "TableSpec", "lay_out", "table_spec"]  # fmt: skip


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _text(item) for key, item in value.items()}
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class RowSpec(Strict):
    """One row, spelled out.

    Args:
        name: at its left; the stage unless told.
        group: rows of one group stand together under its name.
        stage: of the recipe; several stand in one row, divided by slashes.
        at: axis -> value, for axes that are not columns.
    """

    stage: str | list[str]
    name: str = ""
    group: str = ""
    at: dict[str, str] = Field(default={})

    @field_validator("at", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return _text(value)


class TableSpec(Aggregation):
    """The key ``table`` of a study file: what is shown, and where.

    Args:
        title: above the table.
        rows: ``stage``, ``fold`` or axes, or rows spelled out; axes that stand nowhere are rows, too.
        columns: ``stage``, ``fold`` or axes.
        at: axis -> value, for all rows.
        against: a stage, or axis -> value: every number is compared with the one there, in pairs, and marked.
        digits: behind the point.
    """

    title: str = ""
    rows: str | list[str | RowSpec] = "stage"
    columns: str | list[str] = Field(default=[])
    at: dict[str, str] = Field(default={})
    against: str | dict[str, str] | None = None
    digits: int = Field(2, ge=0, le=6)

    @field_validator("at", "against", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return _text(value)

    @field_validator("rows", mode="before")
    @classmethod
    def _rows(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [parse(RowSpec, row, f"table.rows.{number}") if isinstance(row, dict) else row
                for number, row in enumerate(value)]  # fmt: skip

    @property
    def other(self) -> Coordinates:
        """What ``against`` changes."""
        if self.against is None:
            return {}
        return {"stage": self.against} if isinstance(self.against, str) else self.against


def table_spec(content: Mapping[str, Any]) -> TableSpec:
    """Read the key ``table`` of a study file.

    Raises:
        UserError: place, what was found, what is allowed.
    """
    return parse(TableSpec, dict(content), "table")


@dataclass(frozen=True)
class LayoutRow:
    """A row: for every column the parts of it; None where the study has no such thing."""

    group: str
    name: str
    slots: tuple[tuple[Part | None, ...], ...]


@dataclass(frozen=True)
class Layout:
    """A table before its numbers are made; ``corner`` and ``across`` say what rows and columns are."""

    columns: tuple[str, ...]
    rows: tuple[LayoutRow, ...]
    corner: str
    across: str = ""


def lay_out(ledger: StudyLedger, spec: TableSpec) -> Layout:
    """Find the runs of every place of a table.

    Raises:
        UserError: an axis, value or stage that does not exist, or a place that means several different runs.
    """
    values = _values(ledger)
    fixed = _checked(spec.at, values, "table.at")
    _checked(spec.other, values, "table.against")
    across = _keys(spec.columns, values, "table.columns")
    columns = _points(across, values)
    if isinstance(spec.rows, list) and any(isinstance(row, RowSpec) for row in spec.rows):
        kept = [point for point in columns if not across or ledger.find(axes_of(point))]
        rows = [_spelled(ledger, row, number, kept, fixed, values)
                for number, row in enumerate(spec.rows)]  # fmt: skip
        corner = "method"
    else:
        down = _keys([str(key) for key in _listed(spec.rows)], values, "table.rows")
        taken = {*down, *across, *fixed}
        twice = set(down) & set(across) or (set(down) | set(across)) & set(fixed)
        if twice:
            raise UserError(f"table: {', '.join(sorted(twice))} stands in two places")
        open_axes = [axis for axis in ledger.axes if axis not in taken and len(values[axis]) > 1]
        down = [*(["stage"] if "stage" not in taken else []), *down, *open_axes]
        rows = _by_keys(ledger, down, columns, fixed, values)
        kept = [point for at, point in enumerate(columns)
                if any(part for row in rows for part in row.slots[at])]  # fmt: skip
        rows = [_narrowed(row, [columns.index(point) for point in kept]) for row in rows]
        corner = _corner(down)
    titles = tuple(", ".join(_shown(ledger, point).values()) for point in kept)
    return Layout(
        titles if across else (spec.metric_title,), tuple(rows), corner, ", ".join(across)
    )


def _values(ledger: StudyLedger) -> dict[str, tuple[str, ...]]:
    for name in OWN:
        if name in ledger.axes:
            raise UserError(
                f"table: the study has an axis called {name!r}, which is a word of the table; rename it"
            )
    return {"stage": ledger.stages, "fold": ledger.folds, **ledger.axes}


def _keys(keys: str | Sequence[str], values: Mapping[str, Any], place: str) -> list[str]:
    names = [str(key) for key in _listed(keys)]
    for key in names:
        if key not in values:
            raise unknown(place, "axis", key, values)
    return names


def _checked(at: Coordinates, values: Mapping[str, Sequence[str]], place: str) -> dict[str, str]:
    for axis, value in at.items():
        if axis not in values:
            raise unknown(place, "axis", axis, values)
        if value not in values[axis]:
            raise unknown(f"{place}.{axis}", "value", value, values[axis])
    return dict(at)


def _points(keys: Sequence[str], values: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [dict(zip(keys, point, strict=True)) for point in product(*(values[k] for k in keys))]


def _spelled(
    ledger: StudyLedger,
    row: str | RowSpec,
    number: int,
    columns: Sequence[Coordinates],
    fixed: Coordinates,
    values: Mapping[str, Sequence[str]],
) -> LayoutRow:
    place = f"table.rows.{number}"
    if isinstance(row, str):
        row = RowSpec(stage=row)
    stages = [str(stage) for stage in _listed(row.stage)]
    for stage in stages:
        if values["stage"] and stage not in values["stage"]:
            raise unknown(f"{place}.stage", "stage", stage, values["stage"])
    here = {**fixed, **_checked(row.at, values, f"{place}.at")}
    name = row.name or " / ".join(stages)
    slots = tuple(
        tuple(part_at(ledger, {**here, **point, "stage": stage}, place) for stage in stages)
        for point in columns
    )
    return LayoutRow(row.group, name, slots)


def _by_keys(
    ledger: StudyLedger,
    down: Sequence[str],
    columns: Sequence[Coordinates],
    fixed: Coordinates,
    values: Mapping[str, Sequence[str]],
) -> list[LayoutRow]:
    rows: list[LayoutRow] = []
    for first in values[down[0]]:
        mine = []
        for point in _points(down[1:], values):
            here = {**fixed, down[0]: first, **point}
            slots = tuple((part_at(ledger, {**here, **column}),) for column in columns)
            if any(part for slot in slots for part in slot):
                shown = _shown(ledger, here)
                name = ", ".join(shown[key] for key in down[1:]) if point else shown[down[0]]
                mine.append(LayoutRow(_group(ledger, down, first), name, slots))
        rows += _alike(mine, down[1:])
    return rows


def _group(ledger: StudyLedger, down: Sequence[str], first: str) -> str:
    if len(down) > 1:
        return ledger.fold_names.get(first, first) if down[0] == "fold" else first
    if down[0] == "stage" and ledger.teachers:
        return "students" if first in ledger.students else "teachers"
    return ""


def _alike(rows: list[LayoutRow], keys: Sequence[str]) -> list[LayoutRow]:
    """Return one row instead of many that show the same runs."""
    if len(rows) < 2:
        return rows
    known = [
        [part.identity if part and part.planned else None for slot in row.slots for part in slot]
        for row in rows
    ]
    if any(row != known[0] for row in known) or not any(known[0]):
        return rows
    return [LayoutRow(rows[0].group, f"every {' and '.join(keys)}", rows[0].slots)]


def _narrowed(row: LayoutRow, kept: Sequence[int]) -> LayoutRow:
    return LayoutRow(row.group, row.name, tuple(row.slots[at] for at in kept))


def _corner(down: Sequence[str]) -> str:
    shown = ["method" if key == "stage" else key for key in down]
    return ", ".join(shown[1:] or shown)


def _shown(ledger: StudyLedger, at: Coordinates) -> dict[str, str]:
    return {key: ledger.fold_names.get(value, value) if key == "fold" else value
            for key, value in at.items()}  # fmt: skip


def _listed(value: str | Iterable[Any]) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)
