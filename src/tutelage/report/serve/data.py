"""What is shown of a folder of runs at one moment; read from run folders alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tutelage.errors import UserError
from tutelage.runs.location import is_ledger
from tutelage.runs.logs import EPOCH, Epoch
from tutelage.runs.schema import UnreadableError, read_lines
from tutelage.study.status import CurrentRun, Status, status_of

__all__ = ["Going", "Standing", "folders", "going", "standing"]


@dataclass(frozen=True)
class Standing:
    """One study or experiment below the folder.

    Args:
        name: of its folder.
        status: where it stands; None where its records cannot be read.
        problem: why not.
        report: whether a page was written.
    """

    name: str
    status: Status | None
    problem: str
    report: bool

    @property
    def total(self) -> int:
        """Different runs that were asked for."""
        return 0 if self.status is None else sum(self.status.counts.values())

    @property
    def done(self) -> int:
        """Of these, complete."""
        return 0 if self.status is None else self.status.counts.get("done", 0)


@dataclass(frozen=True)
class Going:
    """A run that is being trained, with its log so far."""

    run: CurrentRun
    log: tuple[Epoch, ...]

    @property
    def validation(self) -> list[float]:
        """Validation accuracy of every epoch that has one."""
        values = (epoch.validation.get("accuracy") for epoch in self.log)
        return [value for value in values if value is not None]


def folders(runs: Path) -> Iterator[Path]:
    """Yield the folder of every study and experiment directly below a folder, by name."""
    for folder in sorted(path for path in runs.iterdir() if path.is_dir()):
        if not folder.name.startswith(".") and is_ledger(folder):
            yield folder


def standing(folder: Path) -> Standing:
    """Return where one of them stands."""
    report = (folder / "report" / "index.html").is_file()
    try:
        return Standing(folder.name, status_of(folder), "", report)
    except UserError as error:
        return Standing(folder.name, None, str(error), report)


def going(status: Status) -> tuple[Going, ...]:
    """Return the runs that are being trained at this moment, with their curves; a line half-written is no line."""
    return tuple(Going(run, _log(run.folder)) for run in status.current)


def _log(folder: Path) -> tuple[Epoch, ...]:
    try:
        return read_lines(EPOCH, folder / "metrics.jsonl")
    except UnreadableError:
        return ()
