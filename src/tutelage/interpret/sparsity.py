"""How much can be said with few concepts? A sparse layer on concept values, and its accuracy at matched sparsity.

A linear layer on many dense values is a linear probe, whatever the values are called: any words of full rank reach
the same accuracy. What concepts are worth shows where a class may read only a few of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "LEVELS",
    "SparseLayer",
    "area",
    "at_levels",
    "effective_concepts",
    "matching_layers",
    "sparse_path",
]

LEVELS = (5, 10, 15, 20, 25, 30)
"""Numbers of effective concepts that are published."""


def effective_concepts(weights: Tensor) -> float:
    """Return the number of effective concepts (NEC): how many concepts a class reads, mean over classes.

    Args:
        weights: of a linear layer on concept values, [C, M].

    Source:
        Srivastava, Yan, Weng 2024, VLG-CBM, NeurIPS, arXiv:2408.01432, sec. 4.

    Examples:
        >>> effective_concepts(torch.tensor([[1.0, 0.0, -2.0], [0.0, 0.0, 0.5]]))
        1.5
    """
    return float((weights != 0).sum()) / len(weights)


@dataclass(frozen=True)
class SparseLayer:
    """A linear layer from concept values to class scores, most of whose weights are zero.

    Args:
        weights: [C, M].
        bias: [C].
        penalty: of the elastic net that found it.
    """

    weights: Tensor
    bias: Tensor
    penalty: float

    @property
    def effective(self) -> float:
        """Its number of effective concepts."""
        return effective_concepts(self.weights)

    def logits(self, values: Tensor) -> Tensor:
        """Return class scores, [B, C], of concept values, [B, M]."""
        return values @ self.weights.mT + self.bias

    def accuracy(self, values: Tensor, labels: Tensor) -> float:
        """Return the part of samples whose class has the highest score."""
        return float((self.logits(values).argmax(dim=1) == labels).double().mean())

    def pruned(self, level: float) -> "SparseLayer":
        """Return the layer with its largest weights alone, over all classes, ``level`` of them a class.

        Source:
            Trustworthy-ML-Lab/VLG-CBM, ``weight_truncation``: by magnitude, over the whole matrix, without refit.
        """
        kept = min(int(level * len(self.weights)), self.weights.numel())
        flat = self.weights.abs().flatten()
        mask = torch.zeros_like(flat).index_fill(0, flat.topk(kept).indices, 1.0)
        return replace(self, weights=self.weights * mask.view_as(self.weights))


def sparse_path(
    values: Tensor,
    targets: Tensor,
    *,
    level: float = LEVELS[-1],
    allowed: Tensor | None = None,
    positive: bool = False,
    share: float = 0.99,
    steps: int = 40,
    iterations: int = 100,
) -> list[SparseLayer]:
    """Fit a multinomial elastic net from the penalty at which no weight is left to a wanted density.

    Minimised is the mean cross entropy + penalty * (share * sum |w| + (1 - share) / 2 * sum w²); the bias is free.

    Args:
        values: of concepts, [n, M]; standardise them, the penalty treats all alike.
        targets: class numbers, [n], or class probabilities, [n, C], such as a teacher's.
        level: the path ends where a class reads this many concepts on average.
        allowed: which concepts a class may read, [C, M] bool; all unless given.
        positive: no weight is below zero: a concept speaks for a class or says nothing.
        share: of the absolute values in the penalty, above 0 and at most 1; the rest is squares.
        steps: penalties at most, each three quarters of the one before.
        iterations: of accelerated proximal gradient at each penalty, which begins where the last one ended.

    Returns:
        Layers in the order of falling penalties; the weights of the first are all zero.

    Raises:
        ValueError: a share outside (0, 1], or targets of one class.

    Source:
        Wong et al. 2021, arXiv:2105.04857 (the path, share 0.99); Beck, Teboulle 2009 (FISTA).
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: {share}; allowed: above 0, at most 1")
    net = _ElasticNet(values, _probabilities(targets, values), allowed, positive, share)
    weights, penalty = net.empty(), net.largest()
    path = [net.layer(weights, penalty)]
    while len(path) <= steps and path[-1].effective < min(level, values.shape[1]):
        penalty *= _STEP
        weights = net.solve(weights, penalty, iterations)
        path.append(net.layer(weights, penalty))
    return path


def matching_layers(
    values: Tensor,
    targets: Tensor,
    *,
    level: int = 10,
    allowed: Tensor | None = None,
    positive: bool = False,
    ridge: float = 1e-3,
    iterations: int = 100,
) -> list[SparseLayer]:
    """Give every class one more concept at a time: the one along which its loss falls fastest; then fit anew.

    Of two concepts that say the same a class takes one. A path of penalties takes both, and pruning by magnitude
    then leaves classes without any.

    Args:
        values: of concepts, [n, M]; standardise them.
        targets: class numbers, [n], or class probabilities, [n, C].
        level: concepts of a class in the last layer.
        allowed: which concepts a class may read, [C, M] bool; all unless given. A class with fewer takes all.
        positive: no weight is below zero.
        ridge: penalty of the squares of the weights, half of it.
        iterations: of accelerated proximal gradient in each round.

    Returns:
        ``level`` layers; number k - 1 has k effective concepts, or fewer where weights ended at zero.

    Raises:
        ValueError: targets of one class.

    Source:
        Pati et al. 1993, orthogonal matching pursuit, for cross entropy (Lozano et al. 2011).
    """
    net = _ElasticNet(values, _probabilities(targets, values), None, positive, share=0.0)
    free = torch.ones_like(net.allowed) if allowed is None else allowed.clone()
    net.allowed = torch.zeros_like(free)
    weights = net.empty()
    layers: list[SparseLayer] = []
    for _ in range(level):
        pull = -net.gradient(weights)[:, :-1]
        best = (pull if positive else pull.abs()).masked_fill(~free, -1.0).argmax(dim=1)
        rows = torch.arange(len(best))
        net.allowed[rows, best] |= free[rows, best]
        free[rows, best] = False
        weights = net.solve(weights, ridge, iterations)
        layers.append(net.layer(weights, ridge))
    return layers


def at_levels(
    path: Sequence[SparseLayer], levels: Sequence[float] = LEVELS
) -> dict[float, SparseLayer]:
    """Return a layer for each number of effective concepts: the first of a path that has as many, pruned to it.

    Where no layer of the path has as many, it is the last one, with fewer.

    Args:
        path: of :func:`sparse_path`.
        levels: the numbers.
    """
    return {
        level: next((one for one in path if one.effective >= level), path[-1]).pruned(level)
        for level in levels
    }


def area(accuracies: Mapping[float, float]) -> float:
    """Return the mean accuracy over numbers of effective concepts: what is published as ANEC-avg.

    Source:
        Srivastava, Yan, Weng 2024, VLG-CBM, NeurIPS, arXiv:2408.01432, sec. 5.
    """
    return sum(accuracies.values()) / len(accuracies)


_STEP = 0.75
_EPS = 1e-12


def _probabilities(targets: Tensor, values: Tensor) -> Tensor:
    y = (F.one_hot(targets.long()) if targets.ndim == 1 else targets).to(values.dtype)
    if y.shape[1] < 2:
        raise ValueError("targets: found one class, allowed: two or more")
    return y


class _ElasticNet:
    """The problem: samples, targets, what is forbidden. Weights are [C, M + 1], their last column is the bias."""

    def __init__(
        self, values: Tensor, y: Tensor, allowed: Tensor | None, positive: bool, share: float
    ) -> None:
        self.x = torch.cat([values, values.new_ones(len(values), 1)], dim=1)
        self.y, self.positive, self.share = y, positive, share
        shape = (y.shape[1], values.shape[1])
        self.allowed = torch.ones(shape, dtype=torch.bool) if allowed is None else allowed
        # Of softmax regression the Hessian is at most half of that of least squares (Böhning 1992).
        self.curvature = float(torch.linalg.matrix_norm(self.x, 2)) ** 2 / (2 * len(values))

    def empty(self) -> Tensor:
        """Return zero weights beside the bias that predicts the shares of the classes."""
        weights = self.x.new_zeros(self.y.shape[1], self.x.shape[1])
        weights[:, -1] = self.y.mean(dim=0).clamp_min(_EPS).log()
        return weights

    def gradient(self, weights: Tensor) -> Tensor:
        """Return the gradient of the mean cross entropy, [C, M + 1]."""
        return ((self.x @ weights.mT).softmax(dim=1) - self.y).mT @ self.x / len(self.x)

    def largest(self) -> float:
        """Return the smallest penalty at which all weights are zero."""
        pull = -self.gradient(self.empty())[:, :-1]
        pull = torch.where(self.allowed, pull if self.positive else pull.abs(), 0.0)
        return float(pull.max()) / self.share

    def solve(self, weights: Tensor, penalty: float, iterations: int) -> Tensor:
        """Return the weights at a penalty, from those at another."""
        rate = 1 / (self.curvature + penalty * (1 - self.share))
        ahead, momentum = weights, 1.0
        for _ in range(iterations):
            slope = self.gradient(ahead)
            slope[:, :-1] += penalty * (1 - self.share) * ahead[:, :-1]
            new = self._shrunk(ahead - rate * slope, rate * penalty * self.share)
            # Momentum that points uphill begins anew (O'Donoghue, Candès 2015).
            momentum = 1.0 if float(((ahead - new) * (new - weights)).sum()) > 0 else momentum
            grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = new + (momentum - 1) / grown * (new - weights)
            weights, momentum = new, grown
        return weights

    def _shrunk(self, weights: Tensor, by: float) -> Tensor:
        inner = weights[:, :-1]
        inner = (inner - by).clamp_min(0) if self.positive else F.softshrink(inner, by)
        return torch.cat([torch.where(self.allowed, inner, 0.0), weights[:, -1:]], dim=1)

    def layer(self, weights: Tensor, penalty: float) -> SparseLayer:
        return SparseLayer(weights[:, :-1], weights[:, -1], penalty)
