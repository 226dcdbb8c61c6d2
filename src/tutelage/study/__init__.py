"""The ledger of run folders and the statistics of honest comparison."""

from tutelage.study.comparison import Comparison, best_student, compare
from tutelage.study.holes import Hole
from tutelage.study.ledger import Experiment, Predictions, Run, read_experiment
from tutelage.study.spreads import Spread, mean_of_folds, spread
from tutelage.study.statistics import (
    Interval,
    PairedDifference,
    holm,
    paired_difference,
    pairs_needed,
)
from tutelage.study.subjects import SubjectDifference, SubjectPair, subject_difference

__all__ = [
    "read_experiment", "Experiment", "Run", "Hole", "Predictions",
    "compare", "best_student", "Comparison",
    "spread", "mean_of_folds", "Spread",
    "paired_difference", "PairedDifference", "Interval", "pairs_needed", "holm",
    "subject_difference", "SubjectDifference", "SubjectPair",
]  # fmt: skip
