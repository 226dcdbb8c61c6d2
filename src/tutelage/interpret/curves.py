"""Deletion and insertion: how a class's score changes as places, or concepts, go or come in some order."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tutelage.interpret.network import of_class, require_places
from tutelage.interpret.places import place_of
from tutelage.types import Explanation

Logits = Callable[[Tensor], Tensor]
Score = Literal["probability", "logit"]
Order = Literal["contribution", "attention", "random"]
ORDERS: tuple[Order, ...] = ("contribution", "attention", "random")


@dataclass(frozen=True)
class Curve:
    """A class's score as more and more is deleted or inserted.

    Args:
        fractions: which part of all places (concepts) is done, [S + 1], from 0 to 1.
        values: the score then, [B, S + 1].
    """

    fractions: Tensor
    values: Tensor

    @property
    def area(self) -> Tensor:
        """Area under the curve of each sample, [B] (trapezoids): low is good for deletion, high for insertion."""
        return torch.trapezoid(self.values, self.fractions.to(self.values), dim=1)


def deletion(
    logits: Logits,
    x: Tensor,
    ranking: Tensor,
    classes: Tensor,
    *,
    baseline: Tensor | None = None,
    steps: int = 32,
    score: Score = "probability",
) -> Curve:
    """Blot out the places of an input, the highest of the ranking first, and follow the score of a class.

    Args:
        logits: from standardised inputs [B, channels, ...] to [B, N].
        x: the inputs.
        ranking: a number for each place, [B, *space], such as a contribution map.
        classes: class of each sample, [B].
        baseline: what stands for a place that is gone, of a shape that fits ``x``; zeros, which are the
            training mean of each channel, unless given.
        steps: parts in which the places go; at most as many as there are places.
        score: the class's probability, or its logit.

    Returns:
        Values from the whole input to the bare baseline.

    Source:
        Petsiuk, Das, Saenko 2018, RISE, arXiv:1806.07421, sec. 3.5. They delete single pixels and insert into a
        blurred image; here a place of the ranking is the unit, and ``baseline`` may be a blurred input.
    """
    end = torch.zeros_like(x) if baseline is None else baseline.expand_as(x)
    space = tuple(ranking.shape[1:])
    require_places(x.shape, space)
    if steps < 1:
        raise ValueError(f"steps: {steps}; allowed: 1 or more")
    count = math.prod(space)
    steps = min(steps, count)
    owner = place_of(x.shape[2:], space).to(x.device)
    rank = _ranks(ranking.flatten(1))[:, owner.flatten()].view(len(x), 1, *x.shape[2:])
    done = torch.tensor([round(step * count / steps) for step in range(steps + 1)])
    with torch.no_grad():
        values = [
            _score(logits(torch.where(rank < int(reached), end, x)), classes, score)
            for reached in done
        ]
    return Curve(done / count, torch.stack(values, dim=1))


def insertion(
    logits: Logits,
    x: Tensor,
    ranking: Tensor,
    classes: Tensor,
    *,
    baseline: Tensor | None = None,
    steps: int = 32,
    score: Score = "probability",
) -> Curve:
    """Uncover the places of an input, the highest of the ranking first, and follow the score of a class.

    Arguments and source are those of :func:`deletion`; values go from the bare baseline to the whole input.
    """
    blank = torch.zeros_like(x) if baseline is None else baseline.expand_as(x)
    return deletion(logits, blank, ranking, classes, baseline=x, steps=steps, score=score)


def _ranks(values: Tensor) -> Tensor:
    """Return the rank of each value in its row, 0 for the highest; equal ones keep their order."""
    order = values.argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1)


def _score(logits: Tensor, classes: Tensor, score: Score) -> Tensor:
    values = torch.softmax(logits, dim=-1) if score == "probability" else logits
    return of_class(values, classes)


def concept_curves(
    explanation: Explanation,
    classes: Tensor,
    order: Order = "contribution",
    *,
    score: Score = "probability",
    generator: torch.Generator | None = None,
) -> tuple[Curve, Curve]:
    """Take the concepts of all streams away one after another, and bring them in one after another.

    Scores follow from the contributions alone: to take concepts away is exact subtraction, attention stays.

    Args:
        explanation: contributions to all N classes.
        classes: class of each sample, [B].
        order: highest first: by the contribution to the class, by attention (summed over places), or at
            ``random``, the control.
        score: the class's probability, or its logit.
        generator: of the random order.

    Returns:
        Deletion, from all concepts to none, and insertion, from none (``rest`` alone) to all.
    """
    streams = explanation.streams.values()
    parts = torch.cat([s.contributions.detach().sum(dim=1) for s in streams], dim=1)
    if order == "contribution":
        key = of_class(parts, classes)
    elif order == "attention":
        key = torch.cat([s.attention.mean(dim=1) for s in streams], dim=1)
    else:
        key = torch.rand(parts.shape[:2], generator=generator).to(parts)
    by_rank = key.argsort(dim=1, descending=True, stable=True)
    sorted_parts = parts.gather(1, by_rank[:, :, None].expand_as(parts))
    so_far = torch.cat([torch.zeros_like(sorted_parts[:, :1]), sorted_parts.cumsum(dim=1)], dim=1)
    fractions = torch.linspace(0, 1, so_far.shape[1])
    spread = classes[:, None].expand(so_far.shape[:2]).flatten()

    def curve(logits: Tensor) -> Curve:
        values = _score(logits.flatten(0, 1), spread, score)
        return Curve(fractions, values.view(logits.shape[:2]))

    rest = explanation.rest.detach()[:, None]
    return curve(rest + so_far[:, -1:] - so_far), curve(rest + so_far)
