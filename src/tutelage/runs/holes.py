"""Holes: runs that gave no number, and why."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from tutelage.runs.records import Entry, ExperimentRecord, RunRecord

HoleKind = Literal[
    "missing", "failed", "incomplete", "unreadable", "ambiguous", "not planned", "other data"
]


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
    for key, given in answers.items():
        if len(given) > 1:
            paths = " and ".join(sorted(entry.path for entry in given))
            reason = f"experiment.json gives {len(given)} answers: {paths}"
            holes.append(Hole(*key, kind="ambiguous", reason=reason))
    return [next(iter(given)) for given in answers.values() if len(given) == 1]


def compared(record: ExperimentRecord) -> tuple[str, ...]:
    """Return the stages of an experiment that are compared, the baseline first if the recipe left it out.

    A stage that learns from labels alone with a seed of its own was made to teach: where nobody learns from it, it
    is a teacher all the same.
    """
    named = dict.fromkeys((record.baseline, *record.students))
    order = record.students if record.baseline in record.students else tuple(named)
    return tuple(
        name
        for name in order
        if name == record.baseline
        or settings_of(record, name).get("seed") is None
        or settings_of(record, name).get("teachers")
    )


def not_planned(record: ExperimentRecord) -> list[Hole]:
    """Students that lack a fold and seed which another has; a stage with a seed of its own has no others."""
    stages = compared(record)
    every = [stage for stage in stages if settings_of(record, stage).get("seed") is None]
    wanted = dict.fromkeys((e.fold, e.seed) for e in record.runs if e.stage in every)
    listed = {entry.key for entry in record.runs}
    reason = "another student has this fold and seed, but experiment.json lists no run for it"
    return [
        Hole(stage, fold, seed, "not planned", reason)
        for stage in every
        for fold, seed in wanted
        if (stage, fold, seed) not in listed
    ]


def settings_of(record: ExperimentRecord, stage: str) -> dict[str, Any]:
    """Return what the resolved recipe says of a stage; empty where the record does not tell."""
    resolved = record.resolved if isinstance(record.resolved, dict) else {}
    stages = resolved.get("stages")
    settings = stages.get(stage) if isinstance(stages, dict) else None
    return settings if isinstance(settings, dict) else {}


def is_given(record: ExperimentRecord, stage: str) -> bool:
    """Whether the recipe names a run folder for this stage; its fingerprint is then its own."""
    return bool(settings_of(record, stage).get("run"))


def explained(hole: Hole, holes: list[Hole], record: ExperimentRecord) -> Hole:
    """Say of a missing run which of the runs it needs is a hole itself."""
    if hole.kind != "missing":
        return hole
    settings = settings_of(record, hole.stage)
    needed = {str(settings.get("start_from")), *map(str, settings.get("teachers") or ())}
    broken = sorted(other.stage for other in holes if other.stage in needed
                    and (other.fold, other.seed) == (hole.fold, hole.seed))  # fmt: skip
    if not broken:
        return hole
    return replace(hole, reason=f"{hole.reason}; it needs {' and '.join(broken)}, a hole itself")


def stopped(entry: Entry, record: RunRecord) -> Hole:
    """The hole of a run that failed or was not finished."""
    if record.status != "failed":
        reason = "started but not finished; run it again and it goes on from its last epoch"
        return Hole(*entry.key, kind="incomplete", reason=reason, path=entry.path)
    failure = record.failure
    reason = "no reason recorded"
    if failure is not None:
        at = "" if failure.epoch is None else f" in epoch {failure.epoch + 1}"
        what = f" ({failure.objective})" if failure.objective else ""
        reason = f"{failure.kind}{what}{at}: {failure.message}"
    return Hole(*entry.key, kind="failed", reason=reason, path=entry.path)
