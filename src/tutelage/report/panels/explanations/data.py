"""Concepts at work: what each one did for one sample, what is left without it, and how far that may be believed.

Concepts of two runs need not be the same ones, even under one name. What is said of single concepts is therefore
said of one run; over runs go only measures of faithfulness.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tutelage.runs.explanations import ConceptStream, Explanations
from tutelage.runs.ledger import Experiment, Run
from tutelage.statistics.paired import Interval, t_interval
from tutelage.statistics.spreads import mean_of_folds

Floats = NDArray[np.float64]
Values = dict[tuple[str, int], float]
"""Values by fold and seed."""

RISING = ("insertion", "concept_insertion")
"""Measures whose area is good when it is large."""

PARTS = 8
"""Concepts of a sample that are told one by one."""

EVEN = 1.5
"""A concept whose strongest place has at most so many times an even part is spread evenly."""

UNNAMED = re.compile(r"concept \d+")
"""The name of a concept that nobody named."""


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
    def place(self) -> int:
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


@dataclass(frozen=True)
class ExplainedRun:
    """The concepts of one run of a stage."""

    run: Run
    explanations: Explanations

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Every sample that was taken apart."""
        return tuple(_account(self.explanations, i) for i in range(len(self.explanations.index)))

    @property
    def grounded(self) -> float | None:
        """How much of what concepts moved they moved where they are annotated; None where nothing says so."""
        pairs = [part.grounded for account in self.accounts for part in account.parts]
        inside, whole = (
            (sum(values) for values in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
        )
        return inside / whole if whole > 0 else None


@dataclass(frozen=True)
class Gain:
    """How much area the order of contributions gains over a random order; positive is better."""

    mean: float
    interval: Interval | None


@dataclass(frozen=True)
class ExplainedStage:
    """A stage whose network explains itself.

    Args:
        name: of the stage.
        first: its first run that explains.
        measured: measures of faithfulness by (fold, seed); groups are joined by dots.
    """

    name: str
    first: ExplainedRun
    measured: dict[tuple[str, int], dict[str, float]]

    def values(self, measure: str) -> Values:
        """One measure by (fold, seed)."""
        return {
            key: numbers[measure] for key, numbers in self.measured.items() if measure in numbers
        }

    def gain(self, measure: str) -> Gain | None:
        """How far the order of contributions beats a random one, over runs; of one or two, over their samples."""
        gains, errors = self.values(f"gain.{measure}"), self.values(f"gain_error.{measure}")
        if not gains:  # of one random order, as runs measured it before there were several
            own, other = (self.values(f"{measure}.{order}") for order in ("contribution", "random"))
            way = -1 if measure in RISING else 1
            gains = {key: way * (other[key] - own[key]) for key in own.keys() & other.keys()}
        if not gains:
            return None
        interval = t_interval(np.array(list(gains.values())), 0.95) if len(gains) > 2 else None
        if interval is None and gains.keys() <= errors.keys():
            interval = _over_samples(gains, errors, self.values("samples"))
        return Gain(mean_of_folds(gains), interval)

    def by_chance(self, stream: str) -> float | None:
        """The concept accuracy of attention at random, where that of the network cannot be told from it."""
        right = self.values(f"concept_accuracy.{stream}")
        if not right:
            return None
        even = 1 / len(self.first.explanations.streams[stream].names)
        chance = mean_of_folds(
            self.values(f"concept_chance.{stream}") or dict.fromkeys(right, even)
        )
        many = sum(self.values("samples").get(key, 1) for key in right)
        beyond = chance + 2 * float(np.sqrt(chance * (1 - chance) / many))
        return chance if mean_of_folds(right) <= beyond else None

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of all measures."""
        return tuple(dict.fromkeys(name for numbers in self.measured.values() for name in numbers))


def _over_samples(gains: Values, errors: Values, samples: Values) -> Interval | None:
    """The interval of a mean over few runs, from the standard error over the samples of each."""
    least = min((samples.get(key, 0) for key in gains), default=0)
    if least < 2:
        return None
    error = float(np.sqrt(sum(errors[key] ** 2 for key in gains))) / len(gains)
    half, mean = float(stats.t.ppf(0.975, least - 1)) * error, mean_of_folds(gains)
    return Interval(mean - half, mean + half, "t over samples")


def explained_stages(experiment: Experiment) -> tuple[ExplainedStage, ...]:
    """Return every stage whose runs explain themselves, teachers first.

    Raises:
        UserError: a damaged ``explanations.npz``.
    """
    stages = []
    for name in dict.fromkeys((*experiment.teachers, *experiment.students)):
        runs = [ExplainedRun(run, explanations) for run in experiment.of(name)
                if (explanations := run.explanations())]  # fmt: skip
        if runs:
            measured = {each.run.key: _flat(each.explanations.measured) for each in runs}
            stages.append(ExplainedStage(name, runs[0], measured))
    return tuple(stages)


def probabilities(logits: Floats) -> Floats:
    """Return the softmax of scores, [C]."""
    e = np.exp(logits - logits.max())
    p: Floats = e / e.sum()
    return p


def label_of(explanations: Explanations, stream: str, concept: int) -> str:
    """Return the name of a concept, with its stream where there are several."""
    name = explanations.streams[stream].names[concept]
    return f"{name} ({stream})" if len(explanations.streams) > 1 else name


def unnamed(stream: ConceptStream) -> bool:
    """Return whether nobody named the concepts."""
    return all(UNNAMED.fullmatch(name) for name in stream.names)


def speaking(explanations: Explanations, label: int) -> list[tuple[str, float]]:
    """Return the concepts that move a class most, with how far they move it, over all streams."""
    every = [
        (label_of(explanations, name, int(concept)), float(value))
        for name, stream in explanations.streams.items()
        for concept, value in zip(stream.speaking[label], stream.by_class[label], strict=True)
    ]
    most = max((stream.speaking.shape[1] for stream in explanations.streams.values()), default=0)
    return sorted((pair for pair in every if pair[1]), key=lambda pair: -abs(pair[1]))[:most]


def _account(explanations: Explanations, i: int) -> Account:
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


def _flat(measured: Mapping[str, object]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for key, value in measured.items():
        inner = value if isinstance(value, dict) else {"": value}
        for name, number in inner.items():
            if isinstance(number, (int, float)):
                numbers[f"{key}.{name}" if name else key] = float(number)
    return numbers
