"""What a student learned from whom: where its answer moved to that of a teacher, counted on test samples."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.runs.ledger import Experiment
from tutelage.runs.run import Run
from tutelage.study.teachers import Heard, hear


@dataclass(frozen=True)
class Moves:
    """Answers of a student with teachers beside those of the student alone.

    Args:
        n: samples.
        fixed: wrong alone, right with teachers.
        broken: right alone, wrong with teachers.
        followed: teacher -> how many of the fixed it says too, and how many of the broken, with the same error.
    """

    n: int
    fixed: int
    broken: int
    followed: Mapping[str, tuple[int, int]]

    @property
    def net(self) -> float:
        """Fixed minus broken, as a share of the samples: the difference in accuracy."""
        return (self.fixed - self.broken) / self.n

    def from_teacher(self, name: str) -> float:
        """Fixed minus broken with this teacher's answer, as a share of the samples."""
        good, bad = self.followed[name]
        return (good - bad) / self.n


@dataclass(frozen=True)
class PassedOn:
    """What came through to one student; all folds and seeds together.

    Args:
        stage: the student.
        baseline: the student alone.
        teachers: by name, in the order of the recipe.
        overall: all samples.
        by_class, by_subject: parts of them.
    """

    stage: str
    baseline: str
    teachers: tuple[str, ...]
    overall: Moves
    by_class: Mapping[str, Moves]
    by_subject: Mapping[str, Moves]


def passed_on(experiment: Experiment) -> tuple[PassedOn, ...]:
    """Return every student whose predictions, those alone and those of its teachers were kept for the test split.

    Raises:
        UnreadableError: predictions are damaged.
    """
    alone = {run.key: run for run in experiment.of(experiment.record.baseline)}
    by_identity = {run.fingerprint: run for run in experiment.runs}
    found = []
    for stage in experiment.students:
        heard = [
            each
            for run in experiment.of(stage)
            if (each := _heard(run, alone.get(run.key), by_identity)) is not None
        ]
        if heard:
            found.append(_counted(experiment, stage, heard))
    return tuple(found)


def _heard(run: Run, alone: Run | None, by_identity: Mapping[str, Run]) -> Heard | None:
    taught = run.record.teachers
    known = {
        name: by_identity[ancestor.fingerprint].folder
        for name, ancestor in taught.items()
        if ancestor.fingerprint in by_identity
    }
    # Self-training has the student alone as its teacher: nothing can move to it.
    if alone is None or not taught or len(known) < len(taught) or alone.folder in known.values():
        return None
    return hear(run.key, alone.folder, {**known, run.stage: run.folder}, "test")


def _counted(experiment: Experiment, stage: str, heard: list[Heard]) -> PassedOn:
    names = tuple(name for name in heard[0].teachers if name != stage)
    moves = [_moves(each, stage) for each in heard]
    whole = [np.ones(len(each.labels), bool) for each in heard]
    classes = {
        name: [each.labels == number for each in heard]
        for number, name in enumerate(experiment.class_names)
    }
    people = sorted({str(who) for each in heard for who in each.subjects} - {""})
    subjects = {name: [each.subjects == name for each in heard] for name in people}
    return PassedOn(
        stage, experiment.record.baseline, names, _within(names, moves, whole),
        {name: _within(names, moves, part) for name, part in classes.items() if _any(part)},
        {name: _within(names, moves, part) for name, part in subjects.items()},
    )  # fmt: skip


def _moves(heard: Heard, stage: str) -> dict[str, NDArray[np.bool_]]:
    """Return masks over samples: fixed, broken and, by teacher, whether it says what the student now says."""
    before, now = heard.student.argmax(axis=1), heard.teachers[stage].argmax(axis=1)
    fixed = (before != heard.labels) & (now == heard.labels)
    broken = (before == heard.labels) & (now != heard.labels)
    said = {
        f"by {name}": answers.argmax(axis=1) == now
        for name, answers in heard.teachers.items()
        if name != stage
    }
    return {"fixed": fixed, "broken": broken, **said}


def _within(
    names: Iterable[str],
    moves: list[dict[str, NDArray[np.bool_]]],
    parts: list[NDArray[np.bool_]],
) -> Moves:
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for masks, part in zip(moves, parts, strict=True):
        for way in ("fixed", "broken"):
            counts[(way,)] += int((masks[way] & part).sum())
            for name in names:
                counts[way, name] += int((masks[way] & part & masks[f"by {name}"]).sum())
    followed = {name: (counts["fixed", name], counts["broken", name]) for name in names}
    return Moves(_total(parts), counts[("fixed",)], counts[("broken",)], followed)


def _total(parts: list[NDArray[np.bool_]]) -> int:
    return sum(int(part.sum()) for part in parts)


def _any(parts: list[NDArray[np.bool_]]) -> bool:
    return _total(parts) > 0
