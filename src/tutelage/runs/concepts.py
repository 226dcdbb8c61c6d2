"""Concepts at work: what each one did for one sample, what is left without it, and how far that may be believed.

Concepts of two runs need not be the same ones, even under one name. What is said of single concepts is therefore
said of one run; over runs go only measures of faithfulness.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.runs.explanations import ConceptStream, Explanations
from tutelage.runs.ledger import Experiment, Run

Floats = NDArray[np.float64]

PARTS = 8
"""Concepts of a sample that are told one by one."""

UNNAMED = re.compile(r"concept \d+")
"""The name of a concept that nobody named."""


@dataclass(frozen=True)
class Part:
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
    def place(self) -> int:
        """The place where it moved most, in the direction of the total."""
        return int(np.argmax(self._forward))

    @property
    def share(self) -> float:
        """How much of what it moved in that direction it moved there."""
        whole = float(self._forward.sum())
        return float(self._forward.max()) / whole if whole > 0 else 1.0

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
        found: Floats = np.maximum(self.moved * (1 if self.total >= 0 else -1), 0)
        return found


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
    parts: tuple[Part, ...]
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
            np.abs(self.logits[pair] - one.without[pair] - one.added).max() for one in self.parts
        ]
        return float(max(lost, default=0.0))


@dataclass(frozen=True)
class Told:
    """The concepts of one run of a stage."""

    run: Run
    found: Explanations

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Every sample that was taken apart."""
        return tuple(_account(self.found, i) for i in range(len(self.found.index)))

    @property
    def grounded(self) -> float | None:
        """How much of what concepts moved they moved where they are annotated; None where nothing says so."""
        found = [part.grounded for account in self.accounts for part in account.parts]
        inside, whole = (
            (sum(values) for values in zip(*found, strict=True)) if found else (0.0, 0.0)
        )
        return inside / whole if whole > 0 else None


@dataclass(frozen=True)
class Explained:
    """A stage whose network explains itself.

    Args:
        stage: the stage.
        told: of its first run that explains.
        measured: measures of faithfulness by (fold, seed); groups are joined by dots.
    """

    stage: str
    told: Told
    measured: dict[tuple[str, int], dict[str, float]]

    def values(self, measure: str) -> dict[tuple[str, int], float]:
        """One measure by (fold, seed)."""
        return {key: found[measure] for key, found in self.measured.items() if measure in found}

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of all measures."""
        return tuple(dict.fromkeys(name for found in self.measured.values() for name in found))


def explained(experiment: Experiment) -> tuple[Explained, ...]:
    """Return every stage whose runs explain themselves, teachers first.

    Raises:
        UserError: a damaged ``explanations.npz``.
    """
    stages = []
    for stage in dict.fromkeys((*experiment.teachers, *experiment.students)):
        told = [Told(run, one) for run in experiment.of(stage) if (one := run.explanations())]
        if told:
            measured = {one.run.key: _flat(one.found.measured) for one in told}
            stages.append(Explained(stage, told[0], measured))
    return tuple(stages)


def probabilities(logits: Floats) -> Floats:
    """Return the softmax of scores, [C]."""
    e = np.exp(logits - logits.max())
    found: Floats = e / e.sum()
    return found


def label_of(found: Explanations, stream: str, concept: int) -> str:
    """Return the name of a concept, with its stream where there are several."""
    name = found.streams[stream].names[concept]
    return f"{name} ({stream})" if len(found.streams) > 1 else name


def unnamed(stream: ConceptStream) -> bool:
    """Return whether nobody named the concepts."""
    return all(UNNAMED.fullmatch(name) for name in stream.names)


def speaking(found: Explanations, label: int) -> list[tuple[str, float]]:
    """Return the concepts that move a class most, with how far they move it, over all streams."""
    every = [
        (label_of(found, name, int(concept)), float(value))
        for name, stream in found.streams.items()
        for concept, value in zip(stream.speaking[label], stream.by_class[label], strict=True)
    ]
    most = max((stream.speaking.shape[1] for stream in found.streams.values()), default=0)
    return sorted((one for one in every if one[1]), key=lambda one: -abs(one[1]))[:most]


def _account(found: Explanations, i: int) -> Account:
    parts = [
        _part(found, name, i, k) for name, s in found.streams.items() for k in range(s.concepts.shape[1])
    ]  # fmt: skip
    parts.sort(key=lambda part: -abs(part.total))
    kept, left = parts[:PARTS], parts[PARTS:]
    others = sum((s.others[i] for s in found.streams.values()), start=np.zeros(2))
    others = sum((part.added for part in left), start=others)
    many = sum(len(stream.names) for stream in found.streams.values()) - len(kept)
    first, rival = (int(c) for c in found.classes[i])
    return Account(int(found.index[i]), int(found.labels[i]), first, rival, found.logits[i],
                   tuple(kept), others, many, found.rest[i])  # fmt: skip


def _part(found: Explanations, name: str, i: int, k: int) -> Part:
    stream = found.streams[name]
    added, concept = stream.contributions[i, k], int(stream.concepts[i, k])
    annotated = None if stream.annotated is None else stream.annotated[i, k]
    return Part(name, stream.names[concept], label_of(found, name, concept), stream.space, added.sum(axis=0),
                added[:, 0] - added[:, 1], stream.without[i, k], annotated)  # fmt: skip


def _flat(measured: Mapping[str, object]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in measured.items():
        inner = value if isinstance(value, dict) else {"": value}
        for name, number in inner.items():
            if isinstance(number, (int, float)):
                found[f"{key}.{name}" if name else key] = float(number)
    return found
