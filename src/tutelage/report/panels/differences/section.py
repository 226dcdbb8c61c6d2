"""Every student minus the baseline: the picture, every interval, and what many comparisons mean."""

from collections.abc import Iterable, Sequence

from tutelage.report.cells import EMPTY, interval_cell, pair_evidence, verdict_cell
from tutelage.report.context import ReportContext
from tutelage.report.panels.differences import figures
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.wording import plural, signed
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import pairs_needed
from tutelage.study.comparison import Comparison

RESOLUTION = 0.01
"""The half-width that "pairs for 1 point" asks for."""

INTRO = (
    "Each student minus the baseline, on the folds and seeds that both have. Thick bar: these "
    "test subjects, trained again. Thin bar: new subjects. Grey dots: single pairs."
)


def section(context: ReportContext) -> Section:
    """Build the section."""
    key = "differences", "Paired differences", "Differences"
    shown = [comparison for comparison in context.comparisons if comparison.retrained.n]
    if not shown:
        empty = "No student and the baseline share a complete fold and seed."
        return Section(*key, empty=empty)
    title = "How much better than alone" if shown[0].baseline == "alone" else "Paired differences"
    table = difference_table(context.experiment, context.comparisons)
    return Section(
        *key,
        INTRO,
        figures=(Figure(figures.differences(shown), title, ""),),
        tables=(table,),
        notes=_corrected(shown),
    )


def _corrected(shown: Sequence[Comparison]) -> tuple[str, ...]:
    if len(shown) < 2:
        return ()
    kept = [comparison.student for comparison in shown if comparison.adjusted_p < 0.05]
    return (
        f"{len(shown)} students are compared, and every comparison has its own 5 % chance of a "
        "false claim. After Holm's correction for all of them, still different: "
        f"{', '.join(kept) or 'none'}.",
    )


def difference_table(experiment: Experiment, comparisons: Iterable[Comparison]) -> Table:
    """Every interval of every difference, named."""
    columns = (
        left("student"),
        TableColumn("difference", "difference", "points"),
        TableColumn("same_subjects", "these subjects: t", "95 %"),
        TableColumn("corrected", "corrected t", "95 %"),
        TableColumn("new_subjects", "new subjects", "95 %"),
        TableColumn("bootstrap", "BCa bootstrap", "95 %"),
        left("verdict", "these subjects"),
        left("verdict_new", "new subjects"),
        TableColumn("adjusted_p", "p, Holm"),
        TableColumn("pairs_for_one_point", "pairs for ±1 point"),
    )
    rows = tuple(
        _row(experiment, comparison)
        if comparison.retrained.n
        else Row((stated(comparison.student), *(EMPTY,) * (len(columns) - 1)))
        for comparison in comparisons
    )
    caption = (
        "These subjects: Student's t over matched runs, as if trained again with other seeds on the "
        "same split. Corrected t: widened because folds share training data. New subjects: test "
        "subjects and seeds drawn anew. The BCa bootstrap is shown for reference; with few pairs it "
        "is too narrow and does not decide."
    )
    return Table("differences", caption, columns, rows)


def _row(experiment: Experiment, comparison: Comparison) -> Row:
    pairs, mean = comparison.retrained, 100 * comparison.retrained.mean
    needed = pairs_needed(pairs.sd, RESOLUTION) if pairs.sd else None
    behind = pair_evidence(experiment, comparison.pairs)
    p = comparison.adjusted_p
    return Row(
        (
            stated(comparison.student, f"− {comparison.baseline}"),
            TableCell(signed(mean), mean, sub=f"n = {pairs.n}", evidence=behind),
            interval_cell(pairs.t),
            interval_cell(comparison.corrected.corrected if comparison.corrected else None),
            interval_cell(comparison.subjects.interval if comparison.subjects else None),
            interval_cell(pairs.bootstrap),
            verdict_cell(pairs.verdict),
            _of_new_subjects(comparison),
            TableCell("< 0.001" if p < 0.001 else f"{p:.3f}", p),
            TableCell("–" if needed is None else str(needed), needed),
        )
    )


def _of_new_subjects(comparison: Comparison) -> TableCell:
    """What may be said of people who were not tested."""
    new = comparison.subjects
    if new is None:
        return TableCell("no subjects", tone="quiet")
    note = new.sentence(comparison.student, comparison.baseline)
    return verdict_cell(new.verdict, sub=plural(new.subjects, "subject"), note=note)
