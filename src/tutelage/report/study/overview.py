"""The page of a study: the answer, every difference, the table, who gains, what it costs, every cell."""

import os
from collections.abc import Sequence
from pathlib import Path

from tutelage.errors import UserError
from tutelage.report.page import refuse_untested, write_report
from tutelage.report.section import Section
from tutelage.report.study.answer import answer
from tutelage.report.study.budget import StageBudget, budget_section, budgets, unequal
from tutelage.report.study.comparison import comparison_table, still_different, unit_of
from tutelage.report.study.comparison_figure import contrast_figure
from tutelage.report.study.devices import device_section
from tutelage.report.study.pages import (
    contrast_sections,
    holes_section,
    links,
    page_of,
    table_sections,
)
from tutelage.report.study.people import people_section
from tutelage.report.study.table import StudyTable, study_table
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.writing import write, writing
from tutelage.study.aggregate import Aggregation
from tutelage.study.contrasts import StudyComparison, compare_study
from tutelage.study.layout import TableSpec, table_spec
from tutelage.study.ledger import StudyCell, StudyLedger, read_study

__all__ = ["write_study_report"]

RESOLUTION = 0.5
"""Half-width of the interval that seeds are counted for, in points."""


def write_study_report(folder: Path, out: Path | None = None, *, cells: bool = True) -> Path:
    """Write ``index.html`` of a study, and the reports of its cells.

    Args:
        folder: holds ``study.json``.
        out: where to write; ``folder/report`` unless told otherwise.
        cells: whether reports of cells that are not up to date are written, too.

    Returns:
        The path of ``index.html``, which needs no network.

    Raises:
        UserError: no study there, one whose test split is not evaluated, or no room to write to.
    """
    ledger = read_study(folder)
    for experiment in ledger.experiments:
        refuse_untested(experiment)
    out = out or folder / "report"
    if cells:
        for cell in ledger.cells:
            _write_cell(cell)
    how = table_spec(dict(ledger.declared))
    comparison, problem = _compared(ledger, how)
    known = budgets(ledger)
    sections = _sections(ledger, comparison, problem, study_table(ledger, how), known, out)
    headline = answer(ledger, comparison, [note] if (note := unequal(ledger, known)) else [])
    html = page_of(ledger, ledger.title, sections, headline)
    with writing(out):
        for table in (table for section in sections for table in section.tables):
            table.write(out / "tables")
        return write(out / "index.html", html.encode())


def _compared(ledger: StudyLedger, how: TableSpec) -> tuple[StudyComparison | None, str]:
    """Compare with the baseline, or say why that cannot be done."""
    try:
        return compare_study(ledger, None, how.metric, how.split), ""
    except UserError as error:
        return None, str(error)


def _sections(
    ledger: StudyLedger,
    comparison: StudyComparison | None,
    problem: str,
    table: StudyTable,
    known: Sequence[StageBudget],
    out: Path,
) -> list[Section]:
    link = links(out)
    sections: list[Section | None] = []
    if comparison is None:
        sections.append(Section("differences", "Paired differences", "Differences", empty=problem))
    else:
        unit = unit_of(Aggregation(metric=comparison.metric, split=comparison.split))
        drawing = contrast_figure(comparison, unit)
        tables = [comparison_table(ledger, comparison, RESOLUTION, link)]
        sections += contrast_sections(tables, still_different(comparison), drawing)
    sections += table_sections(table, "table", link)
    sections.append(None if comparison is None else people_section(comparison))
    sections += [
        device_section(ledger),
        budget_section(ledger, known),
        _cells_section(ledger, out),
        holes_section(ledger),
    ]
    return [section for section in sections if section is not None]


def _cells_section(ledger: StudyLedger, out: Path) -> Section:
    """List every cell with its runs and the way to its report."""
    columns = (
        left("cell"), left("report"), TableColumn("runs", "complete runs"), TableColumn("planned", "asked for"),
    )  # fmt: skip
    rows = []
    for cell in ledger.cells:
        experiment = cell.experiment
        report = _report(cell)
        way = Path(os.path.relpath(report, out)).as_posix() if report and report.is_file() else ""
        shown = (
            TableCell("open", way, link=way)
            if way
            else TableCell(cell.problem or "none", tone="quiet")
        )
        rows.append(Row((
            stated(cell.name), shown, counted(len(experiment.runs) if experiment else 0),
            counted(len({entry.key for entry in experiment.record.runs}) if experiment else 0),
        )))  # fmt: skip
    table = Table(
        "cells", "Every cell is an experiment with a report of its own.", columns, tuple(rows)
    )
    return Section("cells", "Every cell", "Cells", tables=(table,))


def _report(cell: StudyCell) -> Path | None:
    return None if cell.experiment is None else cell.experiment.folder / "report" / "index.html"


def _write_cell(cell: StudyCell) -> None:
    """Write the report of a cell, unless the one that is there is newer than all it is made of."""
    report = _report(cell)
    if cell.experiment is None or report is None:
        return
    made_of = [
        cell.experiment.folder / "experiment.json",
        *(run.folder / "run.json" for run in cell.experiment.runs),
    ]
    newest = max(path.stat().st_mtime for path in made_of if path.is_file())
    if not report.is_file() or report.stat().st_mtime < newest:
        write_report(cell.experiment.folder)
