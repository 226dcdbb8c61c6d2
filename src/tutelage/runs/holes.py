"""Holes: runs that gave no number, and why."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from tutelage.runs.records import Entry, ExperimentRecord, RunRecord

HoleKind = Literal["missing", "failed", "incomplete", "ambiguous", "not planned", "other data"]


@dataclass(frozen=True)
class Hole:
    """A run that gave no number, and why."""

    stage: str
    fold: str
    seed: int
    kind: HoleKind
    reason: str
    path: str | None = None


def unambiguous(entries: Iterable[Entry], holes: list[Hole]) -> list[Entry]:
    """Entries that are the only answer to their question; the others become holes."""
    answers: dict[tuple[str, str, int], set[Entry]] = {}
    for entry in entries:
        answers.setdefault(entry.key, set()).add(entry)
    for key, found in answers.items():
        if len(found) > 1:
            paths = " and ".join(sorted(entry.path for entry in found))
            reason = f"experiment.json gives {len(found)} answers: {paths}"
            holes.append(Hole(*key, kind="ambiguous", reason=reason))
    return [next(iter(found)) for found in answers.values() if len(found) == 1]


def not_planned(record: ExperimentRecord) -> list[Hole]:
    """Students that lack a (fold, seed) which another student has."""
    stages = set(record.students) | {record.baseline}
    wanted = dict.fromkeys((e.fold, e.seed) for e in record.runs if e.stage in stages)
    listed = {entry.key for entry in record.runs}
    reason = "another student has this fold and seed, but experiment.json lists no run for it"
    return [
        Hole(stage, fold, seed, "not planned", reason)
        for stage in dict.fromkeys((record.baseline, *record.students))
        for fold, seed in wanted
        if (stage, fold, seed) not in listed
    ]


def _settings(record: ExperimentRecord, stage: str) -> dict[str, Any]:
    resolved = record.resolved if isinstance(record.resolved, dict) else {}
    stages = resolved.get("stages")
    found = stages.get(stage) if isinstance(stages, dict) else None
    return found if isinstance(found, dict) else {}


def is_given(record: ExperimentRecord, stage: str) -> bool:
    """Whether the recipe names a run folder for this stage; its fingerprint is then its own."""
    return bool(_settings(record, stage).get("run"))


def explained(hole: Hole, holes: list[Hole], record: ExperimentRecord) -> Hole:
    """Say of a missing run which of the runs it needs is a hole itself."""
    if hole.kind != "missing":
        return hole
    settings = _settings(record, hole.stage)
    needed = {str(settings.get("start_from")), *map(str, settings.get("teachers") or ())}
    broken = sorted(other.stage for other in holes if other.stage in needed
                    and (other.fold, other.seed) == (hole.fold, hole.seed))  # fmt: skip
    if not broken:
        return hole
    return replace(hole, reason=f"{hole.reason}; it needs {' and '.join(broken)}, a hole itself")


def stopped(entry: Entry, record: RunRecord) -> Hole:
    """The hole of a run that failed or was not finished."""
    if record.status == "failed":
        failure = record.failure
        if failure is None:
            return Hole(*entry.key, kind="failed", reason="no reason recorded", path=entry.path)
        at = "" if failure.epoch is None else f" in epoch {failure.epoch}"
        what = f" ({failure.objective})" if failure.objective else ""
        reason = f"{failure.kind}{what}{at}: {failure.message}"
        return Hole(*entry.key, kind="failed", reason=reason, path=entry.path)
    reason = "started but not finished; run it again and it goes on from its last epoch"
    return Hole(*entry.key, kind="incomplete", reason=reason, path=entry.path)
