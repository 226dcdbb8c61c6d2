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

PANELS = (
    "results",
    "groups",
    "transfer",
    "published",
    "differences",
    "curves",
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
    """Build every section that has something to say, in reading order."""
    modules = (import_module(f"{__name__}.{panel}.section") for panel in panels)
    built = (module.section(context) for module in modules)
    shown = tuple(section for section in built if section is not None)
    findings = tuple(finding for section in shown for finding in section.findings)
    return tuple(
        replace(section, notes=(*section.notes, *findings), empty="")
        if findings and section.lists_findings
        else section
        for section in shown
    )
