"""Groups of classes by themselves, and the harmonic mean over them."""

from tutelage.report.baseline import difference_cells, students_to_baseline
from tutelage.report.cells import accuracy_of_group, harmonic_mean, metric_cell, stages_in_groups
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableColumn, counted, left, stated
from tutelage.runs.ledger import Experiment

INTRO = (
    "Each group of classes by itself: its test samples alone, and only its classes may be predicted. The "
    "harmonic mean is low as soon as one group is."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no run was evaluated on groups."""
    if not group_names(context.experiment):
        return None
    table = group_table(context.experiment)
    return Section("groups", "Groups of classes", "Groups", INTRO, tables=(table,))


def group_names(experiment: Experiment) -> tuple[str, ...]:
    """The groups that runs were evaluated on, in the order of the recipe."""
    tests = [run.evaluations["test"] for run in experiment.runs]
    return tuple(dict.fromkeys(name for evaluation in tests for name in evaluation.groups))


def group_table(experiment: Experiment) -> Table:
    """One row per stage: accuracy of each group, their harmonic mean, its difference to the baseline."""
    names = group_names(experiment)
    baseline = experiment.record.baseline
    differences = students_to_baseline(experiment, harmonic_mean)
    columns = (
        left("method"),
        TableColumn("n", "runs"),
        *(TableColumn(name, name, "%, ± pooled seed SD") for name in names),
        TableColumn("harmonic_mean", "harmonic mean", "%"),
        TableColumn("difference", f"Δ to {baseline}", "points of the harmonic mean"),
        TableColumn("interval", "95 % interval", "points"),
        left("verdict"),
    )
    rows = [
        Row(
            (
                stated(stage),
                counted(len(experiment.of(stage))),
                *(metric_cell(experiment, stage, accuracy_of_group(name)) for name in names),
                metric_cell(experiment, stage, harmonic_mean, bar=True),
                *difference_cells(differences.get(stage), stage, baseline),
            ),
            group,
            strong=stage == baseline,
        )
        for stage, group in stages_in_groups(experiment)
        if experiment.of(stage)
    ]
    caption = (
        "Test split. The harmonic mean is taken in each run, then averaged; over several data sets, the "
        "literature takes it of the averages."
    )
    return Table("groups", caption, columns, tuple(rows))
