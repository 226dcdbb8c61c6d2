"""The scores of one sample taken apart: what each concept did, where, and what is left without it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.runs.explanations import Explanations

Floats = NDArray[np.float64]

PARTS = 8
"""Concepts of a sample that are told one by one."""

EVEN = 1.5
"""A concept whose strongest place has at most so many times an even part is spread evenly."""


@dataclass(frozen=True)
class ConceptPart:
    """What one concept did for one sample.

    Args:
        stream, name: whose, and which.
        label: the name, with the stream where there are several.
        space: places along each axis.
        added: [2], to the scores of prediction and rival.
        moved: [L], place by place, how far it moved the prediction away from its rival.
        without: [C], the scores when it says nothing, computed anew.
        annotated: how much it is annotated, NaN where it is not, [L] or, of the whole input, [1]; or None.
    """

    stream: str
    name: str
    label: str
    space: tuple[int, ...]
    added: Floats
    moved: Floats
    without: Floats
    annotated: Floats | None = None

    @property
    def total(self) -> float:
        """How far it moved the prediction away from its rival, all places together."""
        return float(self.added[0] - self.added[1])

    @property
    def strongest(self) -> int:
        """The place where it moved most, in the direction of the total."""
        return int(np.argmax(self._forward))

    @property
    def share(self) -> float:
        """How much of what it moved in that direction it moved there."""
        whole = float(self._forward.sum())
        return float(self._forward.max()) / whole if whole > 0 else 1.0

    @property
    def placed(self) -> bool:
        """Whether it has more than one place."""
        return len(self.moved) > 1

    @property
    def even(self) -> bool:
        """Whether no place has clearly more of it than an even spread gives each."""
        return self.placed and self.share <= EVEN / len(self.moved)

    @property
    def present(self) -> bool | None:
        """Whether it is annotated anywhere in the input; None where the data do not say."""
        if self.annotated is None or np.isnan(self.annotated).all():
            return None
        return bool((np.nan_to_num(self.annotated) > 0).any())

    @property
    def marked(self) -> NDArray[np.bool_] | None:
        """[L], the places where it is annotated; None where the data annotate no places."""
        if (
            self.annotated is None
            or self.present is None
            or self.annotated.size != self.moved.size
            or self.moved.size == 1
        ):
            return None
        return np.nan_to_num(self.annotated) > 0

    @property
    def agreed(self) -> float | None:
        """How much of what it moved in the direction of the total it moved where it is annotated."""
        inside, whole = self.grounded
        return inside / whole if whole > 0 else None

    @property
    def grounded(self) -> tuple[float, float]:
        """How far it moved the prediction where it is annotated, and everywhere; 0 without annotated places."""
        marked = self.marked
        if marked is None:
            return 0.0, 0.0
        return float(self._forward[marked].sum()), float(self._forward.sum())

    @property
    def _forward(self) -> Floats:
        forward: Floats = np.maximum(self.moved * (1 if self.total >= 0 else -1), 0)
        return forward


@dataclass(frozen=True)
class Account:
    """The scores of one sample taken apart.

    Args:
        sample, label: id and class.
        first, rival: the predicted class, and the one it is set against.
        logits: [C].
        parts: the concepts that moved it most, the strongest first.
        others: [2], what all other concepts add to the scores of prediction and rival.
        many: how many others there are.
        rest: [2], what belongs to no concept.
    """

    sample: int
    label: int
    first: int
    rival: int
    logits: Floats
    parts: tuple[ConceptPart, ...]
    others: Floats
    many: int
    rest: Floats

    @property
    def right(self) -> bool:
        """Whether the prediction is the true class."""
        return self.first == self.label

    @property
    def scores(self) -> Floats:
        """[2], of prediction and rival."""
        return self.logits[[self.first, self.rival]]

    @property
    def gap(self) -> float:
        """How far the parts are from summing up to the scores."""
        total = self.rest + self.others + sum(part.added for part in self.parts)
        return float(np.abs(total - self.scores).max())

    @property
    def broken(self) -> float:
        """Largest difference between what a concept claims and what the scores lose without it."""
        pair = [self.first, self.rival]
        lost = [
            np.abs(self.logits[pair] - part.without[pair] - part.added).max() for part in self.parts
        ]
        return float(max(lost, default=0.0))


def probabilities(logits: Floats) -> Floats:
    """Return the softmax of scores, [C]."""
    e = np.exp(logits - logits.max())
    p: Floats = e / e.sum()
    return p


def label_of(explanations: Explanations, stream: str, concept: int) -> str:
    """Return the name of a concept, with its stream where there are several."""
    name = explanations.streams[stream].names[concept]
    return f"{name} ({stream})" if len(explanations.streams) > 1 else name


def account_of(explanations: Explanations, i: int) -> Account:
    """Take the scores of the i-th sample of a file apart."""
    streams = explanations.streams
    parts = [_part(explanations, name, i, k) for name, stream in streams.items()
             for k in range(stream.concepts.shape[1])]  # fmt: skip
    parts.sort(key=lambda part: -abs(part.total))
    kept, left = parts[:PARTS], parts[PARTS:]
    others = sum((stream.others[i] for stream in streams.values()), start=np.zeros(2))
    others = sum((part.added for part in left), start=others)
    first, rival = (int(c) for c in explanations.classes[i])
    return Account(
        int(explanations.index[i]), int(explanations.labels[i]), first, rival, explanations.logits[i],
        tuple(kept), others, sum(len(stream.names) for stream in streams.values()) - len(kept),
        explanations.rest[i],
    )  # fmt: skip


def _part(explanations: Explanations, name: str, i: int, k: int) -> ConceptPart:
    stream = explanations.streams[name]
    added, concept = stream.contributions[i, k], int(stream.concepts[i, k])
    return ConceptPart(
        name,
        stream.names[concept],
        label_of(explanations, name, concept),
        stream.space,
        added.sum(axis=0),
        added[:, 0] - added[:, 1],
        stream.without[i, k],
        None if stream.annotated is None else stream.annotated[i, k],
    )
