"""The same networks on other data sets."""

from tutelage.report.cells import mean_cell, mean_over_sets, stages_in_groups
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableColumn, counted, left, stated
from tutelage.report.wording import plural
from tutelage.runs.ledger import Experiment

INTRO = "The same networks on data sets they were not trained on, without another step of training."


def section(context: ReportContext) -> Section | None:
    """Build the section; none where the recipe asks for no other data set."""
    targets = context.experiment.transfers
    if not targets:
        return None
    sets = "; ".join(
        f"{target.name}: {target.data.name}, {plural(target.data.n, 'sample')}"
        for target in targets
    )
    table = transfer_table(context.experiment)
    return Section("transfer", "Other data sets", "Transfer", INTRO, tables=(table,), notes=(sets,))


def transfer_table(experiment: Experiment) -> Table:
    """One row per stage: accuracy on each other data set, and the mean over them."""
    targets = experiment.transfers
    columns = (
        left("method"),
        TableColumn("n", "runs"),
        *(TableColumn(target.name, target.name, "%, ± pooled seed SD") for target in targets),
        TableColumn("mean", "mean", "%"),
    )
    rows = []
    for stage, group in stages_in_groups(experiment):
        values = [target.accuracies(stage) for target in targets]
        if any(values):
            cells = [mean_cell(experiment, stage, each) for each in values]
            cells.append(mean_cell(experiment, stage, mean_over_sets(values), bar=True))
            rows.append(Row((stated(stage), counted(max(map(len, values))), *cells), group))
    caption = "The official test part of each data set, all of it where there is none. Accuracy."
    return Table("transfer", caption, columns, tuple(rows))
