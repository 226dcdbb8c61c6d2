"""What every tracker is told of a run, and the few things that a tracker must be able to do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TrackedRun", "Tracker"]


@dataclass(frozen=True)
class TrackedRun:
    """One complete run, as trackers know runs.

    Args:
        key: names the run for ever: its fingerprint, and whether the test split stayed unread.
        name: as it is shown; ends with the first digits of the fingerprint, so it is unique in a project.
        parameters: settings of the resolved stage, data and network, flattened: ``train.epochs`` -> 5.
        curves: epoch, counted from 1 -> name -> value; finite values only.
        scores: of the final evaluation: ``final/test/accuracy`` -> fraction in [0, 1].
        tags: text to search by.
        started: in milliseconds since 1970, UTC; 0 where the record does not tell.
        finished: the same.
        files: what may be stored beside the numbers.
    """

    key: str
    name: str
    parameters: Mapping[str, str | int | float | bool]
    curves: Mapping[int, Mapping[str, float]]
    scores: Mapping[str, float]
    tags: Mapping[str, str]
    started: int = 0
    finished: int = 0
    files: tuple[Path, ...] = ()


class Tracker(ABC):
    """A project of one tracker, open for writing."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where runs lie, for the person who looks for them."""

    @abstractmethod
    def known(self) -> set[str]:
        """Return the keys of runs that lie there whole; what was cut off by a kill is removed."""

    @abstractmethod
    def write(self, run: TrackedRun) -> None:
        """Write a run that is not there; it is known only after everything of it is there."""
