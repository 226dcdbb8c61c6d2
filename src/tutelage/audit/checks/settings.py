"""Checks of settings: rows of one table must have been made in one way, but for what the table is about."""

from collections.abc import Callable, Iterable, Sequence

from tutelage.audit.findings import Finding, listed
from tutelage.audit.imports.claim import Claim, by_table, names
from tutelage.audit.imports.names import WEIGHTS

TRAINING = ("epochs", "learning_rate", "weight_decay", "batch_size")


def mixed_weights(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find methods that are compared under other weights or temperatures, or of which one was tried with more."""
    yield from _mixed(
        "mixed_weights", claims, lambda key: key in WEIGHTS or key.startswith("weight.")
    )


def mixed_training(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find methods that were trained longer, or with another learning rate, than those beside them."""
    yield from _mixed("mixed_training", claims, lambda key: key in TRAINING)


def other_window(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find rows of another window size, and rows of one fold with another number of windows."""
    yield from _mixed("other_window", claims, lambda key: key == "window")
    for table in by_table(claims).values():
        folds: dict[str, dict[str, Claim]] = {}
        for claim in table:
            fold = claim.settings.get("fold", claim.settings.get("subject", ""))
            if "windows" in claim.settings:
                folds.setdefault(fold, {}).setdefault(claim.settings["windows"], claim)
        if "" in folds and len(folds) == 1 and _are_folds(folds[""]):
            continue
        for fold, counts in folds.items():
            if len(counts) > 1:
                shown = listed(f"{count} ({claim.name})" for count, claim in counts.items())
                where = f" of fold {fold}" if fold else ""
                last = list(counts.values())[-1]
                yield Finding(
                    "other_window",
                    last.place,
                    f"Rows{where} were tested on unequal numbers of windows: {shown}.",
                )


def _are_folds(counts: dict[str, Claim]) -> bool:
    """Whether rows with several counts are the folds of one thing, not methods."""
    return len({claim.about for claim in counts.values()}) == 1


def selected_on_test(claims: Sequence[Claim]) -> Iterable[Finding]:
    """Find numbers whose epoch was chosen on the test split, and best epochs quoted by what chose them."""
    for table in by_table(claims).values():
        chosen = [claim for claim in table if claim.settings.get("selected") == "test"]
        others = [claim for claim in table if claim.settings.get("selected") != "test"]
        if chosen:
            beside = f", beside {others[0].name} at {others[0].place}" if others else ""
            yield Finding(
                "selected_on_test",
                chosen[0].place,
                f"{names(chosen)}: the epoch was chosen on the test split{beside}.",
            )
        own = [
            claim
            for claim in table
            if claim.settings.get("chosen") == "best"
            and claim.settings.get("selected") != "test"
            and claim.column.startswith("validation")
        ]
        if own:
            yield Finding(
                "selected_on_test",
                own[0].place,
                f"{len(own)} number{'s' * (len(own) > 1)} ({names(own)}): the "
                "best epoch, quoted by the split that chose it; this is no result of a test.",
            )


def _mixed(
    defect: str, claims: Sequence[Claim], wanted: Callable[[str], bool]
) -> Iterable[Finding]:
    for table in by_table(claims).values():
        keys = dict.fromkeys(key for claim in table for key in claim.settings if wanted(key))
        for key in keys:
            tried: dict[frozenset[str], dict[str, Claim]] = {}
            for claim in table:
                if key in claim.settings:
                    tried.setdefault(_method(claim), {}).setdefault(claim.settings[key], claim)
            if len({frozenset(values) for values in tried.values()}) > 1:
                yield _finding(defect, key, tried)


def _method(claim: Claim) -> frozenset[str]:
    return claim.about


def _finding(defect: str, key: str, tried: dict[frozenset[str], dict[str, Claim]]) -> Finding:
    groups: dict[frozenset[str], list[Claim]] = {}
    for values in tried.values():
        groups.setdefault(frozenset(values), []).append(next(iter(values.values())))
    least = min(groups.values(), key=len)
    shown = "; ".join(
        f"{key.replace('_', ' ')} {listed(sorted(values, key=float))}: {names(claims)}"
        for values, claims in groups.items()
    )
    return Finding(
        defect, least[0].place, f"Rows of one table are compared under other settings: {shown}."
    )
