"""How hard each objective pulled the student while it trained, and whether against the labels."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.learning import data, figures, words
from tutelage.report.section import Figure, Section

INTRO = (
    "What each objective adds to the gradient at the student's parameters: norm of coefficient times gradient of "
    "its batch mean, as a share of the sum over objectives; and the cosine of its gradient and that of the "
    "labels: below 0 they are in conflict. Measured in few steps, so single points are of single batches. Lines: "
    "mean over runs; bands: lowest to highest run."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no run measured its gradient."""
    shown = tuple(
        Figure(figures.over_epochs(pull, f"learning-{number}-{pull.stage}"), pull.stage, words.sentence(pull))
        for number, pull in enumerate(data.pulls(context.experiment), 1)
    )  # fmt: skip
    return (
        Section("learning", "Pull of the objectives", "Learning", INTRO, shown) if shown else None
    )
