"""Parameters and multiply-adds of every network, and how much smaller the student is."""

from tutelage.report.cells import compression
from tutelage.report.context import ReportContext
from tutelage.report.panels.sizes import figures
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.wording import human, modality
from tutelage.runs.ledger import Experiment


def section(context: ReportContext) -> Section:
    """Build the section."""
    experiment = context.experiment
    if not experiment.runs:
        return Section("sizes", "Sizes", "Sizes", empty="No run is complete.")
    figure = Figure(figures.sizes(experiment), "What it costs to run", "")
    return Section("sizes", "Sizes", "Sizes", figures=(figure,), tables=(size_table(experiment),))


def size_table(experiment: Experiment) -> Table:
    """One row per network."""
    columns = (
        left("network"),
        left("role"),
        left("input"),
        TableColumn("parameters", "parameters"),
        TableColumn("macs", "multiply-adds of one window"),
        TableColumn("compression", "teachers : this"),
    )
    rows = []
    for stage in (*experiment.teachers, *experiment.students):
        for run in experiment.of(stage)[:1]:
            network, read = run.record.network, run.record.data.modality
            role = "student" if stage in experiment.students else "teacher"
            cells = (
                stated(stage, network.type),
                stated(role),
                TableCell(modality(read), read),
                TableCell(human(network.parameters), network.parameters),
                TableCell(human(network.macs), network.macs),
                compression(experiment, run),
            )
            rows.append(Row(cells, f"{role}s"))
    caption = (
        "Of the exported network, for one window. The last column divides the parameters of all "
        "teachers of a student, and their multiply-adds, by its own."
    )
    return Table("sizes", caption, columns, tuple(rows))
