"""What a section of the page is made of."""

from dataclasses import dataclass

from tutelage.report.drawing.canvas import Drawing
from tutelage.report.table import Table


@dataclass(frozen=True)
class Figure:
    """A drawing with the sentence that says what to see in it."""

    drawing: Drawing
    title: str
    caption: str
    folded: bool = False


@dataclass(frozen=True)
class Tab:
    """One of several things to choose among.

    Args:
        label, sub: on its button.
        right: whether a prediction was; a wrong one is marked.
        icon: a small picture, markup.
        title: above the sentences.
        sentences: what there is to say.
        figure: what there is to see.
        table: the numbers; not written to a file of its own.
    """

    label: str
    sub: str
    right: bool
    icon: str
    title: str
    sentences: tuple[str, ...]
    figure: Figure
    table: Table


@dataclass(frozen=True)
class Tabs:
    """Tabs of which a reader sees the chosen one; ``name`` is unique on the page."""

    name: str
    title: str
    caption: str
    tabs: tuple[Tab, ...]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """One section.

    ``empty`` says why there is nothing to show, ``tables_first`` what stands on top, ``findings`` what looked odd;
    the section that ``lists_findings`` shows those of all sections among its notes.
    """

    key: str
    title: str
    short: str
    intro: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folded_tables: tuple[str, ...] = ()
    tables_first: bool = False
    facts: tuple[tuple[str, str], ...] = ()
    recipe: str = ""
    notes: tuple[str, ...] = ()
    empty: str = ""
    findings: tuple[str, ...] = ()
    lists_findings: bool = False
    tabs: tuple[Tabs, ...] = ()
