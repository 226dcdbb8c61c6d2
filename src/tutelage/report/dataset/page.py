"""One self-contained page about a data set."""

from pathlib import Path

from tutelage.data import DataSet
from tutelage.data.prepare import Description, describe
from tutelage.report.dataset.figures import EACH, windows
from tutelage.report.page import environment_of
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.writing import write, writing

PEOPLE = 60  # columns of people in the table


def write_data_page(dataset: DataSet, path: Path) -> Path:
    """Write what a person should see of a data set before anything is trained: windows, people, channels, notes.

    Args:
        dataset: the data.
        path: of the page; it needs no other file and no network.

    Returns:
        The path.

    Raises:
        tutelage.errors.UserError: there is no room to write to.
    """
    found = describe(dataset)
    sections = [_windows(dataset), _people(found), _channels(found), _notes(found)]
    template = environment_of().get_template("dataset.html.j2")
    html = template.render(found=found, sections=[one for one in sections if one is not None])
    with writing(path.parent):
        return write(path, html.encode())


def _windows(dataset: DataSet) -> Section:
    word = "windows" if dataset.modality == "signal" else "images"
    caption = (
        f"Up to {EACH} {word} of each class, of different people where there are some. Channels are drawn one "
        "above the "
        "other, each by its own spread. Does each row look like its name?"
    )
    return Section(
        "windows", f"A few {word}", word.title(), figures=(Figure(windows(dataset), "", caption),)
    )


def _people(found: Description) -> Section:
    groups = found.columns[1:-2]
    most = max((int(count) for row in found.rows for count in row[1:-2]), default=1) or 1
    people = (TableColumn(name, name) for name in groups[:PEOPLE])
    ends = (TableColumn("total", "total"), TableColumn("share", "share", "%"))
    columns = (left("class"), *people, *ends)
    rows = tuple(
        Row((
            stated(str(row[0])),
            *(TableCell(str(count), count, heat=int(count) / most) for count in row[1 : -2][:PEOPLE]),
            counted(int(row[-2])),
            TableCell(f"{100 * float(row[-1]):.1f}", float(row[-1])),
        ))
        for row in found.rows
    )  # fmt: skip
    more = f" The first {PEOPLE} of {len(groups)} are shown." if len(groups) > PEOPLE else ""
    caption = f"Samples of each class, by who or which part they are of.{more}"
    return Section(
        "people", "Classes and people", "People", tables=(Table("people", caption, columns, rows),)
    )


def _channels(found: Description) -> Section | None:
    if not found.ranges:
        return None
    columns = (left("channel"), TableColumn("least", "least"), TableColumn("greatest", "greatest"), left("unit"),
               left("remark"))  # fmt: skip
    rows = tuple(
        Row((
            stated(name),
            TableCell(f"{low:.5g}", low),
            TableCell(f"{high:.5g}", high),
            stated(unit or "not known", tone="" if unit else "quiet"),
            stated("never moves: was the sensor off?" if low == high else "", tone="bad"),
        ))
        for (name, low, high), unit in zip(found.ranges, found.units, strict=True)
    )  # fmt: skip
    caption = (
        "The range of each channel. A unit with a question mark is guessed by its values at rest."
    )
    return Section(
        "channels", "Channels", "Channels", tables=(Table("channels", caption, columns, rows),)
    )


def _notes(found: Description) -> Section:
    facts = (
        ("source", str(found.summary["source"])),
        ("fingerprint", str(found.summary["fingerprint"])),
    )
    return Section("notes", "What deserves attention", "Notes", notes=found.notes, facts=facts)
