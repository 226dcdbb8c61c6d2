"""The files that ``tutelage study table`` and ``tutelage study compare`` write."""

import os
from collections.abc import Sequence
from pathlib import Path

from tutelage.inert import printable
from tutelage.report.cells import Link
from tutelage.report.drawing.canvas import Drawing
from tutelage.report.headline import Headline
from tutelage.report.page import environment_of
from tutelage.report.section import Figure, Section
from tutelage.report.study.comparison import (
    comparison_table,
    optimism_table,
    still_different,
    unit_of,
)
from tutelage.report.study.comparison_figure import contrast_figure
from tutelage.report.study.sheet import study_sheet
from tutelage.report.study.table import StudyTable, missing_in
from tutelage.report.table import Row, Table, TableCell, TableColumn, left
from tutelage.report.wording import plural
from tutelage.report.writing import write, writing
from tutelage.runs.location import is_local
from tutelage.runs.run import Run
from tutelage.study.aggregate import Aggregation
from tutelage.study.contrasts import StudyComparison
from tutelage.study.ledger import StudyLedger
from tutelage.study.optimism import Optimism

__all__ = [
    "contrast_sections",
    "holes_section",
    "links",
    "page_of",
    "table_sections",
    "write_comparison",
    "write_table",
]

_CAPTION = "Grey dots are pairs of runs of one fold and seed; the ring is their mean."


def write_table(table: StudyTable, out: Path, name: str = "table") -> tuple[Path, ...]:
    """Write a table as Markdown, LaTeX, CSV, xlsx and a page.

    Args:
        table: with its numbers.
        out: a folder of this machine.
        name: of the files.

    Returns:
        What was written.
    """
    link = links(out)
    wide = table.table(name, wide=True, link=link)
    shown = table_sections(table, name, link)
    shown += [section for section in [holes_section(table.ledger)] if section]
    made = {
        "md": f"{wide.markdown()}{printable(_missing_lines(table.ledger))}".encode(),
        "tex": wide.latex().encode(),
        "csv": table.csv().encode(),
        "xlsx": study_sheet(table, link),
        "html": page_of(table.ledger, table.title, shown).encode(),
    }
    with writing(out):
        return tuple(write(out / f"{name}.{kind}", content) for kind, content in made.items())


def write_comparison(
    ledger: StudyLedger,
    comparison: StudyComparison,
    gained: tuple[Optimism, ...],
    resolution: float,
    out: Path,
    name: str = "comparison",
) -> tuple[Path, ...]:
    """Write the differences and, where records permit, the two protocols: Markdown, LaTeX, CSV, PNG and a page.

    Args:
        ledger: the study.
        comparison: what was compared.
        gained: honest and legacy numbers.
        resolution: wanted half-width of the intervals, in points or the unit of the metric.
        out: a folder of this machine.
        name: of the files; those of the two protocols are always ``protocols``.

    Returns:
        What was written.
    """
    link = links(out)
    picture = out / f"{name}.png"
    unit = unit_of(Aggregation(metric=comparison.metric, split=comparison.split))
    tables = [comparison_table(ledger, comparison, resolution, link)]
    tables += [optimism_table(ledger, gained, link)] if gained else []
    with writing(out):
        drawing = contrast_figure(comparison, unit, picture)
        written = [path for table, named in zip(tables, (name, "protocols"), strict=False)
                   for path in table.write(out, named)]  # fmt: skip
        shown = contrast_sections(tables, still_different(comparison), drawing)
        shown += [section for section in [holes_section(ledger)] if section]
        page = page_of(ledger, f"{ledger.title}: against {comparison.against}", shown)
        written += [picture] if drawing else []
        return (*written, write(out / f"{name}.html", page.encode()))


def contrast_sections(tables: Sequence[Table], note: str, drawing: Drawing | None) -> list[Section]:
    """Build the sections on differences and, where there is a second table, on the two protocols."""
    differences, *protocols = tables
    figures = (Figure(drawing, "", _CAPTION),) if drawing else ()
    intro = "Every number with a dotted line opens to the pairs of runs behind it."
    sections = [
        Section("differences", "Paired differences", "Differences", intro, figures, tables=(differences,),
                notes=(note,) if note else (),
                empty="" if differences.rows else "No cell has two complete stages to compare.")
    ]  # fmt: skip
    sections += [Section("protocols", "Honest and legacy", "Protocols", tables=(table,))
                 for table in protocols]  # fmt: skip
    return sections


def table_sections(table: StudyTable, name: str, link: Link) -> list[Section]:
    """Build the sections with the table of a study and with every run behind it."""
    shown = table.table(name, link=link)
    intro = "Every number with a dotted line opens to the runs behind it."
    empty = "" if shown.rows else "No cell of the study is started."
    sections = [Section("table", "Table", "Table", intro, tables=(shown,), empty=empty)]
    runs = _run_table(table)
    if runs.rows:
        sections.append(
            Section("runs", "Every run", "Runs", tables=(runs,), folded_tables=("runs",))
        )
    return sections


def holes_section(ledger: StudyLedger) -> Section | None:
    """Build the section on what has no number and what looked odd; None where there is nothing of it."""
    holes = missing_in(ledger)
    if not holes.rows and not ledger.findings:
        return None
    tables = (holes,) if holes.rows else ()
    return Section("holes", "Holes and findings", "Holes", tables=tables, notes=ledger.findings)


def _run_table(table: StudyTable) -> Table:
    """Every run behind the table once, with the places where it counts."""
    columns = (
        left("run"), TableColumn("value", "value", table.spec.unit),
        left("where", "counts in"), left("folder"),
    )  # fmt: skip
    shown: dict[str, tuple[Run, str, list[str]]] = {}
    for row, column, number in table.numbers:
        for run in number.part.runs:
            value = number.made.values.get(run.key)
            said = "not counted" if value is None else table.shown(value)
            where = " · ".join(part for part in (row.group, row.name, column) if part)
            named = shown.setdefault(run.fingerprint, (run, said, []))[2]
            named.append(where if value is not None else f"not in {where}")
    names = table.ledger.fold_names
    rows = tuple(
        Row(
            (
                TableCell(f"{run.stage}, {names.get(run.fold, run.fold)}, seed {run.seed}"),
                TableCell(said),
                TableCell("; ".join(dict.fromkeys(counts_in))),
                TableCell(str(run.folder), tone="quiet"),
            )
        )
        for run, said, counts_in in shown.values()
    )
    caption = "Every run behind the table. Runs that several places share stand once."
    return Table("runs", caption, columns, rows)


def page_of(
    ledger: StudyLedger, title: str, sections: list[Section], headline: Headline | None = None
) -> str:
    """Fill the template of a study; with a headline the page has an answer and a way to its sections."""
    environment = environment_of()
    runs = len({run.fingerprint for experiment in ledger.experiments for run in experiment.runs})
    sets = sorted(
        {str(experiment.record.data.get("name", "")) for experiment in ledger.experiments}
    )
    protocols = sorted({experiment.record.protocol for experiment in ledger.experiments})
    parts = [ledger.record.name, ", ".join(sets), f"protocol {' and '.join(protocols)}" if protocols else "",
             plural(len(ledger.cells), "cell"), f"{runs} complete runs"]  # fmt: skip
    return environment.get_template("study.html.j2").render(
        ledger=ledger,
        title=title,
        sections=sections,
        headline=headline,
        byline=" · ".join(p for p in parts if p),
    )


def _missing_lines(ledger: StudyLedger) -> str:
    """Return what is missing as a list below a Markdown table."""
    if not ledger.missing:
        return ""
    lines = []
    for missing in ledger.missing:
        which = f", {missing.stage}, fold {missing.fold}, seed {missing.seed}"
        where = f"{missing.cell}{which if missing.stage else ''}"
        lines.append(f"- {where}: {missing.kind}, {missing.reason}")
    return "\n".join(["", "Without a number:", "", *lines, ""])


def links(out: Path) -> Link:
    """Return what makes the address of a run's folder, from where the files are written."""

    def link(run: Run) -> str:
        if is_local(run.folder):
            return Path(os.path.relpath(run.folder, out)).as_posix()
        return str(run.folder)

    return link
