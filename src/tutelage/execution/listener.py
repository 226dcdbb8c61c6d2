"""Who is told what an experiment does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a worker process listens before it imports what it works with
    from tutelage.recipe.resolve import RunSpec

__all__ = ["Listener", "Quiet", "Remote", "relay"]


class Listener(Protocol):
    """Told what happens; the command line draws it. Runs may overlap."""

    def progress(self, what: str, fraction: float) -> None:
        """Long work is this far, in [0, 1]."""
        ...

    def begin(self, spec: RunSpec, number: int, total: int, cell: str) -> None:
        """A run starts; ``cell`` is that of the study, or empty."""
        ...

    def epoch(self, spec: RunSpec, row: Mapping[str, Any], epochs: int) -> None:
        """A run has finished an epoch."""
        ...

    def end(self, spec: RunSpec, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """A run is over: ``trained``, ``found`` or ``failed: ...``."""
        ...


class Quiet:
    """A listener that says nothing."""

    def progress(self, what: str, fraction: float) -> None:
        """Say nothing."""

    def begin(self, spec: RunSpec, number: int, total: int, cell: str) -> None:
        """Say nothing."""

    def epoch(self, spec: RunSpec, row: Mapping[str, Any], epochs: int) -> None:
        """Say nothing."""

    def end(self, spec: RunSpec, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Say nothing."""


class Remote:
    """The listener of another process: sends everything home.

    Args:
        send: takes ``(name of the method, arguments)``.
    """

    def __init__(self, send: Callable[[Any], None]) -> None:
        self.send = send

    def progress(self, what: str, fraction: float) -> None:
        """Send that long work is this far."""
        self.send(("progress", (what, fraction)))

    def begin(self, spec: RunSpec, number: int, total: int, cell: str) -> None:
        """Send that a run starts."""
        self.send(("begin", (spec, number, total, cell)))

    def epoch(self, spec: RunSpec, row: Mapping[str, Any], epochs: int) -> None:
        """Send that a run has finished an epoch."""
        self.send(("epoch", (spec, row, epochs)))

    def end(self, spec: RunSpec, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Send that a run is over."""
        self.send(("end", (spec, outcome, evaluation)))


def relay(listener: Listener, message: tuple[str, tuple[Any, ...]]) -> None:
    """Tell a listener here what a :class:`Remote` sent."""
    method, arguments = message
    getattr(listener, method)(*arguments)
