"""The shortest mixture of vectors, with a cap on each share: a small quadratic programme, exactly."""

from functools import lru_cache
from itertools import product

import torch
from torch import Tensor

_ENUMERATED = 5  # up to 3^5 = 243 small linear systems at once; beyond, one after the other
_RIDGE = 1e-9  # times the mean squared norm: makes the answer unique and equal for equal vectors
_SLACK = 1e-9  # of a bound, for rounding


def min_norm_mixture(gram: Tensor, cap: float) -> Tensor:
    """Return ``argmin_a aᵀ G a`` subject to ``Σ a = 1`` and ``0 <= a_k <= cap``.

    Args:
        gram: inner products ``<v_i, v_j>`` of K vectors, [K, K], symmetric, positive semi-definite.
        cap: largest share, at least 1/K; from 1 on it has no effect.

    Returns:
        [K], float64. Where several mixtures are equally short (equal vectors), the most even one; 1/K each where
        all vectors are zero.

    Source:
        Du et al. 2020, AE-KD, NeurIPS 33: the dual of a one-class support vector machine with kernel G, which
        their code calls. Without the cap it is the minimum-norm point of Sener & Koltun 2018, arXiv:1810.04650.
        Up to five vectors every active set is solved at once and the best feasible one is taken; more are solved
        by a primal active-set method. Both are exact and deterministic.

    Examples:
        >>> [round(float(share), 4) for share in min_norm_mixture(torch.diag(torch.tensor([1, 4, 1])), 1.0)]
        [0.4444, 0.1111, 0.4444]
    """
    count = gram.shape[0]
    if cap * count <= 1 + _SLACK:
        return torch.full((count,), 1 / count, dtype=torch.float64, device=gram.device)
    # Vectors too short to have a direction: then every mixture is as good, and the ridge decides.
    kind = gram.dtype if gram.is_floating_point() else torch.float64
    gram = gram.double()
    unit = gram / gram.diagonal().mean().clamp_min(torch.finfo(kind).tiny)
    unit = unit + _RIDGE * torch.eye(count).to(unit)
    solve = _by_enumeration if count <= _ENUMERATED else _by_active_set
    shares = solve(unit, min(cap, 1.0)).clamp(0.0, cap)
    return shares / shares.sum()


@lru_cache(maxsize=16)
def _patterns(count: int) -> tuple[Tensor, Tensor]:
    """Return every way to put each share at 0, at the cap, or free: [3^K, K] masks (at the cap, free)."""
    states = torch.tensor(list(product((0, 1, 2), repeat=count)))
    return states == 1, states == 2


def _by_enumeration(gram: Tensor, cap: float) -> Tensor:
    """Solve the stationarity conditions of every active set and take the best feasible solution.

    The programme is strictly convex, so its solution is the stationary point of its own active set, and no other
    feasible candidate is better. Shares at a bound have the row ``a_k = bound``; free ones ``(G a)_k + m = 0``.
    """
    count = gram.shape[0]
    at_cap, free = (mask.to(gram.device) for mask in _patterns(count))
    identity = torch.eye(count, dtype=gram.dtype, device=gram.device)
    system = gram.new_zeros(len(free), count + 1, count + 1)
    system[:, :count, :count] = torch.where(free[:, :, None], gram, identity)
    system[:, :count, count] = free.to(gram.dtype)
    system[:, count, :count] = 1.0
    # Without a free share there is no multiplier: the last row would be singular, and the sum is checked below.
    system[:, count] = torch.where(
        free.any(dim=1)[:, None], system[:, count], torch.eye(count + 1).to(gram)[count]
    )
    right = gram.new_zeros(len(free), count + 1)
    right[:, :count] = at_cap.to(gram) * cap  # a bool times a number would be float32
    right[:, count] = free.any(dim=1).to(gram.dtype)
    solved: Tensor = torch.linalg.solve_ex(system, right)[0]
    shares = solved[:, :count]
    feasible = (
        (shares > -_SLACK).all(dim=1)
        & (shares < cap + _SLACK).all(dim=1)
        & ((shares.sum(dim=1) - 1).abs() < _SLACK)
    )
    lengths = torch.einsum("pi,ij,pj->p", shares, gram, shares)
    best = torch.where(feasible, lengths, torch.inf).argmin()
    return shares.index_select(0, best[None])[
        0
    ]  # an index of one number would be fetched from a GPU


def _by_active_set(gram: Tensor, cap: float) -> Tensor:
    """Walk along active sets: solve for the free shares, stop at the first bound, let go of a bound that pulls.

    Strictly convex, so that every step lowers the length and no active set comes twice.
    """
    gram = gram.cpu()
    count = gram.shape[0]
    shares = torch.full((count,), 1.0 / count, dtype=gram.dtype)
    free = torch.ones(count, dtype=torch.bool)
    for _ in range(20 * count * count):
        wanted = _on_face(gram, shares, free)
        step = wanted - shares
        room = torch.where(step > 0, cap - shares, shares)
        reach = torch.where(step.abs() > _SLACK, room / step.abs().clamp_min(_SLACK), torch.inf)
        first = int(torch.where(free, reach, torch.inf).argmin())
        if free[first] and reach[first] < 1:
            shares = shares + reach[first] * step
            shares[first] = cap if step[first] > 0 else 0.0
            free[first] = False
            continue
        shares = wanted
        slope = gram @ shares
        level = slope[free].mean() if bool(free.any()) else _level(slope, shares)
        # A share at 0 wants to grow where its slope is below the level, one at the cap to shrink where above.
        pull = torch.where(shares < cap / 2, level - slope, slope - level)
        pull = torch.where(free, -torch.inf, pull)
        strongest = int(pull.argmax())
        if pull[strongest] <= _SLACK:
            break
        free[strongest] = True
    return shares


def _level(slope: Tensor, shares: Tensor) -> Tensor:
    """Return a multiplier for a corner: between the slopes of the shares at the cap and of those at 0."""
    return (slope[shares > 0].max() + slope[shares <= 0].min()) / 2


def _on_face(gram: Tensor, shares: Tensor, free: Tensor) -> Tensor:
    """Return the shortest mixture whose bound shares stay where they are."""
    if not bool(free.any()):
        return shares
    count = int(free.sum())
    system = gram.new_zeros(count + 1, count + 1)
    system[:count, :count] = gram[free][:, free]
    system[:count, count] = 1.0
    system[count, :count] = 1.0
    right = torch.cat(
        [-(gram[free][:, ~free] @ shares[~free]), (1 - shares[~free].sum()).reshape(1)]
    )
    moved = shares.clone()
    moved[free] = torch.linalg.solve(system, right)[:count]
    return moved
