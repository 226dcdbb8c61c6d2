"""From run folders to a tracker: what is complete and not there yet is written, all else is said."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tutelage.errors import UserError, unknown
from tutelage.runs.location import is_ledger, is_local
from tutelage.runs.run import Run
from tutelage.study.ledger import StudyLedger, read_study
from tutelage.tracking.base import Tracker
from tutelage.tracking.facts import facts_of, key_of
from tutelage.tracking.to_mlflow import MlflowTracker
from tutelage.tracking.to_trackio import TrackioTracker
from tutelage.tracking.to_wandb import WandbTracker

__all__ = ["TRACKERS", "Sent", "track_runs"]

TRACKERS: dict[str, Callable[[str, str | None], Tracker]] = {
    "mlflow": MlflowTracker,
    "wandb": WandbTracker,
    "trackio": TrackioTracker,
}


@dataclass(frozen=True)
class Sent:
    """What became of the runs of a folder.

    Args:
        place: where they lie.
        written: how many were written now.
        found: how many were there already.
        skipped: one sentence for each that is not complete or cannot be read; the next call takes those up.
    """

    place: str
    written: int
    found: int
    skipped: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{self.written} written, {self.found} found, {len(self.skipped)} skipped"
        return "\n".join((*self.skipped, f"{counts}: {self.place}"))


def track_runs(
    folder: Path,
    to: str,
    project: str | None = None,
    uri: str | None = None,
    *,
    files: bool = False,
    progress: Callable[[str, float], None] = lambda _what, _fraction: None,
) -> Sent:
    """Write complete runs to an experiment tracker; twice, or after a kill, doubles nothing.

    Runs are known by their fingerprints: one that several cells share is written once. Nothing leaves this machine
    unless ``uri`` is the address of a server.

    Args:
        folder: of an experiment, of a study, or of several of them.
        to: ``mlflow``, ``wandb`` or ``trackio``.
        project: of the tracker; the name of the folder.
        uri: MLflow: of the tracking store (``sqlite:///mlflow.db``). W&B: the folder of ``wandb`` (the
            current). Trackio: None.
        files: store record, log, evaluation and network of each run, too; not with Trackio.
        progress: told what is done and the share of it.

    Returns:
        What was written, found and skipped.

    Raises:
        UserError: no runs there, an unknown tracker, its package is missing, or it refuses what it is told.
    """
    if to not in TRACKERS:
        raise unknown("--to", "tracker", to, TRACKERS)
    if files and not is_local(folder):
        raise UserError(f"--files: {folder} is no folder of this machine; copy it first")
    ledgers = list(_ledgers(folder))
    runs = _different(ledgers)
    tracker = TRACKERS[to](project or folder.absolute().name, uri)
    known = tracker.known()
    skipped = [sentence for ledger in ledgers for sentence in _holes(ledger)]
    written = 0
    for number, (key, (where, run)) in enumerate(runs.items(), 1):
        if key not in known:
            try:
                facts = facts_of(run, where, files=files)
            except UserError as error:
                skipped.append(f"{where}: {error}")
                continue
            tracker.write(facts)
            written += 1
        progress(f"to {to}", number / len(runs))
    return Sent(tracker.place, written, len(known & set(runs)), tuple(skipped))


def _ledgers(folder: Path) -> Iterator[StudyLedger]:
    below = sorted(folder.iterdir()) if folder.is_dir() else []
    inside = [path for path in below if is_ledger(path)]
    if inside and not is_ledger(folder):
        yield from map(read_study, inside)
    else:
        yield read_study(folder)


def _different(ledgers: list[StudyLedger]) -> dict[str, tuple[str, Run]]:
    """Return the runs by their keys; one that is shared, where it is asked for first."""
    found: dict[str, tuple[str, Run]] = {}
    for ledger in ledgers:
        for cell in ledger.cells:
            where = _named(ledger, cell.name)
            for run in cell.experiment.runs if cell.experiment else ():
                found.setdefault(key_of(run.record), (where, run))
    return found


def _holes(ledger: StudyLedger) -> Iterator[str]:
    for hole in ledger.missing:
        if hole.kind == "not planned":
            continue
        what = f": {hole.stage}, fold {hole.fold}, seed {hole.seed}" if hole.stage else ""
        yield f"skipped: {_named(ledger, hole.cell)}{what}: {hole.reason}"


def _named(ledger: StudyLedger, cell: str) -> str:
    alone = ledger.cells[0].record.path == "." and len(ledger.cells) == 1
    return ledger.record.name if alone else f"{ledger.record.name}/{cell}"
