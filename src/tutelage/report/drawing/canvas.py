"""From a matplotlib figure to SVG that lives inside the page: its fonts, its colours, unique ids."""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from tutelage.files import replacing
from tutelage.inert import csv_text, printable
from tutelage.report.palette import STYLE, THEMED

WIDTH = 1044
"""Natural width of a figure that fills the page, in pixels."""


@dataclass(frozen=True)
class Drawing:
    """One figure of the page.

    Args:
        name: unique on the page; the file name of its data.
        svg: markup, without any outside reference.
        width: natural width in pixels.
        data: CSV of everything that is drawn.
        label: what a screen reader says.
    """

    name: str
    svg: str
    width: int
    data: str
    label: str

    @property
    def narrowest(self) -> int:
        """Below this width the figure scrolls, so that its text stays readable."""
        return min(self.width, max(340, round(self.width * 0.68)))


@contextmanager
def canvas(width: int, height: int) -> Iterator[Figure]:
    """Open a figure of this many pixels in the style of the page."""
    with rc_context(STYLE):  # type: ignore[arg-type]
        yield Figure(figsize=(width / 72, height / 72), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a picture of a figure, on white."""
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=144, facecolor="white")


def finish(
    figure: Figure, name: str, label: str, header: Iterable[str], rows: Iterable[Iterable[object]]
) -> Drawing:
    """Turn a figure and its data into a drawing, with a name that is fit for an id; call it inside ``canvas``."""
    stream = io.StringIO()
    name = safe(name)
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    width = round(figure.get_figwidth() * 72)
    return Drawing(name, _inline(stream.getvalue(), name), width, csv_text(header, rows), label)


def safe(name: str) -> str:
    """Make a name fit for an id."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name)


_LONG = re.compile(r"(\d\.\d\d)\d+")
"""Of places inside tags, where nobody sees a hundredth of a pixel; numbers in a text are said as they are."""


def _inline(svg: str, name: str) -> str:
    svg = printable(svg[svg.index("<svg") :])
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<[^>]+>", lambda tag: _LONG.sub(r"\1", tag[0]), svg)
    svg = (
        re.sub(r'\s(?:xmlns(?::\w+)?|version|width|height)="[^"]*"', "", svg[: svg.index(">")])
        + (svg[svg.index(">") :])
    )
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'(?:xlink:)?href="#([^"]*)"', rf'href="#{name}-\1"', svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r"(font: [^;\"]*?\d+(?:\.\d+)?px )[^;\"]+", r"\1var(--font)", svg)
    svg = svg.replace("font: 700 ", "font: 620 ")
    svg = re.sub(r"font-family: [^;\"]+", "font-family: var(--font)", svg)
    for colour, variable in THEMED.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
