"""Every complete run with its fingerprint and folder."""

from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.wording import human, minus, percent
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Selected
from tutelage.runs.run import Run


def section(context: ReportContext) -> Section:
    """Build the section."""
    runs = context.experiment.runs
    return Section(
        "runs",
        "Every run",
        "Runs",
        tables=(run_table(context.experiment),) if runs else (),
        folded_tables=("runs",),
        empty="" if runs else "No run is complete.",
    )


def run_table(experiment: Experiment) -> Table:
    """One row per complete run."""
    columns = (
        left("stage"),
        left("fold"),
        TableColumn("seed", "seed"),
        TableColumn("accuracy", "accuracy", "%"),
        TableColumn("epoch", "epoch kept"),
        TableColumn("seconds", "seconds"),
        TableColumn("parameters", "parameters"),
        left("fingerprint"),
        left("path", "folder"),
    )
    rows = tuple(_row(run, experiment.fold_names[run.fold]) for run in experiment.runs)
    return Table("runs", "Every complete run, test split.", columns, rows)


def _row(run: Run, fold: str) -> Row:
    record, accuracy = run.record, run.evaluations["test"].accuracy
    seconds, parameters = record.seconds, record.network.parameters
    epoch = record.selected.epoch + 1 if record.selected else None
    return Row(
        (
            stated(run.stage),
            TableCell(fold, run.fold),
            counted(run.seed),
            TableCell(percent(accuracy, 2), accuracy),
            TableCell(_kept(record.selected), epoch),
            TableCell("–" if seconds is None else minus(seconds, 0), seconds),
            TableCell(human(parameters), parameters),
            TableCell(run.fingerprint[:10], run.fingerprint),
            stated(run.path, tone="quiet"),
        )
    )


def _kept(selected: Selected | None) -> str:
    """Return the epoch a network is of; one that is of none, or of all, says so."""
    if selected is None:
        return "–"
    return {"average": "average", "start": "untrained"}.get(selected.on, str(selected.epoch + 1))
