"""Checks of the runs of a study: is each what its record says, and did it learn anything?"""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from tutelage.audit.findings import Finding, listed
from tutelage.runs.folder import lost_files as folder_losses
from tutelage.runs.records import Evaluation
from tutelage.runs.run import Run
from tutelage.study.ledger import StudyCell, StudyLedger


def each_run(study: StudyLedger) -> Iterator[tuple[StudyCell, Run]]:
    """Return every complete run once, with the first cell that has it; cells share runs by content."""
    seen: set[tuple[str, str]] = set()
    for cell in study.cells:
        for run in cell.experiment.runs if cell.experiment else ():
            if (run.fingerprint, run.record.fold) not in seen:
                seen.add((run.fingerprint, run.record.fold))
                yield cell, run


def place_of(cell: StudyCell, run: Run) -> str:
    """Return the folder of a run as seen from the study's."""
    return run.path if cell.record.path == "." else f"{cell.record.path}/{run.path}"


def duplicated_runs(study: StudyLedger) -> Iterable[Finding]:
    """Find runs of unequal settings or seeds whose predictions are the same to the last bit.

    Networks that are used as they start need no seed, so theirs may be.
    """
    same: dict[bytes, list[str]] = {}
    for cell, run in each_run(study):
        chosen = run.record.selected
        said = run.predictions("test")
        if said is not None and (chosen is None or chosen.on != "start"):
            digest = hashlib.sha256(np.ascontiguousarray(said.logits).tobytes()).digest()
            same.setdefault(digest, []).append(place_of(cell, run))
    for places in same.values():
        if len(places) > 1:
            yield Finding(
                "duplicated_rows",
                places[0],
                f"The predictions of {listed(places)} are the same to the "
                "last bit, though settings or seeds differ.",
            )


def shifted_results(study: StudyLedger) -> Iterable[Finding]:
    """Find evaluations that are not of the network that was kept: results of another run were put there."""
    runs = list(each_run(study))
    for cell, run in runs:
        stated, evaluation = _selected(run), run.evaluations.get("validation")
        if (
            stated is None
            or evaluation is None
            or abs(stated - evaluation.accuracy) <= 1.5 / evaluation.n
        ):
            continue
        others = [
            place_of(c, other)
            for c, other in runs
            if other is not run
            and other.fold == run.fold
            and abs((_selected(other) or -1.0) - evaluation.accuracy) <= 0.5 / evaluation.n
        ]
        whose = f"; it fits {listed(others, 2)}" if others else ""
        yield Finding(
            "shifted_rows",
            place_of(cell, run),
            f"{run.stage}, seed {run.seed}: the kept epoch had "
            f"{stated:.4f} on validation, but evaluation.json says {evaluation.accuracy:.4f}{whose}.",
        )


def _selected(run: Run) -> float | None:
    chosen = run.record.selected
    return chosen.value if chosen is not None and chosen.on == "validation" else None


def diverged_run(study: StudyLedger) -> Iterable[Finding]:
    """Find runs that were stopped because they diverged or learned one class, and logs with lost numbers."""
    for hole in study.missing:
        if hole.kind == "failed":
            yield Finding(
                "diverged_run",
                f"{hole.cell}/{hole.path}",
                f"{hole.stage}, fold {hole.fold}, seed {hole.seed} gave no number: {hole.reason}.",
            )
    for cell, run in each_run(study):
        lost = [epoch.epoch for epoch in run.curve() if _lost(epoch.train.get("loss", 0.0))]
        if lost:
            yield Finding(
                "diverged_run",
                place_of(cell, run),
                f"{run.stage}, seed {run.seed}: the loss is not finite in epoch {lost[0] + 1}.",
            )


def _lost(value: float | None) -> bool:
    return value is None or not np.isfinite(value)


def lost_files(study: StudyLedger) -> Iterable[Finding]:
    """Find complete runs whose log has lost or doubled epochs, or whose network is gone."""
    for cell, run in each_run(study):
        for sentence in folder_losses(run.folder, run.record):
            where = f"{run.stage}, fold {run.fold}, seed {run.seed}"
            yield Finding("lost_files", place_of(cell, run), f"{where}: {sentence}.")


def never_predicted(study: StudyLedger) -> Iterable[Finding]:
    """Find classes that a network never predicts although they are tested."""
    silent: dict[tuple[str, str, str], list[str]] = {}
    for cell, run in each_run(study):
        for name in _never(run.evaluations.get("test"), run.record.data.class_names):
            silent.setdefault((cell.name, run.stage, name), []).append(place_of(cell, run))
    for (cell_name, stage, name), places in silent.items():
        runs = f"{len(places)} run{'s' * (len(places) > 1)}"
        yield Finding(
            "never_predicted",
            places[0],
            f"{stage} of {cell_name} never predicts {name!r} in {runs}: {listed(places, 3)}.",
        )


def _never(evaluation: Evaluation | None, names: tuple[str, ...]) -> list[str]:
    if evaluation is None:
        return []
    confusion = np.array(evaluation.confusion)
    empty = (confusion.sum(axis=0) == 0) & (confusion.sum(axis=1) > 0)
    return [name for name, never in zip(names, empty, strict=True) if never]
