"""Can these teachers help? What they know of validation samples, alone and together, beside the student alone."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.runs.predictions import Predictions
from tutelage.runs.records import Split
from tutelage.statistics.mixtures import blocks, cross_fitted, probabilities
from tutelage.statistics.paired import PairedDifference, decided, paired_difference
from tutelage.statistics.subjects import SubjectDifference, SubjectPair, subject_difference

__all__ = ["FITTED", "ORACLE", "Heard", "TeacherSurvey", "fixed_weights", "hear", "survey"]

Values = dict[tuple[str, int], float]
Array = NDArray[np.float64]

UNIFORM, STATED, FITTED, ORACLE = (
    "equal weights",
    "the recipe's weights",
    "fitted weights",
    "oracle",
)
MIXTURES = (UNIFORM, STATED, FITTED)


@dataclass(frozen=True)
class Heard:
    """What the student alone and its K teachers say of the samples of one split of one fold and seed.

    Args:
        key: fold and seed.
        labels: [n].
        subjects: [n]; empty texts where the data do not say.
        student: probabilities, [n, C].
        teachers: by name, [n, C] each.
    """

    key: tuple[str, int]
    labels: NDArray[np.int64]
    subjects: NDArray[Any]
    student: Array
    teachers: Mapping[str, Array]


@dataclass(frozen=True)
class Rescue:
    """How often teachers are right where the student alone is not.

    Args:
        errors: of the student.
        by: teacher -> how many of these it has right.
        any: how many some teacher has right.
        n: samples.
    """

    errors: int
    by: Mapping[str, int]
    any: int
    n: int


@dataclass(frozen=True)
class TeacherSurvey:
    """What K teachers know together.

    Args:
        student: name of the stage that learns alone.
        learners: stages that learn from exactly these teachers.
        teachers: K names.
        stated: the recipe's weights, summing to one; None where it fixes none.
        accuracy, loss, calibration: who -> by fold and seed: accuracy, cross entropy (nats), calibration error.
        weights: what was fitted, the mean over folds and seeds; None for a single teacher.
        subjects: the best mixture against the student alone, validation subjects drawn anew; None without.
        by_class, by_subject: rescues; all folds and seeds together.
        harm: teacher -> share of the samples that the student has right, and the teacher has not.
        agreement: (who, who) -> share of samples with the same answer.
    """

    student: str
    learners: tuple[str, ...]
    teachers: tuple[str, ...]
    stated: Mapping[str, float] | None
    accuracy: Mapping[str, Values]
    loss: Mapping[str, Values]
    calibration: Mapping[str, Values]
    weights: Mapping[str, float] | None
    subjects: SubjectDifference | None
    by_class: Mapping[str, Rescue]
    by_subject: Mapping[str, Rescue]
    harm: Mapping[str, float]
    agreement: Mapping[tuple[str, str], float]

    @property
    def candidates(self) -> tuple[str, ...]:
        """What soft targets could carry: the mixtures, or the single teacher."""
        return tuple(name for name in MIXTURES if name in self.accuracy) or self.teachers

    @cached_property
    def gains(self) -> dict[str, PairedDifference]:
        """Each candidate minus the student alone, with Holm's correction for all of them."""
        alone = self.accuracy[self.student]
        return decided({n: paired_difference(self.accuracy[n], alone) for n in self.candidates})

    @property
    def best(self) -> str:
        """The candidate with the largest mean."""
        return max(self.candidates, key=lambda name: self.gains[name].mean)

    @property
    def overall(self) -> Rescue:
        """Rescues of all classes together."""
        return _added(list(self.by_class.values()))

    def without(self, teacher: str) -> PairedDifference | None:
        """Return fitted weights without a teacher minus with all; None with fewer than three."""
        left_out = self.accuracy.get(without(teacher))
        return None if left_out is None else paired_difference(left_out, self.accuracy[FITTED])


def without(teacher: str) -> str:
    """Name the mixture with fitted weights that leaves a teacher out."""
    return f"without {teacher}"


def hear(
    key: tuple[str, int], student: Path, teachers: Mapping[str, Path], split: Split = "validation"
) -> Heard | None:
    """Read what the networks of one fold and seed say of samples that all of them were asked about.

    Args:
        key: fold and seed.
        student: run folder of the stage that learns alone.
        teachers: run folders, by name.
        split: of the samples.

    Returns:
        None where one of them kept no such predictions, or they share no sample.

    Raises:
        UnreadableError: a file is damaged.
    """
    folders = {"": student, **teachers}
    paths = {name: folder / f"predictions-{split}.npz" for name, folder in folders.items()}
    if not all(path.is_file() for path in paths.values()):
        return None
    said = {name: Predictions.load(path) for name, path in paths.items()}
    shared = sorted(set.intersection(*(set(each.index.tolist()) for each in said.values())))
    if not shared:
        return None
    rows = {name: _rows(each, shared) for name, each in said.items()}
    answers = {
        name: probabilities(each.logits[rows[name]].astype(np.float64))
        for name, each in said.items()
    }
    own = said[""]
    return Heard(
        key, own.labels[rows[""]], own.subjects[rows[""]], answers.pop(""), answers
    )  # fmt: skip


def _rows(said: Predictions, index: Sequence[int]) -> list[int]:
    places = {int(sample): row for row, sample in enumerate(said.index.tolist())}
    return [places[sample] for sample in index]


def fixed_weights(
    objectives: Mapping[str, Any], teachers: Sequence[str]
) -> dict[str, float] | None:
    """Return the weights over teachers that the objectives of a stage fix, summing to one; None where none do."""
    for description in objectives.values():
        weighting = description.get("weighting") if isinstance(description, Mapping) else None
        weights = weighting.get("weights") if isinstance(weighting, Mapping) else None
        if isinstance(weights, Mapping) and set(weights) == set(teachers) and sum(weights.values()):
            whole = sum(weights.values())
            return {name: float(weights[name]) / whole for name in teachers}
    return None


def survey(
    student: str,
    learners: Sequence[str],
    heard: Sequence[Heard],
    class_names: Sequence[str],
    stated: Mapping[str, float] | None,
) -> TeacherSurvey:
    """Find out what teachers know together.

    Args:
        student: name of the stage that learns alone.
        learners: stages that learn from these teachers.
        heard: at least one; the teachers of all are the same.
        class_names: C names.
        stated: the recipe's weights over the teachers.
    """
    teachers = tuple(heard[0].teachers)
    mixed = {each.key: _mixed(each, stated) for each in heard}
    answers = {
        each.key: {student: each.student, **each.teachers, **mixed[each.key][0]} for each in heard
    }
    labels = {each.key: each.labels for each in heard}
    accuracy = _each(answers, labels, _accuracy)
    accuracy[ORACLE] = {
        each.key: float(_right(each, teachers).any(axis=0).mean()) for each in heard
    }
    fitted = [weights for _, weights in mixed.values() if weights is not None]
    found = TeacherSurvey(
        student, tuple(learners), teachers, stated, accuracy,
        _each(answers, labels, _loss), _each(answers, labels, _calibration),
        dict(zip(teachers, np.mean(fitted, axis=0).tolist(), strict=True)) if fitted else None,
        None,
        _rescues(heard, lambda each: np.asarray(class_names)[each.labels]),
        _rescues(heard, lambda each: each.subjects),
        {name: _harm(heard, name) for name in teachers},
        _agreement(heard, student),
    )  # fmt: skip
    people = _people(found.best, heard, answers)
    return replace(found, subjects=subject_difference(people) if people else None)


def _mixed(
    heard: Heard, stated: Mapping[str, float] | None
) -> tuple[dict[str, Array], Array | None]:
    """Return the mixtures of several teachers, and the fitted weights."""
    names = list(heard.teachers)
    if len(names) < 2:
        return {}, None
    said = np.stack([heard.teachers[name] for name in names])
    parts = blocks(heard.subjects, len(heard.labels))
    fitted, weights = cross_fitted(said, heard.labels, parts)
    found = {UNIFORM: said.mean(axis=0)}
    if stated is not None:
        found[STATED] = np.tensordot([stated[name] for name in names], said, axes=1)
    found[FITTED] = fitted
    for number, name in enumerate(names if len(names) > 2 else []):
        left = np.delete(said, number, axis=0)
        found[without(name)] = cross_fitted(left, heard.labels, parts)[0]
    return found, weights


def _each(
    answers: Mapping[tuple[str, int], Mapping[str, Array]],
    labels: Mapping[tuple[str, int], NDArray[np.int64]],
    measure: Callable[[Array, NDArray[np.int64]], float],
) -> dict[str, Values]:
    found: dict[str, Values] = defaultdict(dict)
    for key, said in answers.items():
        for name, own in said.items():
            found[name][key] = measure(own, labels[key])
    return dict(found)


def _accuracy(said: Array, labels: NDArray[np.int64]) -> float:
    return float((said.argmax(axis=1) == labels).mean())


def _loss(said: Array, labels: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(said[np.arange(len(labels)), labels], 1e-12)).mean())


def _calibration(said: Array, labels: NDArray[np.int64]) -> float:
    import torch  # only where predictions are read: whoever asks for words of a study does without

    from tutelage.evaluate import calibration_error

    logits = torch.from_numpy(np.log(np.maximum(said, 1e-300)))
    return calibration_error(logits, torch.from_numpy(labels))


def _right(heard: Heard, teachers: Sequence[str]) -> NDArray[np.bool_]:
    """Return which samples each teacher has right, [K, n]."""
    return np.stack([heard.teachers[name].argmax(axis=1) == heard.labels for name in teachers])


def _rescues(
    heard: Sequence[Heard], group_of: Callable[[Heard], NDArray[Any]]
) -> dict[str, Rescue]:
    found: dict[str, list[Rescue]] = defaultdict(list)
    for each in heard:
        groups, names = group_of(each), list(each.teachers)
        wrong, right = each.student.argmax(axis=1) != each.labels, _right(each, names)
        for group in dict.fromkeys(groups.tolist()):
            mine = groups == group
            saved = right[:, mine & wrong]
            by = dict(zip(names, saved.sum(axis=1).tolist(), strict=True))
            count = int(saved.any(axis=0).sum())
            found[str(group)].append(Rescue(int((mine & wrong).sum()), by, count, int(mine.sum())))
    return {group: _added(parts) for group, parts in found.items() if group}


def _added(parts: Sequence[Rescue]) -> Rescue:
    names = list(parts[0].by)
    return Rescue(
        sum(part.errors for part in parts),
        {name: sum(part.by[name] for part in parts) for name in names},
        sum(part.any for part in parts),
        sum(part.n for part in parts),
    )


def _harm(heard: Sequence[Heard], teacher: str) -> float:
    right = np.concatenate([each.student.argmax(axis=1) == each.labels for each in heard])
    theirs = np.concatenate([_right(each, [teacher])[0] for each in heard])
    return float((right & ~theirs).sum() / max(1, right.sum()))


def _agreement(heard: Sequence[Heard], student: str) -> dict[tuple[str, str], float]:
    answers = [
        {n: a.argmax(axis=1) for n, a in {student: e.student, **e.teachers}.items()} for e in heard
    ]
    return {
        (a, b): float(np.concatenate([said[a] == said[b] for said in answers]).mean())
        for a in answers[0]
        for b in answers[0]
    }


def _people(
    who: str, heard: Sequence[Heard], answers: Mapping[tuple[str, int], Mapping[str, Array]]
) -> list[SubjectPair]:
    rows = []
    for each in heard:
        theirs = answers[each.key][who].argmax(axis=1) == each.labels
        alone = each.student.argmax(axis=1) == each.labels
        for subject in dict.fromkeys(each.subjects.tolist()):
            mine = each.subjects == subject
            if subject != "":
                means = float(theirs[mine].mean()), float(alone[mine].mean())
                rows.append(SubjectPair(*each.key, str(subject), int(mine.sum()), *means))
    return rows
