"""The same networks on damaged test inputs: curves over severity and differences to the baseline."""

from collections.abc import Sequence

from tutelage.report.cells import interval_cell, mean_cell, stages_in_groups, verdict_cell
from tutelage.report.context import ReportContext
from tutelage.report.panels.robustness import figures, words
from tutelage.report.panels.robustness.data import (
    NamedContrast,
    damage_values,
    differences_by_kind,
    overall_differences,
    shown_stages,
)
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.verdicts import RULE, contrast_sentence, evidence_words, p_words
from tutelage.report.wording import signed
from tutelage.runs.ledger import Experiment
from tutelage.study.contrasts import Contrast

ALL = "all damage"


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no damage is asked for."""
    experiment = context.experiment
    if experiment.asked is None:
        return None
    key, stages = ("robustness", "Damaged inputs", "Damage"), shown_stages(experiment)
    if not stages:
        empty = (
            "No run was evaluated on damaged inputs yet; the same command does it without training."
        )
        return Section(*key, empty=empty)
    overall, kinds = overall_differences(experiment), differences_by_kind(experiment)
    tables = (
        accuracy_table(experiment),
        difference_table(overall, kinds),
        severity_table(experiment),
    )
    return Section(
        *key,
        words.intro(experiment),
        figures=_drawn(context, stages),
        tables=tuple(table for table in tables if table.rows),
        folded_tables=("robustness-severities",),
        notes=words.notes(experiment, stages, overall, kinds),
    )


def _drawn(context: ReportContext, stages: Sequence[str]) -> tuple[Figure, ...]:
    experiment, baseline = context.experiment, context.experiment.record.baseline
    first = [name for name in (baseline, context.best) if name in stages]
    chosen = list(dict.fromkeys([*first, *stages]))[: figures.MOST]
    drawn = [name for name in stages if name in chosen]
    caption = words.caption_of_curves([name for name in stages if name not in drawn])
    look = figures.looks_of(experiment, drawn)
    accuracies = figures.accuracies(experiment, drawn, look)
    found = [Figure(accuracies, "Accuracy over the severity of damage", caption)]
    taught = [name for name in drawn if name in experiment.students and name != baseline]
    if taught and baseline in stages:
        said = (
            f"Each student minus {baseline}, pair by pair; above 0 it stands the damage better. Band: the 95 % "
            "interval of each difference alone; what may be claimed is in the table below."
        )
        gains = figures.gains(experiment, taught, look)
        found.append(Figure(gains, "Is a taught student better under damage?", said))
    return tuple(found)


def accuracy_table(experiment: Experiment) -> Table:
    """One row per stage: undamaged, under each kind of damage, and the mean over all."""
    kinds = list(experiment.asked.corruptions) if experiment.asked else []
    columns = (
        left("method"),
        TableColumn("n", "runs"),
        TableColumn("clean", "undamaged", "%"),
        *(TableColumn(kind, kind, "%") for kind in kinds),
        TableColumn("all", ALL, "%"),
    )
    rows = []
    for stage, group in stages_in_groups(experiment):
        values = damage_values(experiment, stage)
        if values:
            clean = mean_cell(experiment, stage, damage_values(experiment, stage, severity=0))
            cells = [
                mean_cell(experiment, stage, damage_values(experiment, stage, kind))
                for kind in kinds
            ]
            cells.append(mean_cell(experiment, stage, values, bar=True))
            rows.append(Row((stated(stage), counted(len(values)), clean, *cells), group))
    caption = "Accuracy on the test split, mean over severities and draws, ± pooled seed SD."
    return Table("robustness", caption, columns, tuple(rows))


def difference_table(overall: Sequence[Contrast], kinds: Sequence[NamedContrast]) -> Table:
    """One row per student and kind of damage, those over all damage first."""
    columns = (
        left("student"),
        left("damage"),
        TableColumn("difference", "difference", "points"),
        TableColumn("interval", "interval that decides", "95 %"),
        left("verdict"),
        TableColumn("adjusted_p", "p, Holm"),
    )
    rows = [_difference(one, ALL) for one in overall]
    rows += [_difference(one.contrast, one.kind) for one in kinds]
    caption = (
        f"Mean accuracy over severities and draws, student minus baseline. {RULE} Rows of all damage are one "
        "question, rows of single kinds another: each is corrected for its own."
    )
    return Table("robustness-differences", caption, columns, tuple(rows))


def _difference(one: Contrast, kind: str) -> Row:
    note, mean = contrast_sentence(one, 100, "points"), 100 * one.mean
    about = "" if one.interval is None else one.interval.about
    ends = interval_cell(one.interval)
    return Row(
        (
            stated(one.a, f"− {one.b}"),
            stated(kind),
            TableCell(signed(mean), mean, sub=evidence_words(one.oriented)),
            TableCell(ends.text, None, sub=about, interval=ends.interval, tone=ends.tone),
            verdict_cell(one.verdict, note=note),
            TableCell(p_words(one.adjusted_p), one.adjusted_p),
        ),
        ALL if kind == ALL else "single kinds",
    )


def severity_table(experiment: Experiment) -> Table:
    """What each severity of each kind of damage is."""
    asked = experiment.asked
    assert asked is not None, "damage was asked for"
    columns = (
        left("damage"),
        left("meaning", "what the amount is"),
        *(TableColumn(f"severity_{step}", f"severity {step}") for step in asked.severities),
    )
    rows = tuple(
        Row((stated(name), stated(one.meaning), *map(stated, one.amounts)))
        for name, one in asked.corruptions.items()
    )
    return Table("robustness-severities", "What each severity stands for.", columns, rows)
