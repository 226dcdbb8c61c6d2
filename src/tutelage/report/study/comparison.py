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
from tutelage.study.aggregate import Aggregation
from tutelage.study.contrasts import Contrast, StudyComparison
from tutelage.study.ledger import StudyLedger
from tutelage.study.optimism import Optimism

__all__ = ["comparison_table", "optimism_table", "sentences", "still_different"]

_SOURCES = {
    "evaluations": "same trainings, both epochs evaluated",
    "cells": "an honest cell beside its legacy twin",
    "curves": "same trainings, accuracies of every epoch",
}


def comparison_table(
    ledger: StudyLedger, found: StudyComparison, resolution: float, link: Link = no_link
) -> Table:
    """One line per difference.

    Args:
        ledger: the study.
        found: what was compared.
        resolution: wanted half-width of the interval, in points (or in the unit of the metric).
        link: makes the address of a run's folder.
    """
    how = Aggregation(metric=found.metric, split=found.split)
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
    groups = ((found.single, "in each cell"), (found.over_cells, "mean over cells"))
    several = len(found.over_cells) > 0
    rows = tuple(
        _row(ledger, one, how, resolution / how.scale, link, group if several else "")
        for contrasts, group in groups
        for one in contrasts
    )
    caption = (
        f"{how.metric_title[0].upper()}{how.metric_title[1:]} on {found.split}, paired over folds and seeds; "
        f"95 % intervals. {RULE} These folds, trained again: other seeds, the same people; it decides nothing. "
        f"Seeds: how many of each of these folds an interval of ± {wanted} {unit} takes, if the spread stays as "
        "it is. In a mean over cells the cells of one fold and seed are averaged first, so n does not grow; a "
        "stage that is another method in each cell is not averaged."
    )
    return Table("comparison", caption, columns, rows)


def optimism_table(ledger: StudyLedger, found: Sequence[Optimism], link: Link = no_link) -> Table:
    """One line per stage, cell and source: both protocols, and what the legacy one adds."""
    columns = (
        left("method"),
        left("cell"),
        TableColumn("n", "pairs", "folds × seeds"),
        TableColumn("honest", "honest", "epoch chosen on validation, %"),
        TableColumn("legacy", "legacy", "epoch chosen on test, %"),
        TableColumn("optimism", "optimism", "points, 95 % interval"),
    )
    rows = tuple(
        _optimistic(ledger, one, link) for one in sorted(found, key=lambda one: one.source)
    )
    caption = (
        "Accuracy on the test split, every pair alike. Optimism is what choosing the epoch on the test split "
        "adds, with the interval of every difference. Only honest numbers may be compared with new work; "
        "only legacy numbers with publications that chose on the test split."
    )
    return Table("protocols", caption, columns, rows)


def still_different(found: StudyComparison) -> str:
    """Say what is left after Holm's correction; empty where one thing was compared."""
    named = [
        (f"{one.a} ({_where(one)})", one.oriented) for one in found.single if one.n and not one.same
    ]
    return left_after_correction(named, found.against, "differences are tested")


def sentences(found: StudyComparison) -> list[str]:
    """Every difference in words, those over cells last, then what many of them mean."""
    how = Aggregation(metric=found.metric, split=found.split)
    said = [
        f"{_where(one)}: {contrast_sentence(one, how.scale, unit_of(how))}"
        for one in (*found.single, *found.over_cells)
    ]
    return [*said, *(text for text in [still_different(found)] if text)]


def unit_of(how: Aggregation) -> str:
    """Return the unit of a difference."""
    return "points" if how.unit == "%" else how.unit


def _row(
    ledger: StudyLedger, one: Contrast, how: Aggregation, resolution: float, link: Link, group: str
) -> Row:
    name = f"{one.a} − {one.b}"
    unit = unit_of(how)
    note = contrast_sentence(one, how.scale, unit)
    cells = [stated(name, one.stage), stated(one.where)]
    cells.append(
        TableCell(str(one.n), one.n, sub=f"{one.folds} × {_per_fold(one)}" if one.n else "")
    )
    if not one.n or one.same:
        said = "the same runs" if one.same else one.problem or "no fold and seed has both"
        return Row((*cells, EMPTY, EMPTY, EMPTY, TableCell(said, said, note=note, tone="quiet"),
                    EMPTY, EMPTY), group)  # fmt: skip
    digits = 1 if how.scale > 1 else 3
    mean = how.scale * one.mean
    cells.append(
        TableCell(signed(mean, digits), mean, evidence=_pairs(ledger, one, how, link), note=note)
    )
    decides = interval_cell(one.interval, how.scale, digits)
    cells.append(
        TableCell(
            decides.text,
            None,
            sub=one.oriented.question,
            interval=decides.interval,
            tone=decides.tone,
        )
    )
    cells.append(interval_cell(one.again, how.scale, digits))
    text = (
        f"{one.verdict} with n = {one.n}" if one.verdict == "not distinguishable" else one.verdict
    )
    cells.append(verdict_cell(one.verdict, note=note, text=text))
    cells.append(TableCell(p_words(one.adjusted_p), one.adjusted_p))
    cells.append(_seeds(one, resolution))
    return Row(tuple(cells), group)


def _per_fold(one: Contrast) -> str:
    counts = sorted({sum(fold == other for other, _ in one.values) for fold, _ in one.values})
    return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _seeds(one: Contrast, resolution: float) -> TableCell:
    count = one.seeds_for(resolution)
    if count is not None:
        return TableCell(str(count), count)
    if one.oriented.within is None or not one.oriented.sd:
        return EMPTY
    note = "No number of seeds of these folds is enough: the folds differ, or are too few. Only other people help."
    return TableCell("not reached", note=note)


def _pairs(
    ledger: StudyLedger, one: Contrast, how: Aggregation, link: Link
) -> tuple[SourceRun, ...]:
    digits = 1 if how.scale > 1 else 3
    runs = {mine.key: mine for mine, _ in one.runs}
    found = []
    for (fold, seed), (a, b) in one.values.items():
        x, y = how.scale * a, how.scale * b
        value = f"{signed(x - y, digits)} = {minus(x, digits)} − {minus(y, digits)}"
        run = runs.get((fold, seed))
        name = ledger.fold_names.get(fold, fold)
        path = "mean over cells" if run is None else run.path
        found.append(SourceRun(name, seed, value, path, "", "" if run is None else link(run)))
    return tuple(found)


def _optimistic(ledger: StudyLedger, one: Optimism, link: Link) -> Row:
    behind = tuple(
        SourceRun(ledger.fold_names.get(run.fold, run.fold), run.seed, subtracted(legacy, honest),
                  run.path, link=link(run))
        for run, (honest, legacy) in ((one.runs[key], pair) for key, pair in one.values.items())
    )  # fmt: skip
    shares = (TableCell(percent(value), value) for value in (one.honest, one.legacy))
    gain = difference_cell(one.gain.mean, one.gain.interval, behind)
    cells = (stated(one.stage), stated(one.cell), counted(one.gain.pairs), *shares, gain)
    return Row(cells, _SOURCES[one.source])


def _where(one: Contrast) -> str:
    return ", ".join(part for part in (one.stage, one.where) if part) or "all"
