"""Cosines of the true class made harder by a margin, as angular heads are trained with."""

from typing import Literal

import torch
from torch import Tensor

from tutelage.losses.precision import full

__all__ = ["MarginForm", "with_margin"]

MarginForm = Literal["multiplicative", "additive"]


def with_margin(
    cosine: Tensor, labels: Tensor, *, margin: float, form: MarginForm, plain: float = 0.0
) -> Tensor:
    """Return the cosines, that of the true class behind a margin.

    Args:
        cosine: of each embedding with each class, [B, C], in [-1, 1].
        labels: [B], int64.
        margin: ``multiplicative``: a whole number m >= 1 that multiplies the angle; ``additive``: what is taken
            from the cosine.
        form: which of both.
        plain: how much of the cosine itself is mixed in, lambda >= 0: (lambda cos + margined) / (1 + lambda).

    Returns:
        [B, C], float32 or finer. ``multiplicative``: (-1)^k cos(m theta) - 2k with k = floor(m theta / pi), which
        falls over the whole half circle from 1 to 1 - 2m.

    Source:
        Liu et al. 2017, SphereFace (A-softmax), arXiv:1704.08063, eq. 7; Wang et al. 2018, AM-softmax,
        arXiv:1801.05599, eq. 6. The cosine of a multiple is Chebyshev's polynomial: its slope is exact at
        both ends, where that of the arc cosine is not.

    Examples:
        >>> with_margin(torch.tensor([[0.5, 0.1]]), torch.tensor([0]), margin=0.35, form="additive")
        tensor([[0.1500, 0.1000]])
    """
    cosine = full(cosine)
    own = cosine.gather(1, labels[:, None])
    harder = own - margin if form == "additive" else _folded(own, int(margin))
    mixed = (plain * own + harder) / (1 + plain)
    return cosine.scatter(1, labels[:, None], mixed.to(cosine.dtype))


def _folded(cosine: Tensor, times: int) -> Tensor:
    """Return the cosine of an angle times a whole number, unfolded so that it keeps falling."""
    angle = torch.acos(cosine.detach().clamp(-1, 1))
    # At half a circle m theta is m pi, which is the end of the last fold and not the beginning of another.
    fold = (times * angle / torch.pi).floor().clamp(0, times - 1)
    before, now = torch.ones_like(cosine), cosine
    for _ in range(times - 1):
        before, now = now, 2 * cosine * now - before
    return (1 - 2 * (fold % 2)) * now - 2 * fold
