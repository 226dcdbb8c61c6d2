"""What objectives recorded beside their losses, over epochs."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.recorded.figures import over_epochs
from tutelage.report.section import Figure, Section
from tutelage.report.wording import plural
from tutelage.runs.traces import recorded

INTRO = (
    "What objectives wrote down beside their losses, mean over the training samples of an "
    "epoch. Lines: mean over runs; bands: lowest to highest run."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where nothing of the kind was recorded."""
    figures = tuple(
        Figure(over_epochs(values, context.look, f"recorded-{number}-{values.stage}"),
               values.stage, f"{plural(values.runs, 'run')}.")
        for number, values in enumerate(recorded(context.experiment), 1)
    )  # fmt: skip
    if not figures:
        return None
    return Section("recorded", "Other recorded values", "Recorded", INTRO, figures)
