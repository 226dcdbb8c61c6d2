"""What networks are worth on damaged test inputs: what an experiment asks for, and what each run folder holds.

``corruptions.json`` of an experiment says what is asked, ``robustness.json`` of a run folder what was found.
Several experiments may ask one run, so its file holds every damage that was ever asked of it, by what decides its
numbers.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter

from tutelage.errors import UserError
from tutelage.runs.schema import (
    Amount,
    Count,
    Fraction,
    Names,
    Schema,
    UnreadableError,
    read,
    write,
)

__all__ = [
    "AskedCorruption",
    "AskedRecord",
    "DamagedScore",
    "Robustness",
    "RobustnessRecord",
    "key_of",
    "known_robustness",
    "merged",
    "read_asked",
    "read_robustness",
    "write_asked",
    "write_robustness",
]

Step = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class AskedCorruption:
    """One corruption as an experiment asks for it.

    Args:
        key: identifies everything its numbers depend on.
        description: its type and arguments.
        meaning: what the amount of a severity is.
        amounts: of each asked severity, in words.
    """

    key: str
    description: dict[str, Any]
    meaning: str
    amounts: tuple[str, ...]


@dataclass(frozen=True)
class AskedRecord:
    """``corruptions.json`` of an experiment: names of corruptions, their severities, draws, and whose networks."""

    schema: Schema
    severities: tuple[Step, ...]
    draws: Step
    stages: Names
    corruptions: dict[str, AskedCorruption]

    def cells(self) -> Iterator[tuple[str, int, int]]:
        """Yield every name, severity and draw."""
        for name in self.corruptions:
            for severity in self.severities:
                for draw in range(self.draws):
                    yield name, severity, draw


@dataclass(frozen=True)
class DamagedScore:
    """Quality on the test inputs damaged by one draw at one severity."""

    severity: Step
    draw: Count
    accuracy: Fraction
    macro_f1: Fraction
    nll: Amount
    brier: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
    ece: Fraction
    classwise_ece: Fraction


@dataclass(frozen=True)
class DamagedScores:
    """Everything that is known of one corruption."""

    description: dict[str, Any]
    scores: tuple[DamagedScore, ...]

    @property
    def by_cell(self) -> dict[tuple[int, int], DamagedScore]:
        """Severity and draw -> its score."""
        return {(score.severity, score.draw): score for score in self.scores}


@dataclass(frozen=True)
class RobustnessRecord:
    """``robustness.json`` of a run folder.

    Args:
        run: fingerprint of the run.
        weights: SHA-256 of its network.
        n: test samples.
        corruptions: by key.
    """

    schema: Schema
    run: str
    weights: str
    n: Step
    corruptions: dict[str, DamagedScores] = field(default_factory=dict)

    def has(self, key: str, severity: int, draw: int) -> bool:
        """Return whether a score is there."""
        return key in self.corruptions and (severity, draw) in self.corruptions[key].by_cell


@dataclass(frozen=True)
class Robustness:
    """What one run is worth on damaged inputs, as far as its experiment asks.

    Args:
        accuracy: name of the corruption and severity -> the accuracy of every draw.
    """

    accuracy: Mapping[tuple[str, int], tuple[float, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The corruptions."""
        return tuple(dict.fromkeys(name for name, _ in self.accuracy))

    def mean(self, name: str | None = None, severity: int | None = None) -> float | None:
        """Return the mean accuracy over draws, severities and corruptions, or over those that are named.

        None where nothing is.
        """
        means = [
            float(np.mean(draws))
            for (kind, step), draws in self.accuracy.items()
            if name in (None, kind) and severity in (None, step)
        ]
        return float(np.mean(means)) if means else None


ASKED = TypeAdapter(AskedRecord)
ROBUSTNESS = TypeAdapter(RobustnessRecord)


def key_of(description: Mapping[str, Any]) -> str:
    """Return what identifies a corruption among those of a run folder.

    Examples:
        >>> key_of({"type": "Noise", "version": 1, "levels": [0.1]})
        'Noise-a6a9f46855'
    """
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
    return f"{str(description['type']).rpartition('.')[2]}-{digest[:10]}"


def write_asked(folder: Path, asked: AskedRecord | None) -> None:
    """Write what an experiment asks for; where that is nothing, what an earlier recipe asked for goes."""
    path = folder / "corruptions.json"
    if asked is None:
        path.unlink(missing_ok=True)
    else:
        write(ASKED, path, asked)


def read_asked(folder: Path) -> AskedRecord | None:
    """Return what an experiment asks for, or None.

    Raises:
        UnreadableError: the file is damaged.
    """
    path = folder / "corruptions.json"
    return read(ASKED, path) if path.is_file() else None


def known_robustness(folder: Path, run: str, weights: str, n: int) -> RobustnessRecord:
    """Return what a run folder holds of this network, nothing where its file is of another one or damaged."""
    fresh = RobustnessRecord(1, run, weights, n)
    try:
        known = read(ROBUSTNESS, folder / "robustness.json")
    except UserError:
        return fresh
    return known if replace(known, corruptions={}) == fresh else fresh


def merged(
    record: RobustnessRecord, description: Mapping[str, Any], scores: tuple[DamagedScore, ...]
) -> RobustnessRecord:
    """Return a record with more scores of one corruption."""
    key = key_of(description)
    before = record.corruptions[key].by_cell if key in record.corruptions else {}
    cells = before | {(score.severity, score.draw): score for score in scores}
    ordered = tuple(cells[cell] for cell in sorted(cells))
    together = DamagedScores(dict(description), ordered)
    return replace(record, corruptions={**record.corruptions, key: together})


def write_robustness(folder: Path, record: RobustnessRecord) -> None:
    """Write what a run folder holds; the file is there whole or not at all."""
    write(ROBUSTNESS, folder / "robustness.json", record)


def read_robustness(folder: Path, run: str, n: int, asked: AskedRecord) -> Robustness:
    """Return what an experiment asks of one run.

    Args:
        folder: of the run.
        run: its fingerprint.
        n: its test samples.
        asked: by the experiment.

    Raises:
        UnreadableError: the file is missing, damaged, of another run, or lacks something that is asked.
    """
    path = folder / "robustness.json"
    record = read(ROBUSTNESS, path)
    if (record.run, record.n) != (run, n):
        raise UnreadableError(f"{path}: is of another run, or of other test samples")
    accuracy: dict[tuple[str, int], tuple[float, ...]] = {}
    for name, severity, draw in asked.cells():
        key = asked.corruptions[name].key
        if not record.has(key, severity, draw):
            raise UnreadableError(f"{path}: has no {name} of severity {severity}, draw {draw + 1}")
        score = record.corruptions[key].by_cell[severity, draw]
        accuracy[name, severity] = (*accuracy.get((name, severity), ()), score.accuracy)
    return Robustness(accuracy)
