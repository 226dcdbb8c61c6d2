"""Mixtures of what several networks say: weights chosen on some people and read on others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

__all__ = ["blocks", "cross_fitted", "likeliest", "probabilities"]

FLOOR = 1e-12
"""Smallest probability of a true class: a network that is sure and wrong has lost no more than this."""


def probabilities(logits: Array) -> Array:
    """Return the softmax over classes, [..., C]."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normal: Array = shifted / shifted.sum(axis=-1, keepdims=True)
    return normal


def likeliest(truth: Array, steps: int = 500, tolerance: float = 1e-9) -> Array:
    """Return the weights on the simplex whose mixture makes the true classes likeliest.

    The likelihood is concave, so these weights have no neighbour to be stuck at.

    Args:
        truth: what each of K networks gives to the true class, [K, n].
        steps: of expectation maximisation, at most.
        tolerance: it ends when no weight moves by more.

    Returns:
        [K], summing to one.

    Source:
        Dempster, Laird & Rubin 1977, J. R. Stat. Soc. B 39(1), sec. 4.3: mixing proportions of known densities.

    Examples:
        >>> likeliest(np.array([[0.9, 0.8, 0.9], [0.1, 0.2, 0.1]])).round(3).tolist()
        [1.0, 0.0]
    """
    known = np.maximum(truth, FLOOR)
    weights = np.full(len(known), 1 / len(known))
    for _ in range(steps):
        owned = weights[:, None] * known
        new = (owned / owned.sum(axis=0)).mean(axis=1)
        moved, weights = np.abs(new - weights).max(), new
        if moved < tolerance:
            break
    return weights


def blocks(groups: Sequence[object] | NDArray[Any], count: int, most: int = 5) -> NDArray[np.int64]:
    """Return the part that each sample belongs to, [n]: whole people, or, of a single one, neighbouring samples.

    Args:
        groups: who each sample is of.
        count: samples.
        most: parts.

    Examples:
        >>> blocks(["b", "a", "b", "c"], 4, most=2).tolist(), blocks(["a"] * 4, 4, most=2).tolist()
        ([1, 0, 1, 0], [0, 0, 1, 1])
    """
    names, owner = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) > 1:
        return np.asarray(owner % min(most, len(names)), dtype=np.int64)
    return np.arange(count) * min(most, count) // max(count, 1)


def cross_fitted(
    said: Array, labels: NDArray[np.int64], parts: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Mix every part with the weights that are likeliest on all others.

    Args:
        said: probabilities of K networks, [K, n, C].
        labels: true classes, [n].
        parts: the part of each sample, [n]; with a single one nothing can be chosen, and weights are equal.

    Returns:
        The mixture, [n, C], each sample mixed by those who did not choose on it; and the mean of the weights, [K].
    """
    truth = said[:, np.arange(said.shape[1]), labels]
    mixed, chosen = np.empty_like(said[0]), []
    for part in np.unique(parts):
        mine = parts == part
        rest = truth[:, ~mine]
        weights = likeliest(rest) if rest.shape[1] else np.full(len(said), 1 / len(said))
        mixed[mine] = np.tensordot(weights, said[:, mine], axes=1)
        chosen.append(weights)
    return mixed, np.mean(chosen, axis=0)
