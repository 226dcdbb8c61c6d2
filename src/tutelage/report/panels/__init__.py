"""The sections of the page, one folder each; ``PANELS`` is their order.

A panel is a folder with a module ``section``, whose function ``section`` takes a ``ReportContext`` and
returns a ``Section``, or None where there is nothing to say. Beside it may stand ``data`` (what is computed),
``words`` (what is said of it), ``figures`` and ``tables``. No panel imports another.
"""

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module

from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.runs.schema import UnreadableError

PANELS = (
    "results",
    "groups",
    "open_set",
    "transfer",
    "published",
    "differences",
    "teachers",
    "passed_on",
    "robustness",
    "attention",
    "embedding",
    "similarity",
    "interpolation",
    "curves",
    "learning",
    "confusion",
    "people",
    "explanations",
    "trust",
    "workspace",
    "recorded",
    "calibration",
    "window",
    "sizes",
    "legacy",
    "setting",
    "holes",
    "runs",
)


def sections(context: ReportContext, panels: Iterable[str] = PANELS) -> tuple[Section, ...]:
    """Build every section that has something to say, in reading order.

    A file that cannot be read costs the sections that need it, and is named among the notes.
    """
    shown, unreadable = [], list(context.unreadable)
    for panel in panels:
        try:
            section = import_module(f"{__name__}.{panel}.section").section(context)
        except UnreadableError as error:
            unreadable.append(str(error))
            continue
        if section is not None:
            shown.append(section)
    lost = (f"{error}; what needs this file is not shown." for error in dict.fromkeys(unreadable))
    findings = (*lost, *(finding for section in shown for finding in section.findings))
    return tuple(
        replace(section, notes=(*section.notes, *findings), empty="")
        if findings and section.lists_findings
        else section
        for section in shown
    )
