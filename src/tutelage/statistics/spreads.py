"""Means over folds, and spreads that carry their name."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Cells = Mapping[tuple[str, int], float]
"""One value per (fold, seed)."""

SpreadKind = Literal["seeds", "folds", "pooled", "runs", "error"]


@dataclass(frozen=True)
class Spread:
    """A spread with its name; ``value`` is None where too few runs exist to estimate it."""

    value: float | None
    name: str
    n: int


def as_cells(values: Cells | Sequence[float]) -> Cells:
    """Return values by (fold, seed); a plain sequence is the seeds of a single fold."""
    return values if isinstance(values, Mapping) else {("", i): v for i, v in enumerate(values)}


def by_fold(values: Cells) -> dict[str, dict[int, float]]:
    """Return ``{fold: {seed: value}}``."""
    folds: dict[str, dict[int, float]] = defaultdict(dict)
    for (fold, seed), value in values.items():
        folds[fold][seed] = value
    return dict(folds)


def mean_of_folds(values: Cells) -> float:
    """Mean over folds of the mean over seeds: a fold with a hole counts as much as any other."""
    if not values:
        return float("nan")
    return float(np.mean([np.mean(list(seeds.values())) for seeds in by_fold(values).values()]))


def _over_seeds(values: Cells) -> Spread:
    folds = list(by_fold(values).values())
    shared = sorted(set.intersection(*(set(fold) for fold in folds))) if folds else []
    means = [float(np.mean([fold[seed] for fold in folds])) for seed in shared]
    return Spread(sample_sd(means), "SD over seeds", len(means))


def _over_folds(values: Cells) -> Spread:
    means = [float(np.mean(list(seeds.values()))) for seeds in by_fold(values).values()]
    return Spread(sample_sd(means), "SD over folds", len(means))


def pooled_variance(values: Cells) -> tuple[float | None, int]:
    """Return the variance over seeds within a fold, pooled over folds, and its degrees of freedom."""
    folds = [list(seeds.values()) for seeds in by_fold(values).values() if len(seeds) > 1]
    freedom = sum(len(fold) - 1 for fold in folds)
    squares = sum(float(np.var(fold, ddof=1)) * (len(fold) - 1) for fold in folds)
    return (squares / freedom if freedom else None), freedom


def _pooled(values: Cells) -> Spread:
    variance, _ = pooled_variance(values)
    value = None if variance is None else float(np.sqrt(variance))
    return Spread(value, "pooled seed SD", len(values))


def _over_runs(values: Cells) -> Spread:
    return Spread(sample_sd(list(values.values())), "SD over runs", len(values))


def _error(values: Cells) -> Spread:
    sd = sample_sd(list(values.values()))
    error = None if sd is None else sd / float(np.sqrt(len(values)))
    return Spread(error, "standard error, SD over runs / √n", len(values))


def sample_sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1), or None of fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


_SPREADS: dict[SpreadKind, Callable[[Cells], Spread]] = {
    "seeds": _over_seeds,
    "folds": _over_folds,
    "pooled": _pooled,
    "runs": _over_runs,
    "error": _error,
}


def spread(values: Cells | Sequence[float], kind: SpreadKind) -> Spread:
    """Return a spread that carries its name.

    Args:
        values: one value per (fold, seed), or a plain sequence: the seeds of a single fold.
        kind: ``seeds``: sample SD over seeds of the mean over folds (seeds that every fold has);
            ``folds``: sample SD over folds (or subjects) of the mean over seeds;
            ``pooled``: root of the variance over seeds within a fold, pooled over folds;
            ``runs``: sample SD over all folds and seeds together;
            ``error``: that, divided by the square root of their number: what some publications call ±.

    Returns:
        The spread; every SD divides by n - 1.

    Raises:
        ValueError: an unknown kind.

    Examples:
        >>> spread([0.80, 0.82, 0.84], "seeds")
        Spread(value=0.01999..., name='SD over seeds', n=3)
    """
    if kind not in _SPREADS:
        raise ValueError(f"spread: unknown kind {kind!r} (allowed: {', '.join(_SPREADS)})")
    return _SPREADS[kind](as_cells(values))
