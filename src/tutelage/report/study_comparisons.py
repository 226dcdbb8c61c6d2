"""The tables of a study's comparison: differences with their intervals, and the two protocols side by side."""

from collections.abc import Sequence

from tutelage.report.study_tables import Link, no_link
from tutelage.report.table import (
    Cell,
    Column,
    Evidence,
    Row,
    Table,
)
from tutelage.report.tables import EMPTY, tone_of
from tutelage.report.wording import percent, signed
from tutelage.statistics.paired import Interval, minus
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
        Column("comparison", "comparison", left=True),
        Column("cell", "cell", left=True),
        Column("n", "pairs", "folds × seeds"),
        Column("difference", "difference", unit),
        Column("t", "t interval", "same splits, trained again"),
        Column("bootstrap", "bootstrap interval", "BCa"),
        Column("corrected", "corrected interval", "Nadeau and Bengio"),
        Column("verdict", "verdict", "", left=True),
        Column("p", "p", "Holm"),
        Column("seeds", f"seeds for ± {wanted}", "same splits"),
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
        "95 % intervals. The verdict is that of the corrected interval, which allows for folds that share "
        "training data; with one fold, that of the t interval. The bootstrap of a few pairs is too narrow "
        f"and decides nothing. Seeds: how many of each of these folds an interval of ± {wanted} {unit} takes, "
        "if the spread stays as it is. In a mean over cells the cells of one fold and seed are averaged first, "
        "so n does not grow."
    )
    return Table("comparison", caption, columns, rows)


def optimism_table(ledger: StudyLedger, found: Sequence[Optimism], link: Link = no_link) -> Table:
    """One line per stage, cell and source: both protocols, and what the legacy one adds."""
    columns = (
        Column("method", "method", left=True),
        Column("cell", "cell", left=True),
        Column("n", "pairs", "folds × seeds"),
        Column("honest", "honest", "epoch chosen on validation, %"),
        Column("legacy", "legacy", "epoch chosen on test, %"),
        Column("optimism", "optimism", "points, 95 % interval"),
    )
    rows = tuple(
        _optimistic(ledger, one, link) for one in sorted(found, key=lambda one: one.source)
    )
    caption = (
        "Accuracy on the test split, every pair alike. Optimism is what choosing the epoch on the test split "
        "adds, with Student's t interval over the pairs. Only honest numbers may be compared with new work; "
        "only legacy numbers with publications that chose on the test split."
    )
    return Table("protocols", caption, columns, rows)


def still_different(found: StudyComparison) -> str:
    """Say what is left after Holm's correction; empty where one thing was compared."""
    compared = [one for one in found.single if one.n and not one.same]
    if len(compared) < 2:
        return ""
    kept = [f"{one.a} ({_where(one)})" for one in compared if one.adjusted_p < 0.05]
    return (
        f"{len(compared)} differences are tested, and each has its own 5 % chance of a false claim. After Holm's "
        f"correction for all of them, still different from {found.against}: {', '.join(kept) or 'none'}."
    )


def sentences(found: StudyComparison) -> list[str]:
    """Every difference in words, those over cells last, then what many of them mean."""
    how = Aggregation(metric=found.metric, split=found.split)
    said = [
        f"{_where(one)}: {one.sentence(how.scale, unit_of(how))}"
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
    note = one.sentence(how.scale, unit)
    cells = [Cell(name, name, sub=one.stage), Cell(one.where, one.where)]
    cells.append(Cell(str(one.n), one.n, sub=f"{one.folds} × {_per_fold(one)}" if one.n else ""))
    if not one.n or one.same:
        said = "the same runs" if one.same else one.problem or "no fold and seed has both"
        return Row((*cells, EMPTY, EMPTY, EMPTY, EMPTY, Cell(said, said, note=note, tone="quiet"),
                    EMPTY, EMPTY), group)  # fmt: skip
    digits = 1 if how.scale > 1 else 3
    mean = how.scale * one.mean
    cells.append(
        Cell(signed(mean, digits), mean, evidence=_pairs(ledger, one, how, link), note=note)
    )
    turned = one.intervals
    cells += [
        _interval(turned[kind], how.scale, digits) for kind in ("t", "bootstrap", "corrected")
    ]
    verdict = one.verdict
    text = f"{verdict} with n = {one.n}" if verdict == "not distinguishable" else verdict
    again = "" if one.again == verdict else f"same splits: {one.again}"
    cells.append(Cell(text, verdict, sub=again, tone=tone_of(verdict), note=note))
    cells.append(Cell(f"{one.adjusted_p:.3f}", one.adjusted_p))
    cells.append(_seeds(one, resolution))
    return Row(tuple(cells), group)


def _per_fold(one: Contrast) -> str:
    counts = sorted({sum(fold == other for other, _ in one.values) for fold, _ in one.values})
    return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _seeds(one: Contrast, resolution: float) -> Cell:
    texts = []
    for corrected in (False, True):
        if corrected and not one.test_fraction:
            continue
        count = one.seeds_for(resolution, corrected=corrected)
        texts.append("not reached" if count is None and one.oriented.sd else str(count or "–"))
    same, *rest = texts
    note = (
        "The training data of these folds overlap: beyond some seeds only other people or folds would narrow it."
        if "not reached" in rest
        else ""
    )
    return Cell(same, same, sub=f"corrected: {rest[0]}" if rest else "", note=note)


def _interval(interval: Interval | None, scale: float, digits: int) -> Cell:
    if interval is None:
        return EMPTY
    low, high = scale * interval.low, scale * interval.high
    return Cell(f"{signed(low, digits)} to {signed(high, digits)}", None, interval=(low, high))


def _pairs(
    ledger: StudyLedger, one: Contrast, how: Aggregation, link: Link
) -> tuple[Evidence, ...]:
    digits = 1 if how.scale > 1 else 3
    runs = {mine.key: mine for mine, _ in one.runs}
    found = []
    for (fold, seed), (a, b) in one.values.items():
        x, y = how.scale * a, how.scale * b
        value = f"{signed(x - y, digits)} = {minus(x, digits)} − {minus(y, digits)}"
        run = runs.get((fold, seed))
        name = ledger.fold_names.get(fold, fold)
        path = "mean over cells" if run is None else run.path
        found.append(Evidence(name, seed, value, path, "", "" if run is None else link(run)))
    return tuple(found)


def _optimistic(ledger: StudyLedger, one: Optimism, link: Link) -> Row:
    gain = one.gain
    ends = gain.t
    evidence = tuple(
        Evidence(ledger.fold_names.get(fold, fold), seed,
                 f"{signed(100 * (b - a))} = {percent(b)} − {percent(a)}", one.runs[fold, seed].path,
                 "", link(one.runs[fold, seed]))
        for (fold, seed), (a, b) in one.values.items()
    )  # fmt: skip
    interval = None if ends is None else (100 * ends.low, 100 * ends.high)
    sub = "" if ends is None else f"{signed(100 * ends.low)} to {signed(100 * ends.high)}"
    return Row(
        (
            Cell(one.stage, one.stage), Cell(one.cell, one.cell), Cell(str(gain.n), gain.n),
            Cell(percent(one.honest), one.honest), Cell(percent(one.legacy), one.legacy),
            Cell(signed(100 * gain.mean), 100 * gain.mean, sub=sub, interval=interval, evidence=evidence),
        ),
        _SOURCES[one.source],
    )  # fmt: skip


def _where(one: Contrast) -> str:
    return ", ".join(part for part in (one.stage, one.where) if part) or "all"
