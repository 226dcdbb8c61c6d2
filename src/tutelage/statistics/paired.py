"""Honest intervals for matched runs: how large is a difference, and may it be claimed?

Pairs of one fold share the people they were tested on, so they are no independent evidence. The decision is made
by a model with two levels: folds (people), and the seeds of each fold. With several folds the question is *new
people*: what is independent are the folds, each with the mean of its seeds. With one fold only *this split,
trained again* can be asked, and its seeds are what is independent. ``docs/report.md`` states the rule,
``benchmarks/interval_coverage`` measures it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tutelage.statistics.spreads import Cells, as_cells, by_fold, pooled_variance

Verdict = Literal["better", "worse", "not distinguishable"]
Question = Literal["new people", "this split"]
Name = TypeVar("Name")

FEWEST_UNITS = 3
"""Below this many folds (of one fold: seeds) no difference is ever claimed."""


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval, and what it is about."""

    low: float
    high: float
    about: str

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends lie strictly on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class PairedDifference:
    """The mean of a - b over matched runs and what may be said about it.

    Args:
        pairs: how many pairs of a fold and a seed.
        folds: of how many folds.
        mean: over folds of the mean over seeds; NaN without pairs.
        sd: sample SD of what is independent: fold means, or the seeds of a single fold; None of fewer than two.
        within: SD over the seeds of a fold, pooled over folds; None where no fold has two.
        confidence: in (0, 1).
        interval: the one that decides; its question is :attr:`question`.
        again: these very folds, trained again with other seeds; says nothing of other people. None where no fold
            has two seeds.
        p_value: of the deciding test, alone; 1 where nothing may be claimed.
        adjusted_p: after Holm's correction for everything that was compared together.
        compared: how many differences that is.
    """

    pairs: int
    folds: int
    mean: float
    sd: float | None
    within: float | None
    confidence: float
    interval: Interval | None
    again: Interval | None
    p_value: float
    adjusted_p: float
    compared: int = 1

    @property
    def question(self) -> Question:
        """What the deciding interval is about."""
        return "new people" if self.folds > 1 else "this split"

    @property
    def units(self) -> int:
        """How many independent numbers decide: folds, or the seeds of a single one."""
        return self.folds if self.folds > 1 else self.pairs

    @property
    def verdict(self) -> Verdict:
        """What may be claimed after the correction for several comparisons."""
        if self.adjusted_p >= 1 - self.confidence:
            return "not distinguishable"
        return "better" if self.mean > 0 else "worse"


def paired_difference(
    a: Cells | Sequence[float], b: Cells | Sequence[float], *, confidence: float = 0.95
) -> PairedDifference:
    """Compare matched values on the folds and seeds that both have.

    Args:
        a: values of the first side by (fold, seed); a plain sequence is the seeds of one fold.
        b: values of the second side.
        confidence: in (0, 1).

    Raises:
        ValueError: sequences of unequal length, values that are not finite, or a confidence outside (0, 1).

    Source:
        Balanced two-level random model: the mean over F folds has variance MS_folds / (F S) with F - 1 degrees of
        freedom, which is Student's t over fold means (Searle, Casella & McCulloch 1992, ch. 3).

    Examples:
        >>> both = paired_difference({("a", 0): 3.0, ("b", 0): 1.0}, {("a", 0): 0.0, ("b", 0): 0.0})
        >>> both.mean, both.folds, both.verdict
        (2.0, 2, 'not distinguishable')
    """
    if not isinstance(a, Mapping) and not isinstance(b, Mapping) and len(a) != len(b):
        raise ValueError(f"paired_difference: a has {len(a)} values, b has {len(b)}; pairs match")
    if not 0 < confidence < 1:
        raise ValueError(f"paired_difference: confidence is {confidence}; it lies between 0 and 1")
    mine, other = as_cells(a), as_cells(b)
    gains = {key: mine[key] - other[key] for key in mine if key in other}
    if not np.isfinite(list(gains.values())).all():
        raise ValueError("paired_difference: a value is not finite; leave failed runs out")
    folds = by_fold(gains)
    units = _units(folds)
    sd = float(np.std(units, ddof=1)) if len(units) > 1 else None
    mean = float(units.mean()) if len(units) else float("nan")
    about = "new people" if len(folds) > 1 else "this split"
    error = None if sd is None else sd / float(np.sqrt(len(units)))
    p = _p_value(mean, error, len(units))
    within, freedom = pooled_variance(gains)
    return PairedDifference(
        pairs=len(gains),
        folds=len(folds),
        mean=mean,
        sd=sd,
        within=None if within is None else float(np.sqrt(within)),
        confidence=confidence,
        interval=_interval(mean, error, len(units) - 1, confidence, about),
        again=_interval(mean, _error_within(folds, within), freedom, confidence, "these folds"),
        p_value=p,
        adjusted_p=p,
    )


def _units(folds: Mapping[str, Mapping[int, float]]) -> NDArray[np.float64]:
    """Return the independent numbers; rounding is no spread."""
    groups = [list(seeds.values()) for seeds in folds.values()]
    units = np.array(groups[0] if len(groups) == 1 else [np.mean(group) for group in groups])
    if len(units) > 1 and np.ptp(units) < 1e-12:
        return np.full_like(units, units.mean())
    return units


def _error_within(folds: Mapping[str, Mapping[int, float]], variance: float | None) -> float | None:
    """Return the standard error of the mean if only seeds are drawn anew."""
    if variance is None:
        return None
    return float(np.sqrt(variance * sum(1 / len(seeds) for seeds in folds.values()))) / len(folds)


def _interval(
    mean: float, error: float | None, freedom: int, confidence: float, about: str
) -> Interval | None:
    """Return Student's t interval."""
    if error is None:
        return None
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return Interval(mean - half, mean + half, about)


def _p_value(mean: float, error: float | None, units: int) -> float:
    """Return the two-sided p of Student's t; 1 of too few units, or without any spread."""
    if not error or units < FEWEST_UNITS:
        return 1.0
    return float(2 * stats.t.sf(abs(mean) / error, units - 1))


def decided(differences: Mapping[Name, PairedDifference]) -> dict[Name, PairedDifference]:
    """Return differences that were compared together, with Holm's correction for all of them."""
    family = {name: each.p_value for name, each in differences.items() if each.pairs}
    adjusted = holm(family)
    return {
        name: replace(each, adjusted_p=adjusted.get(name, 1.0), compared=max(1, len(family)))
        for name, each in differences.items()
    }


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Holm's step-down adjustment for several comparisons, capped at 1.

    Source:
        Holm 1979, Scand. J. Statistics 6(2), 65-70.

    Examples:
        >>> holm({"a": 0.01, "b": 0.04})
        {'a': 0.02, 'b': 0.04}
    """
    adjusted: dict[Name, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - rank)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}
