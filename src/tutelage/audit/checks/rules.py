"""Checks of what a number stands for: mean or best of the runs, and which spread."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tutelage.audit.checks.evidence import ROOT_OF_26, Evidence, Runs, close, rounding, rules_of
from tutelage.audit.findings import Finding, listed
from tutelage.audit.imports.claim import Claim, by_row, by_table, names

CERTAIN = 1e-4
"""Chance that spreads of one kind differ this much; below, they are said to be of two kinds."""

SEEDS = 3
"""Runs behind a spread, where nobody said."""


@dataclass(frozen=True)
class _Meaning:
    """What a stated number, or the spread after it, may be, by its runs or by the words beside it."""

    claim: Claim
    names: tuple[str, ...]

    @property
    def is_best(self) -> bool:
        """Whether it can only be the best of several."""
        return bool(self.names) and all(name.startswith("best") for name in self.names)


def best_of_n(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find the best of several runs beside means of all of them."""
    evidence = Evidence(claims)
    for table in by_table(evidence.stated).values():
        meanings = [_Meaning(claim, _rule(claim, evidence.own(claim))) for claim in table]
        best = [
            meaning
            for meaning in meanings
            if meaning.is_best and not _column_of_best(meaning.claim, table)
        ]
        means = [
            meaning for meaning in meanings if meaning.names and meaning.names[0].startswith("mean")
        ]
        silent = [meaning for meaning in meanings if not meaning.names]
        rest = means or [
            meaning for meaning in silent if meaning.claim.column in {b.claim.column for b in best}
        ]
        if best and rest:
            rules = listed(meaning.names[0] for meaning in best)
            other = rest[0].names[0] if rest[0].names else "not said to be a best value"
            yield Finding(
                "best_of_n",
                best[0].claim.place,
                f"{names(meaning.claim for meaning in best)} ({rules}) beside {rest[0].claim.name} at "
                f"{rest[0].claim.place} ({other}).",
            )


def _column_of_best(claim: Claim, table: Sequence[Claim]) -> bool:
    """Whether a best value stands in a column of its own, beside the mean of the same row."""
    return claim.settings.get("rule") == "best" and any(
        other.line == claim.line
        and other.column == claim.column
        and other.settings.get("rule") == "mean"
        for other in table
    )


def _rule(claim: Claim, runs: Runs | None) -> tuple[str, ...]:
    said = claim.settings.get("rule", "")
    fits = () if runs is None else rules_of(claim, runs)
    if fits:
        return fits
    return (said,) if said else ()


def mixed_spreads(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find several meanings of ± in one table: by the runs behind it, or by the words beside it."""
    evidence = Evidence(claims)
    for table in by_table(evidence.stated).values():
        meanings = [
            _Meaning(claim, names)
            for claim in table
            if claim.spread is not None and (names := _spread(claim, evidence.own(claim)))
        ]
        if len(meanings) < 2 or set.intersection(*(set(meaning.names) for meaning in meanings)):
            continue
        kinds: dict[str, Claim] = {}
        for meaning in meanings:
            if not set(meaning.names) & set(kinds):
                kinds[_likely(meaning, meanings)] = meaning.claim
        shown = "; ".join(
            f"{name} at {claim.place} (± {claim.spread:g})" for name, claim in kinds.items()
        )
        yield Finding(
            "mixed_spreads",
            meanings[0].claim.block,
            f"± has {len(kinds)} meanings in one table: {shown}.",
        )


def _likely(meaning: _Meaning, others: Sequence[_Meaning]) -> str:
    """Return the meaning that most others may have as well; of equals the usual one."""
    return max(meaning.names, key=lambda name: sum(name in other.names for other in others))


def _spread(claim: Claim, runs: Runs | None) -> tuple[str, ...]:
    if runs is not None and runs.n > 1 and claim.spread is not None:
        text = claim.text.rpartition("±")[2] if "±" in claim.text else f"{claim.spread:.10g}"
        slack = rounding(text) + runs.rounding
        return tuple(
            name for name, spread in runs.spreads().items() if close(claim.spread, spread, slack)
        )
    return (claim.spread_name,) if claim.spread_name else ()


def unexplained_spread(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find numbers after ± that are no spread of the runs beside them."""
    evidence = Evidence(claims)
    for claim in evidence.stated:
        runs = evidence.own(claim)
        if claim.spread is None or runs is None or runs.n < 2 or _spread(claim, runs):
            continue
        sd = runs.spreads()["SD"]
        divided = f", {sd / claim.spread:.3g} times as much" if claim.spread else ""
        yield Finding(
            "unexplained_spread",
            claim.place,
            f"{claim.name}: ± {claim.spread:g} is no spread of its "
            f"{runs.n} runs, whose SD is {sd:.3g}{divided}.",
        )


def spread_scale(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find rows whose spreads are too small to be of the kind of the others, where no runs are shown.

    Pooled over the columns of a row, variances of one kind follow the F distribution; a row that is smaller by a
    factor of √n or √26 beyond that was divided.
    """
    evidence = Evidence(claims)
    stated = [c for c in evidence.stated if c.spread and evidence.runs_of(c) is None]
    for table in by_table(stated).values():
        rows = [row for row in by_row(table).values() if len(row) >= 3]
        if len(rows) < 3:
            continue
        pooled = [float(np.mean([(claim.spread or 0.0) ** 2 for claim in row])) for row in rows]
        usual = float(np.median(pooled))
        for row, variance in zip(rows, pooled, strict=True):
            freedom = len(row) * ((row[0].n or SEEDS) - 1)
            chance = float(stats.f.cdf(variance / usual, freedom, freedom)) * len(rows)
            ratio = (usual / variance) ** 0.5
            roots = {row[0].n or SEEDS, ROOT_OF_26}
            if chance < CERTAIN and any(0.7 < ratio / root**0.5 < 1.4 for root in roots):
                root = min(roots, key=lambda divisor: abs(ratio - divisor**0.5))
                yield Finding(
                    "mixed_spreads",
                    row[0].place,
                    f"{row[0].row}: its spreads are {ratio:.2g} times "
                    f"smaller than those of the other rows, as if divided by √{root}.",
                )


def unequal_n(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find means of unequal numbers of runs in one column of a table."""
    evidence = Evidence(claims)
    for table in by_table(evidence.stated).values():
        counts: dict[int, Claim] = {}
        for claim in table:
            runs = evidence.own(claim)
            n = claim.n or (runs.n if runs else None)
            if n:
                counts.setdefault(n, claim)
        if len(counts) > 1:
            shown = listed(f"n = {n} ({claim.name})" for n, claim in sorted(counts.items()))
            place = counts[min(counts)].place
            yield Finding(
                "unequal_n", place, f"Means of unequal numbers of runs stand in one table: {shown}."
            )
