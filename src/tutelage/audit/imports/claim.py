"""One number of somebody's results, and where it stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tutelage.audit.findings import listed
from tutelage.audit.imports.names import normal, without_settings

SEPARATOR = " · "
"""Between the labels of a row: a group, a method, a teacher."""

ACCURACY = frozenset({"", "value", "acc", "accuracy", "test", "test acc", "test accuracy", "%"})
RUN = ("seed", "run", "fold", "subject")
"""The settings that name one run of several."""


@dataclass(frozen=True)
class Claim:
    """A number that a foreign table, log or file name states.

    Args:
        table: title of the table, else the name of its sheet or file.
        row: labels of the row, joined by `` · ``.
        column: label of the column: a metric, or one end of an axis.
        value: the number as it stands, per cent or fraction; None where the text is no number (``nan``).
        place: ``file!sheet!cell``, or ``file:line``.
        text: as it stands.
        spread: the number behind ±.
        spread_name: what that is, if anybody said; else empty.
        n: of how many runs, if anybody said.
        settings: what is told of it: ``seed``, ``fold``, ``temperature``, ``window``, ``rule``, ``selected`` ...
        block: place of the table's first cell; two tables may have one title.
        line: number of the row in its sheet.
        stated: the settings that the title of the table tells.
        mark: stars and daggers behind the number.
    """

    table: str
    row: str
    column: str
    value: float | None
    place: str
    text: str = ""
    spread: float | None = None
    spread_name: str = ""
    n: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    block: str = ""
    line: int = 0
    stated: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""

    @property
    def is_run(self) -> bool:
        """Whether it is the result of a single run, one of several in its table."""
        return any(key in self.settings for key in RUN) and "rule" not in self.settings

    @property
    def about(self) -> frozenset[str]:
        """The labels that tell what was measured, without settings and the word accuracy."""
        parts = [*self.row.split(SEPARATOR), self.column]
        names = {normal(without_settings(part)) for part in parts}
        return frozenset(names - ACCURACY)

    @property
    def name(self) -> str:
        """The labels of the cell, for a sentence."""
        shown = [label for label in (self.row.replace(SEPARATOR, ", "), self.column) if label]
        return ", ".join(shown) or "a cell without labels"


def names(claims: Iterable[Claim]) -> str:
    """Return the rows of claims for a sentence, or their columns where they are of one row.

    Examples:
        >>> names([Claim("t", "Base", c, 1.0, "") for c in ("a", "b")])
        'a and b of Base'
    """
    claimed = list(claims)
    rows = dict.fromkeys(claim.row.replace(SEPARATOR, ", ") for claim in claimed)
    columns = dict.fromkeys(claim.column for claim in claimed if claim.column)
    if len(rows) > 1 or not columns:
        return listed(claim for claim in rows if claim)
    of = f" of {next(iter(rows))}" if any(rows) else ""
    return listed(columns) + of


def by_table(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    """Return the claims of each table, in their order."""
    tables: dict[str, list[Claim]] = {}
    for claim in claims:
        tables.setdefault(claim.block, []).append(claim)
    return tables


def by_row(claims: Iterable[Claim]) -> dict[tuple[str, int], list[Claim]]:
    """Return the claims of each row of each table, in their order."""
    rows: dict[tuple[str, int], list[Claim]] = {}
    for claim in claims:
        rows.setdefault((claim.block, claim.line), []).append(claim)
    return rows


def flat(claim: Claim) -> dict[str, Any]:
    """Return a claim as one row of a flat table; settings become columns."""
    plain = {"table": claim.table, "row": claim.row, "column": claim.column, "value": claim.value}
    plain |= {"spread": claim.spread, "spread_name": claim.spread_name or None, "n": claim.n}
    return plain | dict(claim.settings) | {"text": claim.text, "place": claim.place}
