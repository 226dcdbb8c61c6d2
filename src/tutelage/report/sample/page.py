"""A sample explained, as a page and as lines of a terminal."""

from pathlib import Path

import numpy as np

from tutelage.report.page import environment_of
from tutelage.report.sample.data import Opinion, SampleExplanation
from tutelage.report.sample.figures import sample_figure
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.wording import percent, signed
from tutelage.report.writing import write, writing

__all__ = ["sample_page", "sample_text", "write_sample_page"]


def write_sample_page(found: SampleExplanation, path: Path) -> Path:
    """Write one self-contained page; return its path.

    Raises:
        tutelage.errors.UserError: there is no room to write to.
    """
    with writing(path.parent):
        return write(path, sample_page(found).encode())


def sample_page(found: SampleExplanation) -> str:
    """Return the page as HTML."""
    sections = (_evidence(found), _opinions(found), _concepts(found), _neighbours(found))
    template = environment_of().get_template("sample.html.j2")
    return template.render(
        found=found, headline=_headline(found), byline=_byline(found),
        sections=[one for one in sections if one is not None],
    )  # fmt: skip


def sample_text(found: SampleExplanation) -> str:
    """Return the same in lines."""
    lines = [_headline(found), _byline(found), "", _where(found), ""]
    tables = [table for make in (_opinions, _concepts, _neighbours)
              if (section := make(found)) is not None for table in section.tables]  # fmt: skip
    for table in tables:
        frame = table.to_frame().set_axis([column.title for column in table.columns], axis=1)
        lines += [table.caption, frame.to_string(index=False, float_format="{:.3f}".format), ""]
    return "\n".join(lines).rstrip()


def _headline(found: SampleExplanation) -> str:
    answer, sure = found.class_names[found.answer], found.opinion.probabilities.max()
    judged = (
        ""
        if not found.truth
        else " (right)"
        if answer == found.truth
        else f" (it is {found.truth})"
    )
    return f"{answer}, {percent(sure, 1)} %{judged}"


def _byline(found: SampleExplanation) -> str:
    side = f", of the {found.side} side" if found.side else ""
    return (
        f"{found.of}{side}; {found.run.stage}, {found.fold}, seed {found.run.seed}; probabilities at temperature "
        f"{found.opinion.temperature:.2f}, fitted on validation"
    )


def _where(found: SampleExplanation) -> str:
    """Say where the evidence is strongest."""
    read = f"Grad-CAM of {found.feature}" if found.feature != "input" else "input times gradient"
    if not found.evidence.max() > 0:
        return f"No place speaks for {found.class_names[found.answer]} ({read})."
    if found.evidence.ndim == 1:
        strong = np.flatnonzero(found.evidence >= 0.5 * found.evidence.max())
        part = found.evidence[strong].sum() / found.evidence.sum()
        return (
            f"Strongest between samples {strong[0]} and {strong[-1]} of {len(found.evidence)}: {percent(part)} % "
            f"of the evidence lies where it is at least half its largest ({read})."
        )
    row, column = np.unravel_index(found.evidence.argmax(), found.evidence.shape)
    return f"Strongest at row {row}, column {column} ({read})."


def _evidence(found: SampleExplanation) -> Section:
    figure = Figure(sample_figure(found), "", _where(found))
    return Section("evidence", "The evidence in it", "Evidence", figures=(figure,))


def _opinions(found: SampleExplanation) -> Section:
    first = np.argsort(-found.opinion.probabilities)[:4].tolist()
    columns = (left("network"), left("reads"), *(
        TableColumn(f"class {n}", found.class_names[n], "%") for n in first
    ), left("answer"))  # fmt: skip
    rows = tuple(_opinion_row(found, one, first) for one in (found.opinion, *found.teachers))
    quiet = (
        f" Not to be asked about this sample: {', '.join(found.silent)}." if found.silent else ""
    )
    caption = (
        f"Probabilities of the student and of each teacher, each at its own temperature.{quiet}"
    )
    return Section(
        "opinions", "What its teachers would have said", "Teachers",
        tables=(Table("opinions", caption, columns, rows),),
    )  # fmt: skip


def _opinion_row(found: SampleExplanation, one: Opinion, classes: list[int]) -> Row:
    best = int(one.probabilities.argmax())
    tone = (
        "" if not found.truth else "better" if found.class_names[best] == found.truth else "worse"
    )
    cells = (
        TableCell(
            percent(one.probabilities[n], 1),
            float(one.probabilities[n]),
            heat=float(one.probabilities[n]),
        )
        for n in classes
    )
    return Row((
        stated(one.stage), stated(one.modality, tone="quiet"), *cells,
        stated(found.class_names[best], tone="better" if tone == "better" else "bad" if tone else ""),
    ), strong=one is found.opinion)  # fmt: skip


def _concepts(found: SampleExplanation) -> Section | None:
    if not found.contributions:
        return None
    columns = (left("concept"), TableColumn("adds", "adds to the score"),
               TableColumn("without", "probability without it", "%"))  # fmt: skip
    rows = tuple(
        Row((stated(one.concept), TableCell(signed(one.amount, 2), one.amount),
             TableCell(percent(one.without, 1), one.without)))
        for one in found.contributions
    )  # fmt: skip
    caption = f"The strongest concepts; all others and the bias add {signed(found.rest, 2)}."
    return Section(
        "concepts", "Concepts", "Concepts", tables=(Table("concepts", caption, columns, rows),)
    )


def _neighbours(found: SampleExplanation) -> Section | None:
    if not found.neighbours:
        return None
    columns = (
        TableColumn("sample", "sample"),
        left("class"),
        left("person"),
        TableColumn("distance", "distance"),
    )
    rows = tuple(
        Row((counted(one.sample), stated(one.name), stated(one.subject),
             TableCell(f"{one.distance:.3f}", one.distance)))
        for one in found.neighbours
    )  # fmt: skip
    caption = "Labelled training samples whose last feature is nearest to that of this one."
    return Section(
        "neighbours",
        "What it resembles",
        "Alike",
        tables=(Table("neighbours", caption, columns, rows),),
    )
