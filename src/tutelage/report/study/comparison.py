"""The tables of a study's comparison: differences with their intervals, and the two protocols side by side."""

from collections.abc import Sequence

from tutelage.report.cells import (
    EMPTY,
    Link,
    difference_cell,
    interval_cell,
    no_link,
    subtracted,
    verdict_cell,
)
from tutelage.report.table import (
    Row,
    SourceRun,
    Table,
    TableCell,
    TableColumn,
    counted,
    left,
    stated,
)
from tutelage.report.verdicts import RULE, contrast_sentence, left_after_correction, p_words
from tutelage.report.wording import minus, percent, signed
from tutelage.runs.selection import evaluated
from tutelage.study.aggregate import Aggregation
from tutelage.study.contrasts import Contrast, StudyComparison
from tutelage.study.ledger import StudyLedger
from tutelage.study.optimism import Optimism

__all__ = ["comparison_table", "optimism_table", "sentences", "still_different", "where_of"]

_SOURCES = {
    "evaluations": "same trainings, both epochs evaluated",
    "cells": "an honest cell beside its legacy twin",
    "curves": "same trainings, accuracies of every epoch",
}


def comparison_table(
    ledger: StudyLedger, comparison: StudyComparison, resolution: float, link: Link = no_link
) -> Table:
    """One line per difference.

    Args:
        ledger: the study.
        comparison: what was compared.
        resolution: wanted half-width of the interval, in points (or in the unit of the metric).
        link: makes the address of a run's folder.
    """
    how = Aggregation(metric=comparison.metric, split=comparison.split)
    unit = unit_of(how)
    wanted = f"{resolution:g}"
    columns = (
        left("comparison"),
        left("cell"),
        TableColumn("n", "pairs", "folds × seeds"),
        TableColumn("difference", "difference", unit),
        TableColumn("interval", "interval", "decides"),
        TableColumn("again", "these folds", "trained again"),
        left("verdict", "verdict", ""),
        TableColumn("p", "p", "Holm"),
        TableColumn("seeds", f"seeds for ± {wanted}", "of these folds"),
    )
    groups = ((comparison.single, "in each cell"), (comparison.over_cells, "mean over cells"))
    several = len(comparison.over_cells) > 0
    rows = tuple(
        _row(ledger, contrast, how, resolution / how.scale, link, group if several else "")
        for contrasts, group in groups
        for contrast in contrasts
    )
    caption = (
        f"{how.metric_title[0].upper()}{how.metric_title[1:]} on {comparison.split}, paired over folds and seeds; "
        f"95 % intervals. {RULE} These folds, trained again: other seeds, the same people; it decides nothing. "
        f"Seeds: how many of each of these folds an interval of ± {wanted} {unit} takes, if the spread stays as "
        "it is. In a mean over cells the cells of one fold and seed are averaged first, so n does not grow; a "
        "stage that is another method in each cell is not averaged."
    )
    return Table("comparison", caption, columns, rows)


def optimism_table(ledger: StudyLedger, gains: Sequence[Optimism], link: Link = no_link) -> Table:
    """One line per stage, cell and source: both protocols, and what the legacy one adds."""
    columns = (
        left("method"),
        left("cell"),
        TableColumn("n", "pairs", "folds × seeds"),
        TableColumn(
            "honest",
            "honest",
            f"{evaluated(run for gain in gains for run in gain.runs.values())}, %",
        ),
        TableColumn("legacy", "legacy", "epoch chosen on test, %"),
        TableColumn("optimism", "optimism", "points, 95 % interval"),
    )
    rows = tuple(
        _optimistic(ledger, gain, link) for gain in sorted(gains, key=lambda gain: gain.source)
    )
    caption = (
        "Accuracy on the test split, every pair alike. Optimism is what choosing the epoch on the test split "
        "adds, with the interval of every difference. Only honest numbers may be compared with new work; "
        "only legacy numbers with publications that chose on the test split."
    )
    return Table("protocols", caption, columns, rows)


def still_different(comparison: StudyComparison) -> str:
    """Say what is left after Holm's correction; empty where contrast thing was compared."""
    named = [
        (f"{contrast.a} ({where_of(contrast)})", contrast.oriented)
        for contrast in comparison.single
        if contrast.compared
    ]
    return left_after_correction(named, comparison.against, "differences are tested")


def sentences(comparison: StudyComparison) -> list[str]:
    """Every difference in words, those over cells last, then what many of them mean."""
    how = Aggregation(metric=comparison.metric, split=comparison.split)
    said = [
        f"{where_of(contrast)}: {contrast_sentence(contrast, how.scale, unit_of(how))}"
        for contrast in (*comparison.single, *comparison.over_cells)
    ]
    return [*said, *(text for text in [still_different(comparison)] if text)]


def unit_of(how: Aggregation) -> str:
    """Return the unit of a difference."""
    return "points" if how.unit == "%" else how.unit


def _row(
    ledger: StudyLedger,
    contrast: Contrast,
    how: Aggregation,
    resolution: float,
    link: Link,
    group: str,
) -> Row:
    name = f"{contrast.a} − {contrast.b}"
    unit = unit_of(how)
    note = contrast_sentence(contrast, how.scale, unit)
    cells = [stated(name, contrast.stage), stated(contrast.where)]
    cells.append(
        TableCell(
            str(contrast.n),
            contrast.n,
            sub=f"{contrast.folds} × {_per_fold(contrast)}" if contrast.n else "",
        )
    )
    if not contrast.compared:
        said = "the same runs" if contrast.same else contrast.problem or "no fold and seed has both"
        return Row((*cells, EMPTY, EMPTY, EMPTY, TableCell(said, said, note=note, tone="quiet"),
                    EMPTY, EMPTY), group)  # fmt: skip
    digits = 1 if how.scale > 1 else 3
    mean = how.scale * contrast.mean
    cells.append(
        TableCell(
            signed(mean, digits), mean, evidence=_pairs(ledger, contrast, how, link), note=note
        )
    )
    decides = interval_cell(contrast.interval, how.scale, digits)
    cells.append(
        TableCell(
            decides.text,
            None,
            sub=contrast.oriented.question,
            interval=decides.interval,
            tone=decides.tone,
        )
    )
    cells.append(interval_cell(contrast.again, how.scale, digits))
    text = (
        f"{contrast.verdict} with n = {contrast.n}"
        if contrast.verdict == "not distinguishable"
        else contrast.verdict
    )
    cells.append(verdict_cell(contrast.verdict, note=note, text=text))
    cells.append(TableCell(p_words(contrast.adjusted_p), contrast.adjusted_p))
    cells.append(_seeds(contrast, resolution))
    return Row(tuple(cells), group)


def _per_fold(contrast: Contrast) -> str:
    counts = sorted(
        {sum(fold == other for other, _ in contrast.values) for fold, _ in contrast.values}
    )
    return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _seeds(contrast: Contrast, resolution: float) -> TableCell:
    count = contrast.seeds_for(resolution)
    if count is not None:
        return TableCell(str(count), count)
    if contrast.oriented.within is None or not contrast.oriented.sd:
        return EMPTY
    note = "No number of seeds of these folds is enough: the folds differ, or are too few. Only other people help."
    return TableCell("not reached", note=note)


def _pairs(
    ledger: StudyLedger, contrast: Contrast, how: Aggregation, link: Link
) -> tuple[SourceRun, ...]:
    digits = 1 if how.scale > 1 else 3
    runs = {mine.key: mine for mine, _ in contrast.runs}
    behind = []
    for (fold, seed), (a, b) in contrast.values.items():
        x, y = how.scale * a, how.scale * b
        value = f"{signed(x - y, digits)} = {minus(x, digits)} − {minus(y, digits)}"
        run = runs.get((fold, seed))
        name = ledger.fold_names.get(fold, fold)
        path = "mean over cells" if run is None else run.path
        behind.append(SourceRun(name, seed, value, path, "", "" if run is None else link(run)))
    return tuple(behind)


def _optimistic(ledger: StudyLedger, optimism: Optimism, link: Link) -> Row:
    behind = tuple(
        SourceRun(ledger.fold_names.get(run.fold, run.fold), run.seed, subtracted(legacy, honest),
                  run.path, link=link(run))
        for run, (honest, legacy) in ((optimism.runs[key], pair) for key, pair in optimism.values.items())
    )  # fmt: skip
    shares = (TableCell(percent(value), value) for value in (optimism.honest, optimism.legacy))
    gain = difference_cell(optimism.gain.mean, optimism.gain.interval, behind)
    cells = (
        stated(optimism.stage),
        stated(optimism.cell),
        counted(optimism.gain.pairs),
        *shares,
        gain,
    )
    return Row(cells, _SOURCES[optimism.source])


def where_of(contrast: Contrast) -> str:
    """Return the stage and the cell of a difference, as far as they tell it apart."""
    return ", ".join(part for part in (contrast.stage, contrast.where) if part) or "all"
