"""Where a study stands, read from its records alone: it may be running, here or elsewhere, or not."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tutelage.errors import UserError
from tutelage.runs.folder import read_record
from tutelage.runs.records import EXPERIMENT, STUDY, CellRecord, Entry, RunRecord, StudyRecord
from tutelage.runs.schema import UnreadableError, read

__all__ = ["CellStatus", "CurrentRun", "Status", "status_of"]

STATES = ("done", "running", "stopped", "failed", "missing")
"""``stopped``: begun, and no process of this machine is training it now."""


@dataclass(frozen=True)
class CellStatus:
    """One cell.

    Args:
        name: of the cell.
        counts: state -> runs; a run that several cells ask for counts in each.
        failures: one sentence for each run that failed.
    """

    name: str
    counts: Mapping[str, int]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class CurrentRun:
    """A run that a process of this machine is training now.

    Args:
        stage: what it trains.
        fold: of it.
        seed: of it.
        cell: the first that asks for it.
        epochs: that it takes in all; None where the record does not tell.
        folder: of the run.
    """

    stage: str
    fold: str
    seed: int
    cell: str
    epochs: int | None
    folder: Path


@dataclass(frozen=True)
class Status:
    """A whole study.

    Args:
        name: of the study.
        cells: in order.
        counts: state -> different runs.
        spent: seconds that its complete runs took, added up.
        left: seconds that the others will take, added up over all processes; None where no run tells.
        current: runs going on at this moment.
    """

    name: str
    cells: tuple[CellStatus, ...]
    counts: Mapping[str, int]
    spent: float
    left: float | None
    current: tuple[CurrentRun, ...]

    @property
    def parallel(self) -> int:
        """How many runs go on at this moment."""
        return len(self.current)

    @property
    def states(self) -> tuple[str, ...]:
        """What a run may be."""
        return STATES

    @property
    def time_left(self) -> str:
        """What is left, in words, with as many runs side by side as now."""
        if not sum(self.counts.get(state, 0) for state in ("running", "stopped", "missing")):
            return "nothing is left"
        if self.left is None:
            return "time left: not known before a run of each stage is done"
        beside = max(1, self.parallel)
        text = f"time left: about {duration(self.left / beside)} with {beside} side by side"
        return text if self.parallel else f"{text}; nothing is running now"

    @property
    def missing(self) -> str:
        """A sentence of what a reader of results must know first, and the way on; empty where all is there."""
        total = sum(self.counts.values())
        absent = total - self.counts.get("done", 0)
        if not absent:
            return ""
        words = {"missing": "not begun"}
        why = ", ".join(
            f"{self.counts[state]} {words.get(state, state)}"
            for state in STATES[1:]
            if self.counts.get(state)
        )
        verb = "is" if absent == 1 else "are"
        return (
            f"{absent} of {total} runs {verb} missing ({why}); the same `tutelage study run` command goes on, "
            "and tries again what failed"
        )


@dataclass(frozen=True)
class _KnownRun:
    state: str
    stage: str
    cell: str
    seconds: float | None
    share: float
    failure: str
    current: CurrentRun | None = None


def duration(seconds: float) -> str:
    """Return a time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def status_of(folder: Path, runs: Path | None = None) -> Status:
    """Read where a study stands; nothing is written, and no run waits for it.

    Args:
        folder: of the study, or of an experiment, which is a study of one cell.
        runs: root of all experiments; the parent of the folder unless told.

    Raises:
        UserError: there is neither in this folder.
    """
    study = _study(folder)
    locks = (runs or folder.parent) / ".cache" / "locks"
    known: dict[Path, _KnownRun] = {}
    cells = []
    for cell in study.cells:
        own = [_read(folder, cell, entry, locks, known) for entry in _entries(folder, cell)]
        counts = Counter(run.state for run in own)
        failures = tuple(run.failure for run in own if run.failure)
        cells.append(CellStatus(cell.name, counts, failures))
    different = list(known.values())
    return Status(
        study.name, tuple(cells), Counter(run.state for run in different),
        sum(run.seconds or 0.0 for run in different), _left(different),
        tuple(run.current for run in different if run.current is not None),
    )  # fmt: skip


def _study(folder: Path) -> StudyRecord:
    if (folder / "study.json").is_file():
        return read(STUDY, folder / "study.json")
    if (folder / "experiment.json").is_file():
        name = read(EXPERIMENT, folder / "experiment.json").name
        return StudyRecord(1, name, (CellRecord("all", {}, "."),))
    raise UserError(
        f"{folder}: there is no study.json and no experiment.json; allowed: the folder of a study, runs/<name>"
    )


def _entries(folder: Path, cell: CellRecord) -> tuple[Entry, ...]:
    path = folder / cell.path / "experiment.json"
    return read(EXPERIMENT, path).runs if path.is_file() else ()


def _read(
    folder: Path, cell: CellRecord, entry: Entry, locks: Path, known: dict[Path, _KnownRun]
) -> _KnownRun:
    path = (folder / cell.path / entry.path).resolve()
    if path not in known:
        known[path] = _judged(path, cell, entry, locks)
    return known[path]


def _judged(path: Path, cell: CellRecord, entry: Entry, locks: Path) -> _KnownRun:
    """Return what the record of a run says; one that cannot be read is to be run again."""
    asked = f"{entry.stage}, fold {entry.fold}, seed {entry.seed}"
    try:
        record = read_record(path)
    except UnreadableError as error:
        again = f"{asked}: {error}; it is run again"
        return _KnownRun(
            _state(None, entry.fingerprint, locks), entry.stage, cell.name, None, 0.0, again
        )
    state = _state(record, entry.fingerprint, locks)
    failure = ""
    if state == "failed" and record is not None:
        why = record.failure.message if record.failure else "no reason recorded"
        failure = f"{asked}: {why}"
    seconds = _seconds(record) if record is not None and state == "done" else None
    share = 0.0 if record is None else _share(path, record)
    epochs = None if record is None else record.epochs
    current = CurrentRun(entry.stage, entry.fold, entry.seed, cell.name, epochs, path)
    return _KnownRun(
        state,
        entry.stage,
        cell.name,
        seconds,
        share,
        failure,
        current if state == "running" else None,
    )


def _state(record: RunRecord | None, fingerprint: str, locks: Path) -> str:
    if record is not None and record.status == "complete":
        return "done"
    lock = locks / fingerprint
    if lock.exists():  # else nobody has ever begun it
        try:
            with FileLock(lock).acquire(blocking=False):
                pass
        except Timeout:
            return "running"
        except OSError:  # a folder that may only be read: nobody trains in it
            pass
    if record is None:
        return "missing"
    return "failed" if record.status == "failed" else "stopped"


def _seconds(record: RunRecord) -> float:
    """Return how long a run took from its beginning to its end, or its epochs alone where it was interrupted."""
    epochs = record.seconds or 0.0
    if record.started is None or record.finished is None:
        return epochs
    took = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
    wall = took.total_seconds()
    return max(epochs, wall) if wall < 2 * epochs + 60 else epochs


def _share(path: Path, record: RunRecord) -> float:
    """Return which part of its epochs a run has done."""
    epochs = record.epochs
    log = path / "metrics.jsonl"
    done = len(log.read_bytes().splitlines()) if log.exists() else 0
    return min(1.0, done / epochs) if epochs else 0.0


def _left(runs: Iterable[_KnownRun]) -> float | None:
    """Return the seconds of what is left: as the finished runs of the same stage took, best in the same cell."""
    walls: dict[tuple[str, ...], list[float]] = {}
    runs = list(runs)
    for run in runs:
        if run.seconds is not None:
            for key in ((run.cell, run.stage), (run.stage,), ()):
                walls.setdefault(key, []).append(run.seconds)
    total = 0.0
    for run in runs:
        if run.state in ("done", "failed"):
            continue
        keys = [(run.cell, run.stage), (run.stage,), ()]
        like = next((walls[key] for key in keys if key in walls), None)
        if like is None:
            return None
        total += (1 - run.share) * sum(like) / len(like)
    return total
