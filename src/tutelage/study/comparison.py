"""A student against the baseline of one experiment, decided as everywhere in a study."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from tutelage.errors import UserError
from tutelage.framed import Framed
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Split
from tutelage.runs.run import Run
from tutelage.statistics.paired import PairedDifference, Verdict
from tutelage.statistics.spreads import mean_of_folds
from tutelage.statistics.subjects import SubjectDifference, SubjectPair, subject_difference
from tutelage.study.contrasts import Contrast, StudyComparison, compare_study
from tutelage.study.ledger import StudyLedger, study_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """Everything that may be said of a student and the baseline.

    Args:
        contrast: their difference in accuracy, with the verdict after Holm's correction over all students.
        subjects: over test subjects, as a second opinion that decides nothing; None where the data have none.
    """

    contrast: Contrast
    subjects: SubjectDifference | None

    @property
    def student(self) -> str:
        """The stage."""
        return self.contrast.a

    @property
    def baseline(self) -> str:
        """The stage it is compared with."""
        return self.contrast.b

    @property
    def pairs(self) -> tuple[tuple[Run, Run], ...]:
        """Matched runs, the student's first."""
        return self.contrast.runs

    @property
    def difference(self) -> PairedDifference:
        """Its size, intervals and p."""
        return self.contrast.oriented

    @property
    def verdict(self) -> Verdict:
        """Whether the student is better."""
        return self.contrast.verdict


class Comparisons(tuple[Comparison, ...], Framed):
    """All comparisons of one experiment, one of each student, as a tuple that prints as a table."""

    __slots__ = ()

    @property
    def heading(self) -> str:
        """What was compared with what."""
        return f"accuracy minus that of {self[0].baseline}" if self else "no student to compare"

    def to_frame(self) -> "pd.DataFrame":
        """Return a row of each student."""
        from tutelage.study.frames import contrasts_frame

        return contrasts_frame(one.contrast for one in self)

    def __str__(self) -> str:
        """Return the rows as text."""
        from tutelage.study.frames import contrasts_text

        return contrasts_text(self.to_frame(), self.heading)


@overload
def compare(
    results: Experiment, split: Split = "test", baseline: str | None = None
) -> Comparisons: ...
@overload
def compare(
    results: StudyLedger, split: Split = "test", baseline: str | None = None
) -> StudyComparison: ...
def compare(
    results: Experiment | StudyLedger, split: Split = "test", baseline: str | None = None
) -> Comparisons | StudyComparison:
    """Compare the accuracy of every student with the baseline, or another one, in the order of the recipe.

    Args:
        results: an experiment; or a study, which is compared in each of its cells and over them.
        split: of the samples.
        baseline: a stage; by default the one of the recipe.

    Raises:
        UserError: neither an experiment nor a study, or no such stage.
    """
    if isinstance(results, StudyLedger):
        return compare_study(results, {"stage": baseline} if baseline else None, "accuracy", split)
    if not isinstance(results, Experiment):
        raise UserError(
            f"compare: found a {type(results).__name__}; allowed: what tutelage.read_experiment or "
            "tutelage.read_study returns"
        )
    against = {"stage": baseline or results.record.baseline}
    compared = compare_study(study_of(results), against, "accuracy", split)
    return Comparisons(
        Comparison(single, _subjects(single.runs, split)) for single in compared.single
    )


def self_taught(experiment: Experiment) -> str | None:
    """The student whose only teacher is the baseline: self-training; None where there is none."""
    alone = {experiment.record.baseline}
    runs = ((name, experiment.of(name)) for name in experiment.students)
    return next(
        (name for name, mine in runs if mine and mine[0].record.teachers.keys() == alone), None
    )


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
