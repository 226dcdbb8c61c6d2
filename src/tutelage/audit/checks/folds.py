"""Checks of folds and runs: is anything missing, and does a mean weigh what it should?"""

from collections.abc import Iterable, Sequence

import numpy as np

from tutelage.audit.checks.evidence import Evidence
from tutelage.audit.findings import Finding, listed
from tutelage.audit.imports.claim import RUN, Claim, by_table

UNEQUAL = 4
"""How many times larger than the smallest a fold may be."""


def missing_runs(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find runs that a table lacks: seeds and folds that other rows have, means of more runs than are shown."""
    for table in by_table(claims).values():
        shown: dict[frozenset[str], dict[tuple[str, ...], Claim]] = {}
        for claim in table:
            if claim.is_run and claim.value is not None:
                shown.setdefault(claim.about, {})[_run(claim)] = claim
        wanted = list(dict.fromkeys(run for runs in shown.values() for run in runs))
        for runs in shown.values():
            lacking = [run for run in wanted if run not in runs]
            if lacking:
                last = list(runs.values())[-1]
                yield Finding(
                    "missing_runs",
                    last.place,
                    f"{last.name}: {len(lacking)} of {len(wanted)} runs are "
                    f"missing ({listed(', '.join(filter(None, run)) for run in lacking)}).",
                )
    evidence = Evidence(claims)
    for claim in evidence.stated:
        behind = evidence.runs_of(claim)
        if behind is not None and claim.n is not None and claim.n > behind.n:
            yield Finding(
                "missing_runs",
                claim.place,
                f"{claim.name}: stated as a mean of {claim.n} runs, of which "
                f"{behind.n} gave a number.",
            )


def unequal_folds(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find means over folds of very unequal size, where each fold counts the same."""
    for table in by_table(claims).values():
        sizes = _sizes(table)
        if len(sizes) < 2 or max(sizes.values()) < UNEQUAL * min(sizes.values()):
            continue
        small, large = (pick(sizes, key=sizes.__getitem__) for pick in (min, max))
        methods: dict[frozenset[str], list[Claim]] = {}
        for claim in table:
            if claim.is_run and claim.value is not None and _fold(claim) in sizes:
                methods.setdefault(claim.about - {"windows", "test windows"}, []).append(claim)
        for folds in methods.values():
            if len({_fold(claim) for claim in folds}) < 2 or _counts(folds[0]):
                continue
            values = [claim.value or 0.0 for claim in folds]
            micro = float(np.average(values, weights=[sizes[_fold(claim)] for claim in folds]))
            yield Finding(
                "unequal_folds",
                folds[0].place,
                f"{folds[0].name}: folds of {sizes[small]:g} ({small}) and "
                f"{sizes[large]:g} windows ({large}) count the same in the mean {np.mean(values):.4g}; "
                f"over windows it is {micro:.4g}.",
            )


def _sizes(table: Sequence[Claim]) -> dict[str, float]:
    """Return how many windows each fold has: from a column of counts, or from a row of them."""
    sizes: dict[str, float] = {}
    for claim in table:
        if not _fold(claim):
            continue
        if _counts(claim) and claim.value:
            sizes[_fold(claim)] = claim.value
        elif "windows" in claim.settings:
            sizes[_fold(claim)] = float(claim.settings["windows"])
    return sizes


def _counts(claim: Claim) -> bool:
    return any(word in claim.row.lower() for word in ("windows", "samples"))


def _fold(claim: Claim) -> str:
    return claim.settings.get("fold", claim.settings.get("subject", ""))


def _run(claim: Claim) -> tuple[str, ...]:
    return tuple(f"{key} {claim.settings[key]}" if key in claim.settings else "" for key in RUN)
