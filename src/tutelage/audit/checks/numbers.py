"""Checks of single numbers: can this be an accuracy at all?"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from tutelage.audit.findings import Finding
from tutelage.audit.imports.cells import BROKEN
from tutelage.audit.imports.claim import Claim, by_table
from tutelage.audit.imports.names import normal

_OTHER = re.compile(
    r"param|mac|flop|time|second|hour|loss|nll|size|memory|epoch|latency|difference|delta|diff\b|gain|Δ"
    r"|\bfps\b|\bhz\b|per second|/ ?s\b|throughput|speed|clock"
    r"|improve|p[- ]?value|windows|samples|count|perplexity|[(\[](?:m|k|g|mb|kb|ms|s|h)[)\]]",
    re.IGNORECASE,
)


QUOTED = 80
"""Characters of somebody's text in a sentence."""


def is_share(claim: Claim) -> bool:
    """Whether a number should be a share of something: its labels name no loss, time, size or difference."""
    return _names_share(claim.row, claim.column)


@lru_cache(65536)
def _names_share(row: str, column: str) -> bool:
    return not _OTHER.search(f"{row} {column}")


def is_confusion(table: Sequence[Claim]) -> bool:
    """Whether a table counts predictions: its rows and columns are the same classes."""
    rows = list(dict.fromkeys(normal(claim.row) for claim in table))
    return len(rows) > 2 and rows == list(dict.fromkeys(normal(claim.column) for claim in table))


def _shares(claims: Sequence[Claim]) -> Iterable[list[Claim]]:
    """Return the shares of each table that is no confusion matrix."""
    for table in by_table(claims).values():
        if not is_confusion(table):
            yield [claim for claim in table if claim.value is not None and is_share(claim)]


def whole(claims: Iterable[Claim]) -> float:
    """Return what stands for everything in a table: 1 where its numbers are fractions, else 100."""
    values = [claim.value for claim in claims if claim.value is not None and is_share(claim)]
    return 1.0 if values and 3 * sum(value <= 1 for value in values) > 2 * len(values) else 100.0


def out_of_range(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find shares below nothing or above everything, such as 199 %."""
    for table in _shares(claims):
        top = whole(table)
        for claim in table:
            if claim.value is None or 0 <= claim.value <= top:
                continue
            yield Finding(
                "out_of_range",
                claim.place,
                f"{claim.name} is {claim.text}; "
                f"the other numbers of this table lie between 0 and {top:g}.",
            )


def mixed_units(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find fractions among per cents: 0.87 in a column of 86."""
    for table in _shares(claims):
        columns: dict[str, list[Claim]] = {}
        for claim in table:
            columns.setdefault(claim.column, []).append(claim)
        for column in columns.values():
            low = [claim for claim in column if claim.value and 0 < claim.value < 1]
            high = [claim for claim in column if claim.value and claim.value > 10]
            if len(high) >= 3 and 3 * len(low) < len(high):
                for claim in low:
                    yield Finding(
                        "mixed_units",
                        claim.place,
                        f"{claim.name} is {claim.text} in a column "
                        "of per cents: it looks like a fraction.",
                    )


def diverged_run(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find runs that diverged: no finite number, or an accuracy at chance where the number of classes is told."""
    for claim in claims:
        if claim.value is None and claim.text.strip().lower() in BROKEN:
            yield Finding(
                "diverged_run",
                claim.place,
                f"{claim.name} is {claim.text!r}: the run gave no number "
                "and must not be part of a mean.",
            )
    for table in _shares(claims):
        top = whole(table)
        for claim in table:
            classes = float(claim.settings.get("classes", 0))
            if claim.value is None or classes < 2 or not 0 <= claim.value <= 1.6 * top / classes:
                continue
            chance = top / classes
            yield Finding(
                "diverged_run",
                claim.place,
                f"{claim.name} is {claim.text}, which is chance for "
                f"{classes:.0f} classes ({chance:.3g}): the network learned nothing, or its test data "
                "were prepared in another way.",
            )


def unread_cell(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find cells among numbers that are none: 8S.27, two numbers in one cell, a formula without its value."""
    for claim in claims:
        if claim.value is None and claim.text.strip().lower() not in BROKEN:
            text = claim.text if len(claim.text) <= QUOTED else f"{claim.text[: QUOTED - 3]}..."
            what = (
                "a formula whose value was never stored; open the file in a spreadsheet program and save it"
                if claim.text.startswith("=")
                else "which is not one number; it was not looked at"
            )
            yield Finding("unread_cell", claim.place, f"{claim.name} is {text!r}, {what}.")
