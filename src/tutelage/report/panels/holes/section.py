"""Runs without a number, and what looked odd."""

from tutelage.report.cells import missing_table
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.study.ledger import MissingRuns

CAPTION = "Runs that gave no number. None of them is in any mean."
NONE = "None: every run that was asked for is complete and nothing looked odd."


def section(context: ReportContext) -> Section:
    """Build the section."""
    experiment = context.experiment
    missing = [MissingRuns(cell="", **vars(hole)) for hole in experiment.holes]
    table = missing_table(missing, experiment.fold_names, CAPTION, cells=False)
    return Section(
        "holes",
        "Holes and findings",
        "Holes",
        tables=(table,) if missing else (),
        notes=experiment.findings,
        lists_findings=True,
        empty="" if missing or experiment.findings else NONE,
    )
