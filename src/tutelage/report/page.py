"""One self-contained page from one experiment folder."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tutelage.errors import UserError
from tutelage.inert import printable
from tutelage.report.context import ReportContext
from tutelage.report.drawing.canvas import Drawing
from tutelage.report.headline import Headline, headline
from tutelage.report.panels import sections
from tutelage.report.section import Section
from tutelage.report.table import Table
from tutelage.report.writing import write, writing
from tutelage.runs.example import ExampleWindow
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.schema import UnreadableError


@dataclass(frozen=True)
class Page:
    """Everything the template shows."""

    experiment: Experiment
    headline: Headline
    sections: tuple[Section, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the page, in order."""
        return tuple(table for section in self.sections for table in section.tables)


def write_report(
    experiment_folder: Path, out: Path | None = None, *, example: ExampleWindow | None = None
) -> Path:
    """Write ``index.html`` and the tables as Markdown, LaTeX and CSV.

    Args:
        experiment_folder: holds ``experiment.json``.
        out: where to write; ``experiment_folder/report`` unless told otherwise.
        example: one window to show as signal, diagram and images; else that of ``example.npz`` in
            the experiment folder, if there is one.

    Returns:
        The path of ``index.html``, which needs no other file and no network.

    Raises:
        tutelage.errors.UserError: no experiment there, a record that contradicts another, a blind protocol, or no
            room to write to.
    """
    experiment = read_experiment(experiment_folder)
    refuse_untested(experiment)
    context = ReportContext(experiment, example) if example else _with_window(experiment)
    page = Page(experiment, headline(context), sections(context))
    html = render(page)
    folder = out or experiment_folder / "report"
    with writing(folder):
        for table in page.tables:
            table.write(folder / "tables")
        return write(folder / "index.html", html.encode())


def refuse_untested(experiment: Experiment) -> None:
    """Do nothing where there is a test split to report on.

    Raises:
        UserError: it is left unread, or everybody trained.
    """
    folder = experiment.folder
    if experiment.record.protocol == "blind":
        raise UserError(
            f"{folder}: its protocol is blind, so there is no test split to report on; allowed: honest "
            "and legacy (a search is told in tune/tune.md)"
        )
    if experiment.record.protocol == "refit":
        raise UserError(
            f"{folder}: was trained on everybody, so there is no test to report on; its estimate is "
            f"the report of {folder.parent}"
        )


def _with_window(experiment: Experiment) -> ReportContext:
    """Return an experiment with the window that it keeps, if there is one that can be read."""
    stored = experiment.folder / "example.npz"
    try:
        return ReportContext(experiment, ExampleWindow.read(stored) if stored.is_file() else None)
    except UnreadableError as error:
        return ReportContext(experiment, unreadable=(str(error),))


def render(page: Page) -> str:
    """Fill the template."""
    template = environment_of().get_template("page.html.j2")
    return template.render(page=page, experiment=page.experiment)


def environment_of() -> Environment:
    """Return what fills templates: their filters, and the style sheet as ``css``."""
    environment = Environment(
        loader=PackageLoader("tutelage.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalised,
    )
    environment.filters["csv_link"] = csv_link
    environment.filters["svg"] = _svg
    environment.filters["markup"] = Markup
    loader = environment.loader
    assert loader is not None
    environment.globals["css"] = Markup(loader.get_source(environment, "style.css")[0])
    return environment


def _finalised(value: object) -> object:
    """Show what is not markup without characters that control a device."""
    return printable(value) if type(value) is str else value


def csv_link(text: str) -> str:
    """Return a data URI that downloads as CSV."""
    return f"data:text/csv;charset=utf-8,{quote(text)}"


def _svg(drawing: Drawing) -> Markup:
    return Markup(drawing.svg)
