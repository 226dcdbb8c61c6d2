"""How far an attention over concepts is from annotated concepts, and how undecided it is."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tutelage.losses.precision import full

_EPSILON = 1e-8


def concept_distance(
    attention: Tensor, annotated: Tensor, *, reduction: Literal["row", "frobenius"] = "row"
) -> Tensor:
    """Squared distance between an attention over concepts and the annotated concepts, shared out evenly.

    A row (of a sample, or of one of its places) whose annotation holds a NaN, or no concept at all, asks for
    nothing: it changes neither value nor gradient.

    Args:
        attention: distributions over concepts, [B, ..., M].
        annotated: how much each concept is present, of the same shape, not negative; divided by its row's sum.
        reduction: ``row``: the batch mean is the squared distance's mean over all annotated rows of the batch;
            ``frobenius``: each sample has the sum over its own rows, the squared Frobenius norm.

    Returns:
        [B]; in ``row``, of each sample the share of its own rows. Zeros if nothing is annotated.

    Source:
        Hong et al., CCT, arXiv:2305.15775: squared Frobenius norm. The released code (jyhong0304/
        concept_centric_transformers, ``concepts_cost``) takes ``row``: M times the mean over elements. Differs
        from it: a row without any concept is left out, where the code divides by zero.

    Examples:
        >>> concept_distance(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
        tensor([0.5000])
    """
    attention = full(attention)
    present = annotated.to(attention)
    total = present.sum(dim=-1, keepdim=True)
    known = total > 0  # false for NaN, too
    wanted = torch.where(known, present, 0.0) / torch.where(known, total, 1.0)
    squares = (attention - wanted).square().sum(dim=-1)
    own = torch.where(known.squeeze(-1), squares, 0.0).reshape(len(attention), -1).sum(dim=1)
    if reduction == "frobenius":
        return own
    return own * len(attention) / known.sum().clamp_min(1)


def attention_entropy(attention: Tensor, *, reduction: Literal["mean", "row"] = "mean") -> Tensor:
    """Entropy of an attention over concepts: 0 where every place attends to one concept alone.

    Args:
        attention: distributions over concepts, [B, ..., M].
        reduction: ``row``: mean over rows of the entropy, between 0 and log M; ``mean``: divided by M, too.

    Returns:
        [B], in nats.

    Source:
        Hong et al., CCT, arXiv:2305.15775; the released code (``ent_loss``) takes ``mean``, so that its scale
        shrinks with the number of concepts.

    Examples:
        >>> attention_entropy(torch.tensor([[0.5, 0.5]]), reduction="row")
        tensor([0.6931])
    """
    attention = full(attention)
    parts = -attention * torch.log(attention + _EPSILON)
    entropy = parts.reshape(len(attention), -1).mean(dim=1)
    return entropy if reduction == "mean" else entropy * attention.shape[-1]


def on_grid(annotated: Tensor, space: Sequence[int]) -> Tensor:
    """Return annotations of places on a finer or coarser grid.

    A coarser place has of each concept the most that is annotated in it, NaN where nothing is; a finer one that of
    the place it lies in.

    Args:
        annotated: [B, *places, M].
        space: places wanted; on each axis a divisor or a multiple of those annotated.

    Raises:
        ValueError: an axis is neither.
    """
    given = annotated.shape[1:-1]
    pairs = list(zip(given, space, strict=False))
    if len(given) != len(space) or any(have % want and want % have for have, want in pairs):
        raise ValueError(
            f"concepts are annotated at {_text(given)} places, attended to at {_text(space)}; allowed: on each "
            "axis a divisor or a multiple (set places of the network)"
        )
    placed = annotated
    for axis, (have, want) in enumerate(pairs, start=1):
        if want >= have:
            placed = placed.repeat_interleave(want // have, dim=axis)
        else:
            shape = (*placed.shape[:axis], want, have // want, *placed.shape[axis + 1 :])
            most = placed.reshape(shape).nan_to_num(nan=-torch.inf).amax(dim=axis + 1)
            placed = torch.where(most == -torch.inf, torch.nan, most)
    return placed


def _text(space: Sequence[int]) -> str:
    return " x ".join(map(str, space))
