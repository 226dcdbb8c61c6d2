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
from tutelage.report.wording import percent, signed
from tutelage.statistics.paired import minus
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
        TableColumn("t", "t interval", "same splits, trained again"),
        TableColumn("bootstrap", "bootstrap interval", "BCa"),
        TableColumn("corrected", "corrected interval", "Nadeau and Bengio"),
        left("verdict", "verdict", ""),
        TableColumn("p", "p", "Holm"),
        TableColumn("seeds", f"seeds for ± {wanted}", "same splits"),
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
        "95 % intervals. The verdict is that of the corrected interval, which allows for folds that share "
        "training data; with one fold, that of the t interval. The bootstrap of a few pairs is too narrow "
        f"and decides nothing. Seeds: how many of each of these folds an interval of ± {wanted} {unit} takes, "
        "if the spread stays as it is. In a mean over cells the cells of one fold and seed are averaged first, "
        "so n does not grow."
    )
    return Table("comparison", caption, columns, rows)


def optimism_table(ledger: StudyLedger, gains: Sequence[Optimism], link: Link = no_link) -> Table:
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
        _optimistic(ledger, gain, link) for gain in sorted(gains, key=lambda gain: gain.source)
    )
    caption = (
        "Accuracy on the test split, every pair alike. Optimism is what choosing the epoch on the test split "
        "adds, with Student's t interval over the pairs. Only honest numbers may be compared with new work; "
        "only legacy numbers with publications that chose on the test split."
    )
    return Table("protocols", caption, columns, rows)


def still_different(comparison: StudyComparison) -> str:
    """Say what is left after Holm's correction; empty where one thing was compared."""
    compared = [contrast for contrast in comparison.single if contrast.n and not contrast.same]
    if len(compared) < 2:
        return ""
    kept = [
        f"{contrast.a} ({_where(contrast)})" for contrast in compared if contrast.adjusted_p < 0.05
    ]
    return (
        f"{len(compared)} differences are tested, and each has its own 5 % chance of a false claim. After Holm's "
        f"correction for all of them, still different from {comparison.against}: {', '.join(kept) or 'none'}."
    )


def sentences(comparison: StudyComparison) -> list[str]:
    """Every difference in words, those over cells last, then what many of them mean."""
    how = Aggregation(metric=comparison.metric, split=comparison.split)
    said = [
        f"{_where(contrast)}: {contrast.sentence(how.scale, unit_of(how))}"
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
    note = contrast.sentence(how.scale, unit)
    cells = [stated(name, contrast.stage), stated(contrast.where)]
    cells.append(
        TableCell(
            str(contrast.n),
            contrast.n,
            sub=f"{contrast.folds} × {_per_fold(contrast)}" if contrast.n else "",
        )
    )
    if not contrast.n or contrast.same:
        said = "the same runs" if contrast.same else contrast.problem or "no fold and seed has both"
        return Row((*cells, EMPTY, EMPTY, EMPTY, EMPTY, TableCell(said, said, note=note, tone="quiet"),
                    EMPTY, EMPTY), group)  # fmt: skip
    digits = 1 if how.scale > 1 else 3
    mean = how.scale * contrast.mean
    cells.append(
        TableCell(
            signed(mean, digits), mean, evidence=_pairs(ledger, contrast, how, link), note=note
        )
    )
    turned = contrast.intervals
    cells += [
        interval_cell(turned[kind], how.scale, digits) for kind in ("t", "bootstrap", "corrected")
    ]
    verdict = contrast.verdict
    text = f"{verdict} with n = {contrast.n}" if verdict == "not distinguishable" else verdict
    again = "" if contrast.again == verdict else f"same splits: {contrast.again}"
    cells.append(verdict_cell(verdict, sub=again, note=note, text=text))
    cells.append(TableCell(f"{contrast.adjusted_p:.3f}", contrast.adjusted_p))
    cells.append(_seeds(contrast, resolution))
    return Row(tuple(cells), group)


def _per_fold(contrast: Contrast) -> str:
    counts = sorted(
        {sum(fold == other for other, _ in contrast.values) for fold, _ in contrast.values}
    )
    return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _seeds(contrast: Contrast, resolution: float) -> TableCell:
    texts = []
    for corrected in (False, True):
        if corrected and not contrast.test_fraction:
            continue
        count = contrast.seeds_for(resolution, corrected=corrected)
        texts.append("not reached" if count is None and contrast.oriented.sd else str(count or "–"))
    same, *rest = texts
    note = (
        "The training data of these folds overlap: beyond some seeds only other people or folds would narrow it."
        if "not reached" in rest
        else ""
    )
    return TableCell(same, same, sub=f"corrected: {rest[0]}" if rest else "", note=note)


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
    gain = difference_cell(optimism.gain.mean, optimism.gain.t, behind)
    cells = (stated(optimism.stage), stated(optimism.cell), counted(optimism.gain.n), *shares, gain)
    return Row(cells, _SOURCES[optimism.source])


def _where(contrast: Contrast) -> str:
    return ", ".join(part for part in (contrast.stage, contrast.where) if part) or "all"
