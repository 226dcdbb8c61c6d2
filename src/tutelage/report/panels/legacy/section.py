"""What choosing the epoch on the test split adds; only where the protocol is legacy."""

from tutelage.report.cells import accuracy, difference_cell, metric_cell, paired, stages_in_groups
from tutelage.report.context import ReportContext
from tutelage.report.panels.legacy import figures
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, SourceRun, Table, TableColumn, left, stated
from tutelage.report.wording import signed
from tutelage.runs.ledger import Experiment
from tutelage.runs.selection import evaluated


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no run has the legacy number."""
    table = legacy_table(context.experiment)
    if not table.rows:
        return None
    figure = Figure(figures.legacy_gap(table), "What choosing the epoch on the test split adds", "")
    return Section("legacy", "Honest and legacy", "Legacy", figures=(figure,), tables=(table,))


def legacy_table(experiment: Experiment) -> Table:
    """Honest against legacy accuracy."""
    columns = (
        left("method"),
        TableColumn("honest", evaluated(experiment.runs), "%"),
        TableColumn("legacy", "epoch chosen on test", "%"),
        TableColumn("optimism", "optimism", "points, 95 % interval"),
    )
    rows = [_row(experiment, stage) for stage, _ in stages_in_groups(experiment)]
    caption = (
        "Accuracy ± pooled seed SD of the same trainings. Optimism is what choosing the epoch on the "
        "test split adds, as the literature often does. Only the left number may be compared with "
        "new work."
    )
    return Table("legacy", caption, columns, tuple(row for row in rows if row is not None))


def _row(experiment: Experiment, stage: str) -> Row | None:
    honest = experiment.values(stage, accuracy)
    legacy = experiment.values(stage, accuracy, "test_legacy")
    gap = paired(legacy, honest)
    if gap is None:
        return None
    behind = tuple(
        SourceRun(experiment.fold_names[run.fold], run.seed,
                  signed(100 * (legacy[run.key] - honest[run.key])), run.path)
        for run in sorted(experiment.of(stage), key=lambda run: run.key)
        if run.key in legacy and run.key in honest
    )  # fmt: skip
    return Row(
        (
            stated(stage),
            metric_cell(experiment, stage, accuracy),
            metric_cell(experiment, stage, accuracy, split="test_legacy"),
            difference_cell(gap.mean, gap.interval, behind),
        )
    )
