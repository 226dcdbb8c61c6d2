"""Greedy maximisation of a sum of scores and a facility location: naive, and lazy with the same picks.

Two concepts that are like each other alone have the same gain, so ties are common, and rounding would break them
at random. Numbers are therefore brought to a grid (2^-50 of the greatest possible gain) where every sum is exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, float64
from torch.nn import functional as F

Likeness = Literal["cosine", "squared_cosine"]
Floats = NDArray[np.float64]

_BITS = 50  # of a gain on the grid; a double has 53
# Candidates evaluated together before a pick; doubles as long as none of them is certain.
_FIRST = 8


@dataclass(frozen=True)
class Picks:
    """What greedy took.

    Attributes:
        order: candidates, in the order in which they were taken.
        gains: how much each added to the value; they never rise.
        evaluations: how many gains of single candidates were computed for it.
    """

    order: tuple[int, ...]
    gains: tuple[float, ...]
    evaluations: int


def likeness(embeddings: Tensor, kind: Likeness = "cosine") -> Tensor:
    """How well each concept stands for each other one: what coverage adds up.

    Args:
        embeddings: of the n candidates of a class, [n, D].
        kind: ``cosine``, clipped at 0 because a facility location needs numbers that are not negative, or
            ``squared_cosine``, which is what apricot's ``metric="cosine"`` computes and so probably what released
            selections of LaBo used.

    Returns:
        [n, n], between 0 and 1, symmetric to the last bit, 1 on the diagonal.

    Source:
        Yang et al. 2023, LaBo, arXiv:2211.11158: φ(c1, c2), cosine of text embeddings.
    """
    unit = F.normalize(embeddings if embeddings.dtype == float64 else embeddings.float(), dim=1)
    cosines = unit @ unit.mT
    cosines = (cosines + cosines.mT) / 2
    found = (cosines.square() if kind == "squared_cosine" else cosines).clamp(0.0, 1.0)
    return found.fill_diagonal_(1.0)


def value(scores: ArrayLike, coverage: ArrayLike, picked: Sequence[int]) -> float:
    """The objective: ``Σ_{c in picked} scores[c] + Σ_i max_{c in picked} coverage[c, i]``, 0 for no pick."""
    modular, rows = _checked(scores, coverage)
    chosen = list(picked)
    return float(modular[chosen].sum() + rows[chosen].max(axis=0, initial=0.0).sum())


def naive_greedy(scores: ArrayLike, coverage: ArrayLike, count: int) -> Picks:
    """Take the candidate with the greatest gain, ``count`` times, computing all gains each time.

    Args:
        scores: [n], what each candidate brings whatever else is taken; coefficient included.
        coverage: [n, m], how well each candidate covers each of m items, >= 0; coefficient included.
        count: how many to take; all where there are fewer.

    Returns:
        The picks; the lowest index where gains are equal.

    Raises:
        ValueError: shapes that do not fit, a number that is not finite, or a coverage below 0.

    Source:
        Nemhauser, Wolsey & Fisher 1978: within 1 - 1/e of the best set where scores are >= 0. O(count n m).

    Examples:
        >>> naive_greedy([0.0, 0.0, 0.0], [[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]], 2).order
        (0, 2)
    """
    modular, rows = _checked(scores, coverage)
    covered = np.zeros(rows.shape[1])
    free = np.ones(len(modular), dtype=bool)
    order, gained = [], []
    for _ in range(min(count, len(modular))):
        gains = np.where(free, _gains(modular, rows, covered), -np.inf)
        best = int(gains.argmax())
        order.append(best)
        gained.append(float(gains[best]))
        free[best] = False
        np.maximum(covered, rows[best], out=covered)
    return Picks(tuple(order), tuple(gained), len(modular) * len(order))


def lazy_greedy(scores: ArrayLike, coverage: ArrayLike, count: int) -> Picks:
    """Take the same candidates as `naive_greedy`, computing few gains.

    A gain never rises as more is taken, so that an earlier gain bounds the present one. Before each pick only
    candidates whose bound could still win are evaluated, several at once. As sums are exact, so is the bound:
    picks and gains are equal to the bit.

    Args:
        scores: as in `naive_greedy`.
        coverage: as in `naive_greedy`.
        count: as in `naive_greedy`.

    Returns:
        The picks of `naive_greedy`.

    Raises:
        ValueError: as in `naive_greedy`.

    Source:
        Minoux 1978, Accelerated greedy algorithms.

    Examples:
        >>> lazy_greedy([0.0, 0.0, 0.0], [[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]], 2).order
        (0, 2)
    """
    modular, rows = _checked(scores, coverage)
    covered = np.zeros(rows.shape[1])
    bounds = _gains(modular, rows, covered)
    order: list[int] = []
    gained: list[float] = []
    evaluations = len(modular)
    for _ in range(min(count, len(modular))):
        if order:
            for batch in _promising(bounds):
                bounds[batch] = _gains(modular[batch], rows[batch], covered)
                evaluations += len(batch)
        best = int(bounds.argmax())
        order.append(best)
        gained.append(float(bounds[best]))
        bounds[best] = -np.inf
        np.maximum(covered, rows[best], out=covered)
    return Picks(tuple(order), tuple(gained), evaluations)


def _promising(bounds: Floats) -> Iterator[NDArray[np.intp]]:
    """Yield candidates to evaluate, most promising first, until the greatest bound is a present gain.

    The caller writes the present gains into ``bounds`` between one batch and the next.
    """
    stale = bounds > -np.inf
    size = _FIRST
    while stale[bounds.argmax()]:
        waiting = np.flatnonzero(stale)
        if size < len(waiting):
            waiting = waiting[np.argpartition(-bounds[waiting], size)[:size]]
        stale[waiting] = False
        yield waiting
        size *= 2


def _gains(modular: Floats, rows: Floats, covered: Floats) -> Floats:
    """What each candidate brings beyond what is covered, [b]."""
    surplus = rows - covered
    np.maximum(surplus, 0.0, out=surplus)
    total: Floats = modular + surplus.sum(axis=1)
    return total


def _checked(scores: ArrayLike, coverage: ArrayLike) -> tuple[Floats, Floats]:
    modular = np.ascontiguousarray(scores, dtype=np.float64)
    rows = np.ascontiguousarray(coverage, dtype=np.float64)
    if modular.ndim != 1 or rows.ndim != 2 or len(modular) != len(rows):
        raise ValueError(
            f"coverage: shape {list(rows.shape)} for scores of shape {list(modular.shape)}; "
            "allowed: [candidates, items] for [candidates]"
        )
    if not (np.isfinite(modular).all() and np.isfinite(rows).all()):
        raise ValueError("scores, coverage: not all numbers are finite")
    if rows.size and rows.min() < 0:
        raise ValueError(f"coverage: {rows.min():.4g} is among it; allowed: numbers from 0 on")
    greatest = float(np.abs(modular).max(initial=0.0)) + rows.shape[1] * float(
        rows.max(initial=0.0)
    )
    bits = _BITS - int(np.frexp(greatest)[1])
    return _on_grid(modular, bits), _on_grid(rows, bits)


def _on_grid(x: Floats, bits: int) -> Floats:
    """Round to multiples of 2^-bits."""
    found: Floats = np.ldexp(np.rint(np.ldexp(x, bits)), -bits)
    return found
