"""Networks that explain themselves, and how far that may be believed.

Concepts of two runs need not be the same ones, even under one name. What is said of single concepts is therefore
said of one run; over runs go only measures of faithfulness.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tutelage.report.cells import Values
from tutelage.report.panels.explanations.accounts import Account, account_of, label_of
from tutelage.runs.explanations import Explanations, StoredStream
from tutelage.runs.ledger import Experiment
from tutelage.runs.run import Run
from tutelage.statistics.paired import FEWEST_UNITS, Interval, paired_difference
from tutelage.statistics.spreads import mean_of_folds

RISING = ("insertion", "concept_insertion")
"""Measures whose area is good when it is large."""

UNNAMED = re.compile(r"concept \d+")
"""The name of a concept that nobody named."""


@dataclass(frozen=True)
class ExplainedRun:
    """The concepts of one run of a stage."""

    run: Run
    explanations: Explanations

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Every sample that was taken apart."""
        return tuple(account_of(self.explanations, i) for i in range(len(self.explanations.index)))

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
        """How far the order of contributions beats random ones.

        Its interval is over folds, or the seeds of a single one; with fewer than three of them, over samples.
        """
        gains, errors = self.values(f"gain.{measure}"), self.values(f"gain_error.{measure}")
        if not gains:  # of one random order, as runs measured it before there were several
            own, other = (self.values(f"{measure}.{order}") for order in ("contribution", "random"))
            way = -1 if measure in RISING else 1
            gains = {key: way * (other[key] - own[key]) for key in own.keys() & other.keys()}
        if not gains:
            return None
        runs = paired_difference(gains, dict.fromkeys(gains, 0.0))
        interval = runs.interval if runs.units >= FEWEST_UNITS else None
        if interval is None and gains.keys() <= errors.keys():
            interval = _over_samples(gains, errors, self.values("samples"))
        return Gain(runs.mean, interval)

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


def _over_samples(gains: Values, errors: Values, samples: Values) -> Interval | None:
    """The interval of a mean over few runs, from the standard error over the samples of each."""
    least = min((samples.get(key, 0) for key in gains), default=0)
    if least < 2:
        return None
    error = float(np.sqrt(sum(errors[key] ** 2 for key in gains))) / len(gains)
    half, mean = float(stats.t.ppf(0.975, least - 1)) * error, mean_of_folds(gains)
    return Interval(mean - half, mean + half, "these samples")


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


def unnamed(stream: StoredStream) -> bool:
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


def _flat(measured: Mapping[str, object]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for key, value in measured.items():
        inner = value if isinstance(value, dict) else {"": value}
        for name, number in inner.items():
            if isinstance(number, (int, float)):
                numbers[f"{key}.{name}" if name else key] = float(number)
    return numbers
