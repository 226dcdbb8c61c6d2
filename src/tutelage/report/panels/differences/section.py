"""Every student minus the baseline: the picture, every interval, and what many comparisons mean."""

from collections.abc import Iterable, Sequence

from tutelage.report.cells import EMPTY, interval_cell, pair_evidence, verdict_cell
from tutelage.report.context import ReportContext
from tutelage.report.panels.differences import figures
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.verdicts import (
    RULE,
    difference_sentence,
    evidence_words,
    left_after_correction,
    p_words,
    subject_sentence,
)
from tutelage.report.wording import plural, signed
from tutelage.runs.ledger import Experiment
from tutelage.statistics.power import units_needed
from tutelage.study.comparison import Comparison

RESOLUTION = 0.01
"""The half-width that "for ±1 point" asks for."""

INTRO = (
    "Each student minus the baseline, on the folds and seeds that both have. Thick bar: the interval that "
    "decides. Thin bar: test subjects drawn anew. Grey dots: single pairs."
)


def section(context: ReportContext) -> Section:
    """Build the section."""
    key = "differences", "Paired differences", "Differences"
    shown = [comparison for comparison in context.comparisons if comparison.difference.pairs]
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
    named = [(comparison.student, comparison.difference) for comparison in shown]
    said = left_after_correction(named, shown[0].baseline, "students are compared")
    return (said,) if said else ()


def difference_table(experiment: Experiment, comparisons: Iterable[Comparison]) -> Table:
    """Every interval of every difference, named."""
    columns = (
        left("student"),
        TableColumn("difference", "difference", "points"),
        TableColumn("interval", "interval that decides", "95 %"),
        TableColumn("again", "these folds, trained again", "95 %"),
        TableColumn("new_subjects", "test subjects drawn anew", "95 %"),
        left("verdict"),
        left("verdict_new", "test subjects drawn anew"),
        TableColumn("adjusted_p", "p, Holm"),
        TableColumn("needed_for_one_point", "for ±1 point"),
    )
    rows = tuple(
        _row(experiment, comparison)
        if comparison.difference.pairs
        else Row((stated(comparison.student), *(EMPTY,) * (len(columns) - 1)))
        for comparison in comparisons
    )
    caption = (
        f"{RULE} These folds, trained again: other seeds, the same people; it decides nothing. Test subjects "
        "drawn anew: a bootstrap over them and over the seeds of a fold, a second opinion that decides nothing. "
        "For ±1 point: how many folds (with one fold: seeds) the observed spread would need."
    )
    return Table("differences", caption, columns, rows)


def _row(experiment: Experiment, comparison: Comparison) -> Row:
    pairs, mean = comparison.difference, 100 * comparison.difference.mean
    needed = units_needed(pairs.sd, RESOLUTION) if pairs.sd else None
    unit = "fold" if pairs.folds > 1 else "seed"
    behind = pair_evidence(experiment, comparison.pairs)
    note = difference_sentence(pairs, comparison.student, comparison.baseline)
    about = "" if pairs.interval is None else pairs.interval.about
    decides = interval_cell(pairs.interval)
    return Row(
        (
            stated(comparison.student, f"− {comparison.baseline}"),
            TableCell(signed(mean), mean, sub=evidence_words(pairs), evidence=behind),
            TableCell(decides.text, None, sub=about, interval=decides.interval, tone=decides.tone),
            interval_cell(pairs.again),
            interval_cell(comparison.subjects.interval if comparison.subjects else None),
            verdict_cell(pairs.verdict, note=note),
            _of_new_subjects(comparison),
            TableCell(p_words(comparison.difference.adjusted_p), comparison.difference.adjusted_p),
            TableCell("–" if needed is None else plural(needed, unit), needed),
        )
    )


def _of_new_subjects(comparison: Comparison) -> TableCell:
    """What a bootstrap over people finds."""
    new = comparison.subjects
    if new is None:
        return TableCell("no subjects", tone="quiet")
    note = subject_sentence(new, comparison.student, comparison.baseline)
    return TableCell(new.verdict, new.verdict, sub=plural(new.subjects, "subject"), note=note)
