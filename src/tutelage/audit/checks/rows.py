"""Checks of rows: numbers that stand in more than one place, and numbers that nobody owns."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from tutelage.audit.findings import Finding, listed
from tutelage.audit.imports.cells import digits
from tutelage.audit.imports.claim import RUN, Claim, by_row, by_table
from tutelage.audit.imports.names import normal

Signature = tuple[tuple[str, float], ...]


def _signature(row: Sequence[Claim]) -> Signature:
    """Return the numbers of a row, by column and run."""
    return tuple(
        (
            f"{normal(claim.column)} {sorted((k, claim.settings.get(k, '')) for k in RUN)}",
            claim.value,
        )
        for claim in row
        if claim.value is not None
    )


def _telling(row: Sequence[Claim]) -> bool:
    """Whether numbers are so many, and so exact, that two equal rows are no accident."""
    exact = {claim.value for claim in row if digits(claim.text) >= 2}
    return len(exact) >= 2 or len({claim.value for claim in row}) >= 4


def _pairs(claims: Sequence[Claim]) -> Iterable[tuple[list[Claim], list[Claim]]]:
    same: dict[Signature, list[list[Claim]]] = {}
    for row in by_row(claims).values():
        if _telling(row):
            same.setdefault(_signature(row), []).append(row)
    for rows in same.values():
        yield from combinations(rows, 2)


def duplicated_rows(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find rows that stand twice in a table, and two methods with the same numbers in all columns."""
    for first, second in _pairs(claims):
        a, b = first[0], second[0]
        label = normal(a.row) == normal(b.row)
        if a.block == b.block or not label:
            what = "stands here again" if label else f"has exactly the numbers of {b.row or 'it'!r}"
            name = a.row or "a row without label"
            yield Finding(
                "duplicated_rows",
                f"{a.place} and {b.place}",
                f"{name}: {what} in all {len(first)} columns.",
            )
    yield from _runs_twice(claims)


def _runs_twice(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find single runs that are listed twice in a table with one row per run."""
    for table in by_table(claims).values():
        seen: dict[tuple[object, ...], Claim] = {}
        for claim in table:
            if not claim.is_run:
                continue
            key = (claim.about, tuple(sorted(claim.settings.items())))
            other = seen.setdefault(key, claim)
            if other.line != claim.line and not _telling([claim, other]):
                runs = listed(f"{k} {claim.settings[k]}" for k in RUN if k in claim.settings)
                how = "the same value" if other.value == claim.value else "another value"
                yield Finding(
                    "duplicated_rows",
                    f"{other.place} and {claim.place}",
                    f"{claim.name}, {runs}: this run is listed twice, with {how}.",
                )


def inherited_rows(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find rows that were taken over from a table with other settings, or say so, and were never run again."""
    for first, second in _pairs(claims):
        a, b = first[0], second[0]
        other = [
            key
            for key in sorted({*a.stated, *b.stated} - {"n", "rule"})
            if a.stated.get(key) != b.stated.get(key)
        ]
        if a.block != b.block and normal(a.row) == normal(b.row) and other:
            shown = listed(
                f"{key} {a.stated.get(key, 'not told')} and {b.stated.get(key, 'not told')}"
                for key in other
            )
            yield Finding(
                "inherited_rows",
                f"{a.place} and {b.place}",
                f"{a.row}: equal to the last digit in two tables that differ in {shown}; "
                "it was not run again.",
            )
    told: dict[tuple[str, int], Claim] = {}
    for claim in claims:
        if "inherited" in claim.settings:
            told.setdefault((claim.block, claim.line), claim)
    for claim in told.values():
        yield Finding(
            "inherited_rows",
            claim.place,
            f"{claim.name}: the table says that this number was taken over and not run again.",
        )


def unlabelled_rows(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find rows of numbers without a label, in tables whose other rows have one: a block may have moved."""
    for table in by_table(claims).values():
        without: dict[int, Claim] = {}
        for claim in table:
            if not claim.row:
                without.setdefault(claim.line, claim)
        if without and any(claim.row for claim in table):
            for claim in without.values():
                yield Finding(
                    "unlabelled_rows",
                    claim.place,
                    "A row of numbers has no label; the labels or the numbers were moved.",
                )
