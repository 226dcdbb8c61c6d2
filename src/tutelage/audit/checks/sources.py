"""Checks against other evidence: a stated number must follow from its runs, and be the same wherever it stands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tutelage.audit.checks.evidence import Evidence, Runs, close, rounding, rules_of
from tutelage.audit.findings import Finding, listed
from tutelage.audit.imports.claim import SEPARATOR, Claim
from tutelage.audit.imports.names import normal


@dataclass(frozen=True)
class _Told:
    """What other evidence says that a cell should hold."""

    evidence: Runs | Claim

    def agrees(self, claim: Claim) -> bool:
        """Whether a number follows from it, by whatever rule."""
        if claim.value is None:
            return False
        if isinstance(self.evidence, Claim):
            other = self.evidence
            slack = max(rounding(claim.text), rounding(other.text))
            return other.value is not None and close(claim.value, other.value, slack)
        return bool(rules_of(claim, self.evidence))

    def means(self, claim: Claim) -> bool:
        """Whether a number is what it says, or the mean of its runs."""
        if isinstance(self.evidence, Claim):
            return self.agrees(claim)
        return any(name.startswith("mean") for name in rules_of(claim, self.evidence))

    def sentence(self) -> str:
        """What it says."""
        if isinstance(self.evidence, Claim):
            return f"{self.evidence.place} says {self.evidence.text}"
        runs = self.evidence
        return (
            f"the mean of its {runs.n} runs is {runs.means()['mean']:.4g}, the best of them "
            f"{max(runs.values):.4g} ({runs.claims[0].place} to {runs.claims[-1].place})"
        )


Row = dict[str, tuple[Claim, _Told]]
"""Column -> what is stated there, and what is told elsewhere."""


def misplaced(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find swapped blocks and tables, shifted rows, and single cells that contradict other evidence.

    A row whose numbers are not what other evidence tells, but all of them what it tells of another row, was moved.
    """
    rows = _rows(Evidence(claims))
    wrong = {key for key, row in rows.items() if not all(t.agrees(c) for c, t in row.values())}
    moved = {
        key: other
        for key in rows
        if key in wrong and (other := _belongs(key, rows, wrong)) is not None
    }
    swapped = {a: b for a, b in moved.items() if moved.get(b) == a}
    yield from _swapped(swapped, rows)
    shifted = {a: b for a, b in moved.items() if a not in swapped}
    yield from _shifted(shifted, rows)
    for key in rows:
        if key in wrong and key not in moved:
            yield from _contradictions(rows[key].values())


Key = tuple[str, int]


def _rows(evidence: Evidence) -> dict[Key, Row]:
    rows: dict[Key, Row] = {}
    for claim in evidence.stated:
        if claim.settings.get("rule", "mean").startswith("mean"):
            other = evidence.runs_of(claim) or evidence.elsewhere(claim)
            if other is not None:
                row = rows.setdefault((claim.block, claim.line), {})
                row[normal(claim.column)] = (claim, _Told(other))
    return rows


def _belongs(key: Key, rows: dict[Key, Row], wrong: set[Key]) -> Key | None:
    """Return the row that the numbers of this one are told of, if there is exactly one; wrong rows come first."""
    owners: list[Key] = []
    row = rows[key]
    for other, told in rows.items():
        shared = [column for column in row if column in told]
        if (
            other != key
            and shared
            and len(shared) == len(row)
            and all(told[column][1].means(row[column][0]) for column in shared)
        ):
            owners.append(other)
    suspects = [other for other in owners if other in wrong]
    label = _first(row).about
    namesakes = [other for other in suspects if _first(rows[other]).about == label]
    return next(
        (candidates[0] for candidates in (namesakes, suspects, owners) if len(candidates) == 1),
        None,
    )


def _swapped(pairs: dict[Key, Key], rows: dict[Key, Row]) -> Iterable[Finding]:
    groups: dict[tuple[str, str], list[tuple[Claim, Claim]]] = {}
    for a, b in pairs.items():
        if a < b:
            first, second = _first(rows[a]), _first(rows[b])
            groups.setdefault((_part(first, second), _part(second, first)), []).append(
                (first, second)
            )
    for (own, other), swaps in groups.items():
        place = f"{swaps[0][0].place} and {swaps[0][1].place}"
        names = listed(first.row or first.column for first, _ in swaps)
        told = _told_of(rows, swaps[0][0])
        yield Finding(
            "swapped_blocks",
            place,
            f"{own} and {other} hold each other's numbers (rows {names}): {told}.",
        )


def _shifted(links: dict[Key, Key], rows: dict[Key, Row]) -> Iterable[Finding]:
    groups: dict[tuple[str, str, int], list[tuple[Claim, Claim]]] = {}
    for a, b in links.items():
        first, second = _first(rows[a]), _first(rows[b])
        offset = first.line - second.line if first.block == second.block else 0
        groups.setdefault((first.block, second.block, offset), []).append((first, second))
    for (_, _, offset), pairs in groups.items():
        first, second = pairs[0]
        if offset and len(pairs) > 1:
            way = f"{abs(offset)} line{'s' if abs(offset) > 1 else ''} too {'low' if offset > 0 else 'high'}"
            yield Finding(
                "shifted_rows",
                f"{first.place} to {pairs[-1][0].place}",
                f"{len(pairs)} rows stand {way}: {first.row} holds the numbers of {second.row}, "
                f"for {_told_of(rows, first)}.",
            )
            continue
        for claim, other in pairs:
            yield Finding(
                "shifted_rows",
                claim.place,
                f"{claim.row} holds the numbers of {other.row}: {_told_of(rows, claim)}.",
            )


def _contradictions(cells: Iterable[tuple[Claim, _Told]]) -> Iterable[Finding]:
    for claim, told in cells:
        if not told.agrees(claim):
            yield Finding(
                "contradiction",
                claim.place,
                f"{claim.name} is {claim.text}, but {told.sentence()}.",
            )


def _told_of(rows: dict[Key, Row], claim: Claim) -> str:
    cells = rows[claim.block, claim.line].values()
    stated, told = next((c, t) for c, t in cells if not t.agrees(c))
    return f"{stated.place} is {stated.text}, but {told.sentence()}"


def _first(row: Row) -> Claim:
    return next(iter(row.values()))[0]


def _part(claim: Claim, other: Claim) -> str:
    """Return what was swapped: the table, the group of rows, or the row."""
    if claim.block != other.block:
        same = claim.table == other.table
        return f"the table at {claim.block}" if same else f"the table {claim.table!r}"
    group, other_group = (side.row.split(SEPARATOR)[0] for side in (claim, other))
    return (
        f"the block {group!r}"
        if group != other_group and SEPARATOR in claim.row
        else repr(claim.row)
    )
