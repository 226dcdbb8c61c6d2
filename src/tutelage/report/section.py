"""What a section of the page is made of."""

from dataclasses import dataclass

from tutelage.report.figures.draw import Drawing
from tutelage.report.table import Table


@dataclass(frozen=True)
class Figure:
    """A drawing with the sentence that says what to see in it."""

    drawing: Drawing
    title: str
    caption: str
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """One section; ``empty`` says why there is nothing to show, ``tables_first`` what stands on top."""

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
