"""Which classes the best student takes for which, and what changed against the baseline."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.confusion import figures
from tutelage.report.section import Figure, Section
from tutelage.report.wording import plural


def section(context: ReportContext) -> Section:
    """Build the section."""
    experiment, best = context.experiment, context.best
    key = "confusion", "Confusion", "Confusion"
    stage = best or next((s for s in experiment.students if experiment.of(s)), None)
    if stage is None:
        return Section(*key, empty="No student is complete.")
    names, runs = experiment.class_names, experiment.of(stage)
    caption = f"Sum of {plural(len(runs), 'run')}; zeros are left blank."
    shown = [Figure(figures.confusion(runs, names), f"{stage}, % of each true class", caption)]
    pairs = next(
        (comparison.pairs for comparison in context.comparisons if comparison.student == best), ()
    )
    if pairs:
        mine, other = zip(*pairs, strict=True)
        title = f"{stage} minus {experiment.record.baseline}, points"
        caption = (
            "Blue is better: more hits on the diagonal, fewer mistakes elsewhere. "
            f"{plural(len(pairs), 'matched pair')}."
        )
        shown.append(Figure(figures.difference(mine, other, names), title, caption))
    return Section(*key, figures=tuple(shown))
