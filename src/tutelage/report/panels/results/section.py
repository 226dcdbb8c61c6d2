"""Quality of every stage beside its difference to the baseline and its size; then the three named spreads."""

from tutelage.report.cells import (
    EMPTY,
    accuracy,
    compression,
    difference_cell,
    evidence,
    metric_cell,
    pair_evidence,
    stages_in_groups,
    verdict_cell,
)
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.verdicts import difference_sentence, subject_sentence
from tutelage.report.wording import human, minus, modality, percent, plural
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import RunRecord
from tutelage.runs.run import Run
from tutelage.statistics.spreads import SpreadKind, mean_of_folds, spread
from tutelage.study.comparison import Comparison


def section(context: ReportContext) -> Section:
    """Build the section."""
    experiment = context.experiment
    return Section(
        "results",
        "Results",
        "Results",
        intro="Every number with a dotted line opens to the runs behind it.",
        tables=(main_table(context), spread_table(experiment)),
        folded_tables=("spreads",),
        empty="" if experiment.runs else "No run is complete.",
    )


def main_table(context: ReportContext) -> Table:
    """One row per stage: quality, difference to the baseline, size."""
    experiment = context.experiment
    baseline = experiment.record.baseline
    by_name = {comparison.student: comparison for comparison in context.comparisons}
    columns = (
        left("method"),
        left("learns_from", "learns from"),
        TableColumn("n", "runs"),
        TableColumn("accuracy", "accuracy", "%, ± pooled seed SD"),
        TableColumn("macro_f1", "macro-F1", "%"),
        TableColumn("worst_subject", "worst subject", "%"),
        TableColumn("ece", "ECE", "%"),
        TableColumn("nll", "NLL", "nats"),
        TableColumn("difference", f"Δ to {baseline}", "points, 95 % interval"),
        left("verdict", unit="new: test subjects drawn anew"),
        TableColumn("parameters", "parameters", "multiply-adds"),
        TableColumn("compression", "teachers : student", "parameters"),
    )
    rows = (
        Row(
            (
                stated(stage),
                _lineage(experiment, stage),
                _count(experiment, stage),
                metric_cell(experiment, stage, accuracy, bar=True),
                metric_cell(experiment, stage, lambda e: e.macro_f1),
                _worst_subject(experiment, stage),
                metric_cell(experiment, stage, lambda e: e.ece),
                metric_cell(experiment, stage, lambda e: e.nll, lambda v: minus(v, 2)),
                *_difference(experiment, by_name.get(stage), stage == baseline),
                *_size(experiment, stage),
            ),
            group,
            strong=stage == baseline,
        )
        for stage, group in stages_in_groups(experiment)
    )
    caption = (
        "Test split, mean over folds of the mean over seeds ± pooled seed SD (the SD over seeds "
        "within a fold, pooled over folds). Differences are over matched folds and seeds only, so "
        "with holes they need not equal the difference of two means. Teachers are not compared."
    )
    return Table("main", caption, columns, tuple(rows))


def spread_table(experiment: Experiment) -> Table:
    """The three named spreads of the accuracy, side by side."""
    kinds: tuple[SpreadKind, ...] = ("pooled", "seeds", "folds")
    columns = (
        left("method"),
        TableColumn("accuracy", "mean accuracy", "%"),
        TableColumn("pooled", "pooled seed SD", "points"),
        TableColumn("seeds", "SD over seeds", "points"),
        TableColumn("folds", "SD over folds", "points"),
    )
    rows = []
    for stage, _ in stages_in_groups(experiment):
        values = experiment.values(stage, accuracy)
        if values:
            mean = mean_of_folds(values)
            behind = evidence(experiment, stage, values, percent)
            cells = [stated(stage), TableCell(percent(mean), mean, evidence=behind)]
            for kind in kinds:
                sd = spread(values, kind)
                text = "–" if sd.value is None else f"{100 * sd.value:.2f}"
                cells.append(TableCell(text, sd.value, sub=f"n = {sd.n}"))
            rows.append(Row(tuple(cells)))
    caption = (
        "Pooled seed SD: how much one run moves when only the seed changes. SD over seeds: how much "
        "the mean over folds moves. SD over folds: how unlike the folds (people) are. All divide "
        "by n − 1."
    )
    return Table("spreads", caption, columns, tuple(rows))


def _lineage(experiment: Experiment, stage: str) -> TableCell:
    runs = experiment.of(stage)
    if not runs:
        return EMPTY
    record = runs[0].record
    text = " + ".join(record.teachers) or ("labels" if _trained(record) else "nothing")
    sub = f"starts from {record.start_from.stage}" if record.start_from else ""
    if stage in experiment.teachers:
        sub = modality(record.data.modality)
    return stated(text, ", ".join(part for part in (sub, _shown(runs[0])) if part))


def _trained(record: RunRecord) -> bool:
    train = record.config.get("train") if isinstance(record.config, dict) else None
    return not isinstance(train, dict) or train.get("epochs") != 0


def _shown(run: Run) -> str:
    """What a run was shown of the training side, where that is not all of it with labels."""
    config = run.record.config if isinstance(run.record.config, dict) else {}
    data, classes = run.record.data, config.get("train_classes")
    parts = []
    if config.get("unlabelled"):
        parts.append(f"{data.n_taught or data.n_train:,} without labels")
    elif data.n_labelled is not None and data.n_labelled < data.n_train:
        rest = "" if data.n_labelled == data.n_taught else f" of {data.n_taught:,}"
        parts.append(f"{data.n_labelled:,} labelled{rest}")
    elif config.get("shots"):
        parts.append(f"{config['shots']} of each class")
    if classes:
        parts.append(classes if isinstance(classes, str) else plural(len(classes), "class"))
    return ", ".join(parts)


def _count(experiment: Experiment, stage: str) -> TableCell:
    done, planned = len(experiment.of(stage)), experiment.planned(stage)
    if done == planned:
        return counted(done)
    return TableCell(f"{done} of {planned}", done, tone="bad", note="See the holes below.")


def _worst_subject(experiment: Experiment, stage: str) -> TableCell:
    """The subject with the lowest accuracy, averaged over the runs that tested it."""
    scores: dict[str, dict[tuple[str, int], float]] = {}
    for run in experiment.of(stage):
        for name, score in run.evaluations["test"].per_subject.items():
            scores.setdefault(name, {})[run.key] = score.accuracy
    if not scores:
        return EMPTY
    worst = min(scores, key=lambda name: mean_of_folds(scores[name]))
    mean = mean_of_folds(scores[worst])
    behind = evidence(experiment, stage, scores[worst], percent)
    return TableCell(percent(mean), mean, sub=worst, evidence=behind)


def _difference(
    experiment: Experiment, comparison: Comparison | None, is_baseline: bool
) -> tuple[TableCell, TableCell]:
    if comparison is None:
        return TableCell("baseline" if is_baseline else "", tone="quiet"), TableCell("")
    pairs, new = comparison.difference, comparison.subjects
    if not pairs.pairs:
        return EMPTY, stated("no pairs", tone="quiet")
    names = comparison.student, comparison.baseline
    note = difference_sentence(pairs, *names)
    behind = pair_evidence(experiment, comparison.pairs)
    told = "" if new is None else subject_sentence(new, *names)
    return difference_cell(pairs.mean, pairs.interval, behind, note), verdict_cell(
        pairs.verdict, sub="" if new is None else f"new: {new.verdict}", note=f"{note} {told}"
    )


def _size(experiment: Experiment, stage: str) -> tuple[TableCell, TableCell]:
    runs = experiment.of(stage)
    if not runs:
        return EMPTY, EMPTY
    network = runs[0].record.network
    ratio = compression(experiment, runs[0])
    size = TableCell(human(network.parameters), network.parameters, sub=human(network.macs))
    return size, TableCell(ratio.text, ratio.value, tone=ratio.tone)
