"""Whether the confidence of baseline and best student can be believed."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.calibration.figures import diagrams
from tutelage.report.section import Figure, Section

CAPTION = (
    "Can the confidence be believed? Where bars end at the red marks it can; lower bars are overconfidence, "
    "higher bars caution. A bar of few samples is pale, and its interval long. Green: the same scores divided by "
    "one temperature for each run, fitted on its validation samples; it changes no answer. These are the test "
    "predictions of all runs together, so the ECE here is not the mean over runs of the table."
)


def section(context: ReportContext) -> Section:
    """Build the section."""
    experiment = context.experiment
    names = [name for name in (experiment.record.baseline, context.best) if name]
    drawn = diagrams([(name, experiment.of(name)) for name in names if experiment.of(name)])
    key = "calibration", "Calibration", "Calibration"
    if drawn is None:
        empty = "No complete student has predictions of its test samples."
        return Section(*key, empty=empty)
    return Section(*key, figures=(Figure(drawn, "Reliability", CAPTION),))
