"""How much each teacher counted where a method weighs its teachers while it trains."""

from collections.abc import Iterator, Mapping

from tutelage.report.context import ReportContext
from tutelage.report.drawing.epochs import Look
from tutelage.report.panels.trust import figures, words
from tutelage.report.section import Figure, Section
from tutelage.runs.traces import Trust

INTRO = (
    "How much each teacher counted where the method decides it while training. Lines: mean "
    "over runs; bands: lowest to highest run. Cells: mean over runs. All on training "
    "samples: a teacher that is trusted more need not be right more often."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no objective recorded weights."""
    shown = tuple(
        figure
        for number, trust in enumerate(context.trusts, 1)
        for figure in _figures(trust, context.look, number)
    )
    return Section("trust", "Trust in teachers", "Trust", INTRO, shown) if shown else None


def _figures(trust: Trust, look: Mapping[str, Look], number: int) -> Iterator[Figure]:
    """Two figures that stand side by side where there is room; the objective tells them apart."""
    name, title = f"trust-{number}-{trust.stage}", f"{trust.stage}, {trust.objective}"
    yield Figure(figures.over_epochs(trust, look, name), f"{title}: over epochs",
                 words.over_epochs(trust))  # fmt: skip
    yield Figure(figures.by_class(trust, look, f"{name}-classes"), f"{title}: by class, last epoch",
                 words.by_class(trust))  # fmt: skip
