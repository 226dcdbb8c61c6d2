"""Checks of classes and corruptions: was every class predicted, and were test data prepared alike?"""

import re
from collections.abc import Iterable, Sequence

from tutelage.audit.checks.numbers import is_confusion, is_share, whole
from tutelage.audit.findings import Finding, listed
from tutelage.audit.imports.claim import Claim, by_table
from tutelage.audit.imports.names import normal

_CORRUPTED = re.compile(
    r"\b(?:corrupt\w*|noisy|noise|missing|removal|shift(?:ed)?|phase|dropout|blur\w*|mix ?[12])\b",
    re.IGNORECASE,
)
_CLEAN = re.compile(r"\b(?:clean|normal|uncorrupted|original|none)\b", re.IGNORECASE)
_SCORE = re.compile(r"\b(?:recall|f1|f-1|precision|sensitivity)\b", re.IGNORECASE)


def never_predicted(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find classes that a network never predicts: empty columns of confusion matrices, recalls or F1 of zero."""
    for table in by_table(claims).values():
        if is_confusion(table):
            yield from _of_confusion(table)
            continue
        empty = [
            claim
            for claim in table
            if claim.value == 0 and _SCORE.search(f"{claim.row} {claim.column}")
        ]
        if empty and len(empty) < len(table):
            yield Finding(
                "never_predicted",
                empty[0].place,
                f"{listed(c.name for c in empty)} "
                f"{'are' if len(empty) > 1 else 'is'} zero: never predicted, or never rightly.",
            )


def _of_confusion(table: Sequence[Claim]) -> Iterable[Finding]:
    predicted: dict[str, float] = {}
    for claim in table:
        predicted[claim.column] = predicted.get(claim.column, 0.0) + (claim.value or 0.0)
    never = [name for name, total in predicted.items() if total == 0]
    if never:
        place = next(claim.place for claim in table if claim.column == never[0])
        yield Finding("never_predicted", place, f"The network never predicts {listed(never)}.")


def corrupted_test(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find tests on corrupted data whose loader prepared them in another way.

    Level zero must be the accuracy without corruption, and the mildest level must not lose nearly everything.
    """
    for table in by_table(claims).values():
        top = whole(table)
        usable = [c for c in table if c.value is not None and is_share(c) and not c.is_run]
        clean = {_base(c): c for c in usable if not _level(c) and not _is_corrupted(c)}
        tests: dict[frozenset[str], list[Claim]] = {}
        for claim in usable:
            if _is_corrupted(claim) or _level(claim):
                tests.setdefault(_base(claim), []).append(claim)
        for base, corrupted in tests.items():
            if base in clean:
                yield from _compared(clean[base], corrupted, top)


def _compared(clean: Claim, tests: Sequence[Claim], top: float) -> Iterable[Finding]:
    best = clean.value or 0.0
    kinds: dict[str, list[Claim]] = {}
    for claim in tests:
        kinds.setdefault(_kind(claim), []).append(claim)
    for levels in kinds.values():
        mild = min(levels, key=lambda claim: float(_level(claim) or 1))
        value = mild.value or 0.0
        if _level(mild) == "0" and abs(value - best) > 0.0005 * top:
            yield Finding(
                "corrupted_test",
                mild.place,
                f"{mild.name} at level 0 is {mild.text}, but without corruption "
                f"it is {clean.text} ({clean.place}): the test data are prepared in another way.",
            )
        elif value < 0.25 * best:
            yield Finding(
                "corrupted_test",
                mild.place,
                f"{mild.name} is {mild.text} at its mildest, but {clean.text} "
                f"without corruption ({clean.place}): were the test data normalised by statistics "
                "of training?",
            )


def _base(claim: Claim) -> frozenset[str]:
    names = {normal(_CLEAN.sub("", _CORRUPTED.sub("", name))) for name in claim.about}
    return frozenset(names - {""})


def _kind(claim: Claim) -> str:
    match = _CORRUPTED.search(f"{claim.row} {claim.column}")
    return match[0].lower() if match else ""


def _is_corrupted(claim: Claim) -> bool:
    return bool(_kind(claim))


def _level(claim: Claim) -> str | None:
    return claim.settings.get("level")
