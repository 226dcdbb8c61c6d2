"""Maps over the places of an input: what an explanation, or an attribution, says of each of them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.interpret.network import of_class, require_places
from tutelage.types import ConceptStream, Explanation


def stream_of(explanation: Explanation, name: str | None = None) -> ConceptStream:
    """Return the named stream; without a name, the one with the most places.

    Raises:
        ValueError: there is no such stream, or none has more than one place.
    """
    if name is not None:
        if name not in explanation.streams:
            raise ValueError(
                f"stream {name!r} is not in the explanation (it has: {', '.join(explanation.streams)})"
            )
        return explanation.streams[name]
    found = max(explanation.streams.values(), key=lambda stream: math.prod(stream.space))
    if math.prod(found.space) == 1:
        raise ValueError("no stream of the explanation has more than one place")
    return found


def contribution_map(
    explanation: Explanation, classes: Tensor, stream: str | None = None
) -> Tensor:
    """Return how much each place adds to the score of a class: the sum over its concepts.

    Args:
        explanation: contributions to all N classes.
        classes: class of each sample, [B].
        stream: whose places; without a name those of the stream with the most, and all streams that have the same
            places are summed.

    Returns:
        [B, *space].
    """
    chosen = stream_of(explanation, stream)
    together = [
        one
        for name, one in explanation.streams.items()
        if (stream is None and one.space == chosen.space) or name == stream
    ]
    total = sum(of_class(one.contributions.sum(dim=2), classes) for one in together)
    assert isinstance(total, Tensor)
    return total.reshape(len(total), *chosen.space)


def attention_map(
    explanation: Explanation, stream: str | None = None, concept: int | None = None
) -> Tensor:
    """Return how much each place is about a concept, or about its strongest one, [B, *space].

    Args:
        explanation: of a batch.
        stream: whose places; without a name those of the stream with the most.
        concept: number of the concept; None: the largest attention over all concepts, which tells the places
            that the network calls something.
    """
    chosen = stream_of(explanation, stream)
    attention = chosen.attention
    found = attention.amax(dim=2) if concept is None else attention[:, :, concept]
    return found.reshape(len(found), *chosen.space)


def attribution_map(attribution: Tensor, space: Sequence[int]) -> Tensor:
    """Return what an attribution gives to each place: the sum over its channels and positions.

    Args:
        attribution: one number for each entry of the inputs, [B, channels, ...].
        space: places along each axis; they share the positions as evenly as they can.

    Returns:
        [B, *space].
    """
    require_places(attribution.shape, space)
    owner = place_of(attribution.shape[2:], space).to(attribution.device)
    flat = attribution.sum(dim=1).flatten(1)
    total = flat.new_zeros(len(flat), math.prod(space))
    return total.index_add_(1, owner.flatten(), flat).view(len(flat), *space)


def place_of(size: Sequence[int], space: Sequence[int]) -> Tensor:
    """Return the number of the place that each position belongs to, row by row.

    Args:
        size: positions along each axis.
        space: places along each axis.

    Returns:
        Numbers from 0, shaped as ``size``.

    Examples:
        >>> place_of((4,), (2,)).tolist(), place_of((2, 4), (1, 2)).tolist()
        ([0, 0, 1, 1], [[0, 0, 1, 1], [0, 0, 1, 1]])
    """
    found = torch.zeros(tuple(size), dtype=torch.long)
    for axis, (length, count) in enumerate(zip(size, space, strict=True)):
        along = torch.arange(length) * count // length
        shape = [1] * len(size)
        shape[axis] = length
        found = found * count + along.view(shape)
    return found


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps over places as smooth maps over positions (linear between the centres of places).

    Args:
        maps: [B, M, *space].
        size: positions along each axis.

    Returns:
        [B, M, *size].
    """
    mode = "linear" if len(size) == 1 else "bilinear"
    return F.interpolate(maps, tuple(size), mode=mode, align_corners=False)
