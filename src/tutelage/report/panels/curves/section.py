"""Learning curves."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.curves.against import against_accuracy, reached, sentence
from tutelage.report.panels.curves.figures import learning_curves
from tutelage.report.section import Figure, Section
from tutelage.runs.frames import curves_frame

SHOWN = {
    "accuracy": (
        "Accuracy",
        "Line: mean over folds and seeds. Band: lowest to highest run.",
        False,
    ),
    "loss": (
        "Loss and objectives",
        "Training loss is the weighted total; dashed lines are its objectives, unweighted. Losses "
        "of different stages are not comparable.",
        True,
    ),
}
"""Metric -> title, caption, and whether the figure is folded."""


def section(context: ReportContext) -> Section:
    """Build the section."""
    frame = curves_frame(context.experiment)
    figures = tuple(
        Figure(drawing, *words)
        for metric, words in SHOWN.items()
        if (drawing := learning_curves(context.experiment, frame, metric)) is not None
    )
    ends = reached(context.experiment)
    if ends:
        title = "Loss against accuracy"
        figures += (Figure(against_accuracy(ends), title, sentence(ends), folded=True),)
    empty = "" if figures else "No complete run has a training log."
    return Section("curves", "Learning curves", "Curves", figures=figures, empty=empty)
