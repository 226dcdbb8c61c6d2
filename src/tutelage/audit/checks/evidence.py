"""What else a source tells of a number: the single runs behind it, and the same cell elsewhere."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tutelage.audit.checks.numbers import is_share
from tutelage.audit.imports.cells import digits
from tutelage.audit.imports.claim import RUN, Claim
from tutelage.audit.imports.names import normal, without_settings
from tutelage.statistics.spreads import sample_sd

_GENERIC = re.compile(
    r"\b(?:runs?|raw|details?|summary|means?|averages?|results?|table(?: \d+)?|all|logs?|seeds?|sheet ?\d*"
    r"|accuracy|new|old|final|copy|v\d+)\b|\.\w{3,4}$",
    re.IGNORECASE,
)
_OF_RUNS = {*RUN, "n", "rule", "windows", "epoch"}

ROOT_OF_26 = 26
"""27 runs of nine subjects and three seeds: a divisor that was copied into tables with other numbers of runs."""


@dataclass(frozen=True)
class Runs:
    """The single runs of one thing, in one table."""

    claims: tuple[Claim, ...]

    @cached_property
    def values(self) -> list[float]:
        """Their finite numbers."""
        return [claim.value for claim in self.claims if claim.value is not None]

    @cached_property
    def rounding(self) -> float:
        """What rounding may have taken from each."""
        return min((rounding(claim.text) for claim in self.claims), default=0.0)

    @property
    def n(self) -> int:
        """How many gave a number."""
        return len(self.values)

    def means(self) -> dict[str, float]:
        """What may be stated of them, by the name of the rule."""
        ordered, means = sorted(self.values, reverse=True), {}
        if not ordered:
            return {}
        means["mean"] = float(np.mean(ordered))
        folds = self._of("fold", "subject")
        if len(folds) > 1:
            means["mean over folds"] = float(np.mean([np.mean(fold) for fold in folds]))
        weights = [
            float(claim.settings.get("windows", 0))
            for claim in self.claims
            if claim.value is not None
        ]
        if all(weights):
            means["mean over windows"] = float(np.average(self.values, weights=weights))
        means[f"best of {self.n}"] = ordered[0]
        means |= {f"best {k} of {self.n}": float(np.mean(ordered[:k])) for k in range(2, self.n)}
        return means

    def spreads(self) -> dict[str, float]:
        """What may stand behind ±, by its name."""
        sd = sample_sd(self.values)
        if sd is None:
            return {}
        n, ordered = self.n, sorted(self.values, reverse=True)
        spreads = {"SD": sd, "SD with n": sd * ((n - 1) / n) ** 0.5, "SD/√n": sd / n**0.5}
        spreads |= {"SD/√(n−1)": sd / (n - 1) ** 0.5} if n > 2 else {}
        spreads |= {f"SD/√{ROOT_OF_26}": sd / ROOT_OF_26**0.5} if n != ROOT_OF_26 + 1 else {}
        for name, keys in (
            ("SD over folds", ("fold", "subject")),
            ("SD over seeds", ("seed", "run")),
        ):
            groups = self._of(*keys)
            if 1 < len(groups) < n:
                spreads[name] = sample_sd([float(np.mean(group)) for group in groups]) or 0.0
        return spreads | {
            f"SD of the best {k} of {n}": sample_sd(ordered[:k]) or 0.0 for k in range(2, n)
        }

    def _of(self, *keys: str) -> list[list[float]]:
        groups: dict[str, list[float]] = {}
        for claim in self.claims:
            name = next((claim.settings[key] for key in keys if key in claim.settings), None)
            if name is not None and claim.value is not None:
                groups.setdefault(name, []).append(claim.value)
        return list(groups.values())


class Evidence:
    """All claims of a source, ready to be asked what else is told of one of them."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.stated = [c for c in claims if not c.is_run and c.value is not None and is_share(c)]
        runs: dict[tuple[str, frozenset[str]], list[Claim]] = {}
        for claim in claims:
            if claim.is_run and is_share(claim):
                runs.setdefault((claim.block, claim.about), []).append(claim)
        blocks = dict.fromkeys(claim.block for claim in self.stated)
        self._order = {block: number for number, block in enumerate(blocks)}
        self.runs = [Runs(tuple(grouped)) for grouped in runs.values()]
        self._runs: dict[frozenset[str], list[Runs]] = {}
        for group in self.runs:
            for key in _keys(group.claims[0]):
                self._runs.setdefault(key, []).append(group)
        self._cells: dict[frozenset[str], list[Claim]] = {}
        for claim in self.stated:
            for key in _keys(claim):
                self._cells.setdefault(key, []).append(claim)

    def runs_of(self, claim: Claim) -> Runs | None:
        """Return the single runs of what a claim is about: of its own row or table first."""
        backing = [
            runs
            for key in _keys(claim)
            for runs in self._runs.get(key, [])
            if runs.n > 1 and _backs(runs.claims[0], claim)
        ]
        mine = [runs for runs in backing if runs.claims[0].block == claim.block]
        return next(iter(mine or backing), None)

    def own(self, claim: Claim) -> Runs | None:
        """Return the runs of a claim, or None where a number of its row does not follow from its runs.

        Such a row holds numbers of something else, so nothing can be said of their rule and spread.
        """
        return None if (claim.block, claim.line) in self._foreign else self.runs_of(claim)

    @cached_property
    def _foreign(self) -> set[tuple[str, int]]:
        return {
            (claim.block, claim.line)
            for claim in self.stated
            if (runs := self.runs_of(claim)) is not None and not rules_of(claim, runs)
        }

    def elsewhere(self, claim: Claim) -> Claim | None:
        """Return a cell of an earlier table that is about the same, or None."""
        for key in _keys(claim):
            for other in self._cells.get(key, []):
                if self._order[other.block] < self._order[claim.block] and _repeats(other, claim):
                    return other
        return None


def _backs(run: Claim, stated: Claim) -> bool:
    """Whether a run may be one of those behind a stated number."""
    titles = subject(run), subject(stated)
    return _alike(run, stated) and (
        run.block == stated.block or titles[0] == titles[1] or "" in titles or _nested(run, stated)
    )


def _repeats(a: Claim, b: Claim) -> bool:
    """Whether two stated numbers should be one: of tables with the same title, or a title that is a label."""
    return _alike(a, b) and (_nested(a, b) or subject(a) == subject(b) != "")


def close(a: float, b: float, slack: float) -> bool:
    """Whether two numbers are equal but for what rounding took."""
    return abs(a - b) <= 1.001 * slack + 1e-9


def rules_of(claim: Claim, runs: Runs) -> tuple[str, ...]:
    """Return the rules by which a number follows from runs, the usual ones first.

    The mean of the best few is one of many numbers: where a spread is stated, it must be that of the same few.
    """
    slack = rounding(claim.text) + runs.rounding
    value = float("nan") if claim.value is None else claim.value
    rules = [name for name, mean in runs.means().items() if close(value, mean, slack)]
    spreads = runs.spreads()
    return tuple(
        name for name in rules
        if claim.spread is None or f"SD of the {name}" not in spreads
        or close(claim.spread, spreads[f"SD of the {name}"], slack)
    )  # fmt: skip


def rounding(text: str) -> float:
    """Return what rounding may have taken from a number as it stands."""
    return 0.5 * 10.0 ** -digits(text)


def _keys(claim: Claim) -> list[frozenset[str]]:
    """Return what a claim is looked up by: its labels, without and with the title of its table."""
    return [claim.about, claim.about | {subject(claim)} - {""}]


def subject(claim: Claim) -> str:
    """Return what the title of a claim's table is about, without settings and words such as summary and runs."""
    return normal(_GENERIC.sub(" ", without_settings(claim.table)))


def _alike(a: Claim, b: Claim) -> bool:
    """Whether two claims are about the same thing under the same settings, whatever their tables are called."""
    common = set(a.settings) & set(b.settings) - _OF_RUNS
    if any(a.settings[key] != b.settings[key] for key in common):
        return False
    return a.about == b.about or _nested(a, b)


def _nested(a: Claim, b: Claim) -> bool:
    """Whether what the title of one table says is a label of the other."""
    return a.about != b.about and (
        a.about == b.about | {subject(b)} or b.about == a.about | {subject(a)}
    )
