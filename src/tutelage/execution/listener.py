"""Who is told what an experiment does."""

from collections.abc import Mapping
from typing import Any, Protocol

from tutelage.recipe.resolve import Job

__all__ = ["Listener", "Quiet"]


class Listener(Protocol):
    """Told what happens; the command line draws it. Runs may overlap."""

    def progress(self, what: str, fraction: float) -> None:
        """Long work is this far, in [0, 1]."""
        ...

    def begin(self, job: Job, number: int, total: int, cell: str) -> None:
        """A run starts; ``cell`` is that of the study, or empty."""
        ...

    def epoch(self, job: Job, row: Mapping[str, Any], epochs: int) -> None:
        """A run has finished an epoch."""
        ...

    def end(self, job: Job, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """A run is over: ``trained``, ``found`` or ``failed: ...``."""
        ...


class Quiet:
    """A listener that says nothing."""

    def progress(self, what: str, fraction: float) -> None:
        """Say nothing."""

    def begin(self, job: Job, number: int, total: int, cell: str) -> None:
        """Say nothing."""

    def epoch(self, job: Job, row: Mapping[str, Any], epochs: int) -> None:
        """Say nothing."""

    def end(self, job: Job, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Say nothing."""
