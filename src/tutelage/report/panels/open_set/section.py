"""Classes that were not taught: how well they are told from those that were."""

from collections.abc import Callable

from tutelage.report.baseline import difference_cells, students_to_baseline
from tutelage.report.cells import Metric, metric_cell, stages_in_groups
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableColumn, counted, left, stated
from tutelage.runs.ledger import Experiment
from tutelage.runs.open_set import OpenSet
from tutelage.runs.records import Evaluation

INTRO = (
    "These stages were taught some classes alone. AUROC is the probability that a test sample of a taught class "
    "scores higher than one of the others: 50 % is guessing. The score is the greatest logit (of an angular "
    "head the "
    "cosine with the nearest class) or the greatest probability."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where every stage was taught all classes."""
    if not any(run.evaluations["test"].open_set for run in context.experiment.runs):
        return None
    table = open_set_table(context.experiment)
    return Section("open-set", "Classes that were not taught", "Open set", INTRO, tables=(table,))


def open_set_table(experiment: Experiment) -> Table:
    """One row per stage: accuracy among known classes, both AUROCs, and the difference of the latter."""
    baseline = experiment.record.baseline
    differences = students_to_baseline(experiment, part(_logit))
    rows = [
        Row(
            (
                stated(stage),
                counted(len(experiment.of(stage))),
                *(
                    metric_cell(experiment, stage, part(of))
                    for of in (_accuracy, _logit, _probability)
                ),
                *difference_cells(differences.get(stage), stage, baseline),
            ),
            group,
            strong=stage == baseline,
        )
        for stage, group in stages_in_groups(experiment)
        if experiment.values(stage, part(_logit))
    ]
    columns = (
        left("method"),
        TableColumn("n", "runs"),
        TableColumn("accuracy", "accuracy, known", "%, ± pooled seed SD"),
        TableColumn("auroc_logit", "AUROC, logit", "%, ± pooled seed SD"),
        TableColumn("auroc_probability", "AUROC, probability", "%, ± pooled seed SD"),
        TableColumn("difference", f"Δ to {baseline}", "points of AUROC, logit"),
        TableColumn("interval", "95 % interval", "points"),
        left("verdict"),
    )
    caption = "Test split; differences are decided over folds and seeds as all others."
    return Table("open-set", caption, columns, tuple(rows))


def part(of: Callable[[OpenSet], float]) -> Metric:
    """Return a metric of the open set, where there is one."""

    def score(evaluation: Evaluation) -> float | None:
        return None if evaluation.open_set is None else of(evaluation.open_set)

    return score


def _accuracy(told: OpenSet) -> float:
    return told.accuracy


def _logit(told: OpenSet) -> float:
    return told.auroc_logit


def _probability(told: OpenSet) -> float:
    return told.auroc_probability
