"""A student against the baseline, on the folds and seeds that both have."""

from dataclasses import dataclass

from tutelage.runs.ledger import Experiment, Run
from tutelage.runs.records import Split
from tutelage.statistics.paired import PairedDifference, holm, paired_difference
from tutelage.statistics.spreads import mean_of_folds
from tutelage.statistics.subjects import SubjectDifference, SubjectPair, subject_difference


@dataclass(frozen=True)
class Comparison:
    """Everything that may be said of a student and the baseline.

    Args:
        student: the stage.
        baseline: the stage it is compared with.
        pairs: matched runs, the student's first.
        retrained: over seeds and folds: the same test subjects, trained again.
        corrected: the same with the Nadeau-Bengio interval; None with a single fold.
        subjects: over test subjects; None where the data have none.
        adjusted_p: p of ``retrained`` after Holm's correction over all students.
    """

    student: str
    baseline: str
    pairs: tuple[tuple[Run, Run], ...]
    retrained: PairedDifference
    corrected: PairedDifference | None
    subjects: SubjectDifference | None
    adjusted_p: float = 1.0


def compare(experiment: Experiment, split: Split = "test") -> tuple[Comparison, ...]:
    """Compare the accuracy of every student with the baseline, in the order of the recipe."""
    baseline = experiment.record.baseline
    names = [name for name in experiment.students if name != baseline]
    found = [_compare(experiment, name, baseline, split) for name in names]
    adjusted = holm({one.student: one.retrained.p_value for one in found})
    return tuple(Comparison(**{**vars(one), "adjusted_p": adjusted[one.student]}) for one in found)


def best_student(experiment: Experiment) -> str | None:
    """The student with teachers that is best on *validation*; None before any is complete.

    Choosing by test accuracy would make the headline better than the truth.
    """
    baseline = experiment.record.baseline
    scores = {
        name: experiment.values(name, lambda evaluation: evaluation.accuracy, "validation")
        for name in experiment.students
        if name != baseline and experiment.of(name)
    }
    if not scores:
        return None
    return max(scores, key=lambda name: mean_of_folds(scores[name]) if scores[name] else -1.0)


def _compare(experiment: Experiment, student: str, baseline: str, split: Split) -> Comparison:
    others = {run.key: run for run in experiment.of(baseline) if split in run.evaluations}
    pairs = tuple(
        (run, others[run.key])
        for run in sorted(experiment.of(student), key=lambda run: run.key)
        if run.key in others and split in run.evaluations
    )
    a = [run.evaluations[split].accuracy for run, _ in pairs]
    b = [run.evaluations[split].accuracy for _, run in pairs]
    corrected = None
    if len({run.fold for run, _ in pairs}) > 1:
        corrected = paired_difference(a, b, test_fraction=_test_fraction(pairs))
    return Comparison(
        student=student,
        baseline=baseline,
        pairs=pairs,
        retrained=paired_difference(a, b),
        corrected=corrected,
        subjects=_subjects(pairs, split),
    )


def _test_fraction(pairs: tuple[tuple[Run, Run], ...]) -> float:
    tested = sum(run.record.data.n_test for run, _ in pairs)
    trained = sum(run.record.data.n_train for run, _ in pairs)
    return min(max(tested / max(tested + trained, 1), 1e-6), 0.99)


def _subjects(pairs: tuple[tuple[Run, Run], ...], split: Split) -> SubjectDifference | None:
    rows = []
    for student, baseline in pairs:
        mine = student.evaluations[split].per_subject
        other = baseline.evaluations[split].per_subject
        rows += [
            SubjectPair(*student.key, name, mine[name].n, mine[name].accuracy, other[name].accuracy)
            for name in mine
            if name in other
        ]
    return subject_difference(rows) if rows else None
