"""Groups of classes by themselves, and the harmonic mean over them."""

from tutelage.report.cells import (
    EMPTY,
    accuracy_of_group,
    harmonic_mean,
    interval_cell,
    metric_cell,
    paired,
    stages_in_groups,
    verdict_cell,
)
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.verdicts import difference_sentence
from tutelage.report.wording import signed
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import PairedDifference, decided

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
    differences = _differences(experiment)
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
                *_difference(differences.get(stage), stage, baseline),
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


def _differences(experiment: Experiment) -> dict[str, PairedDifference | None]:
    """Return the difference of every student to the baseline, decided together; None without pairs."""
    baseline = experiment.record.baseline
    base = experiment.values(baseline, harmonic_mean)
    students = [name for name in experiment.students if name != baseline]
    each = {name: paired(experiment.values(name, harmonic_mean), base) for name in students}
    after = decided({name: one for name, one in each.items() if one is not None})
    return {name: after.get(name) for name in students}


def _difference(
    pairs: PairedDifference | None, stage: str, baseline: str
) -> tuple[TableCell, TableCell, TableCell]:
    if stage == baseline:
        return TableCell("baseline", tone="quiet"), EMPTY, TableCell("")
    if pairs is None:
        return EMPTY, EMPTY, stated("no pairs", tone="quiet")
    note = difference_sentence(pairs, stage, baseline)
    points = TableCell(signed(100 * pairs.mean), 100 * pairs.mean, note=note)
    return points, interval_cell(pairs.interval), verdict_cell(pairs.verdict, note=note)
