"""The tables of the report, built from the ledger."""

from collections.abc import Callable, Iterable

from tutelage.report.table import (
    Cell,
    Column,
    Evidence,
    Row,
    Table,
    Tone,
)
from tutelage.report.wording import (
    human,
    modality,
    percent,
    plural,
    signed,
)
from tutelage.runs.ledger import Experiment, Run
from tutelage.runs.records import Evaluation, RunRecord, Split
from tutelage.statistics.paired import Interval, minus
from tutelage.statistics.spreads import SpreadKind, mean_of_folds, spread
from tutelage.study.comparison import Comparison

Metric = Callable[[Evaluation], float | None]
EMPTY = Cell("–", tone="quiet")
SPREAD: SpreadKind = "pooled"


def metric_cell(
    experiment: Experiment,
    stage: str,
    metric: Metric,
    show: Callable[[float], str] = percent,
    *,
    split: Split = "test",
    bar: bool = False,
) -> Cell:
    """Mean over folds ± pooled seed SD, with the runs behind it."""
    return mean_cell(experiment, stage, experiment.values(stage, metric, split), show, bar=bar)


def mean_cell(
    experiment: Experiment,
    stage: str,
    values: dict[tuple[str, int], float],
    show: Callable[[float], str] = percent,
    *,
    bar: bool = False,
) -> Cell:
    """Mean over folds ± pooled seed SD of values by fold and seed."""
    if not values:
        return EMPTY
    mean, sd = mean_of_folds(values), spread(values, SPREAD).value
    return Cell(
        show(mean),
        mean,
        sub="" if sd is None else f"± {show(sd)}",
        spread=sd,
        evidence=evidence(experiment, stage, values, show),
        bar=mean if bar else None,
    )


def evidence(
    experiment: Experiment,
    stage: str,
    values: dict[tuple[str, int], float],
    show: Callable[[float], str],
) -> tuple[Evidence, ...]:
    """The runs behind a mean, in order of fold and seed."""
    paths = {run.key: run.path for run in experiment.of(stage)}
    names = experiment.fold_names
    return tuple(
        Evidence(names[fold], seed, show(values[fold, seed]), paths[fold, seed])
        for fold, seed in sorted(values)
    )


def main_table(experiment: Experiment, comparisons: Iterable[Comparison]) -> Table:
    """One row per stage: quality, difference to the baseline, size."""
    by_name = {comparison.student: comparison for comparison in comparisons}
    columns = (
        Column("method", "method", left=True),
        Column("learns_from", "learns from", left=True),
        Column("n", "runs"),
        Column("accuracy", "accuracy", "%, ± pooled seed SD"),
        Column("macro_f1", "macro-F1", "%"),
        Column("worst_subject", "worst subject", "%"),
        Column("ece", "ECE", "%"),
        Column("nll", "NLL", "nats"),
        Column("difference", f"Δ to {experiment.record.baseline}", "points, 95 % interval"),
        Column("verdict", "verdict", "these subjects, new subjects", left=True),
        Column("parameters", "parameters", "multiply-adds"),
        Column("compression", "teachers : student", "parameters"),
    )
    stages = [(name, "students") for name in experiment.students]
    stages += [(name, "teachers") for name in experiment.teachers]
    rows = (
        Row(
            (
                Cell(stage, stage),
                _lineage(experiment, stage),
                _count(experiment, stage),
                metric_cell(experiment, stage, lambda e: e.accuracy, bar=True),
                metric_cell(experiment, stage, lambda e: e.macro_f1),
                worst_subject(experiment, stage),
                metric_cell(experiment, stage, lambda e: e.ece),
                metric_cell(experiment, stage, lambda e: e.nll, lambda v: minus(v, 2)),
                *_difference(experiment, by_name.get(stage), stage == experiment.record.baseline),
                *_size(experiment, stage),
            ),
            group,
            strong=stage == experiment.record.baseline,
        )
        for stage, group in stages
    )
    caption = (
        "Test split, mean over folds of the mean over seeds ± pooled seed SD (the SD over seeds "
        "within a fold, pooled over folds). Differences are over matched folds and seeds only, so "
        "with holes they need not equal the difference of two means. Teachers are not compared."
    )
    return Table("main", caption, columns, tuple(rows))


def _lineage(experiment: Experiment, stage: str) -> Cell:
    runs = experiment.of(stage)
    if not runs:
        return EMPTY
    record = runs[0].record
    text = " + ".join(record.teachers) or ("labels" if _trained(record) else "nothing")
    sub = f"starts from {record.start_from.stage}" if record.start_from else ""
    if stage in experiment.teachers:
        sub = modality(record.data.modality)
    return Cell(text, text, sub=", ".join(part for part in (sub, _shown(runs[0])) if part))


def _trained(record: RunRecord) -> bool:
    train = record.config.get("train") if isinstance(record.config, dict) else None
    return not isinstance(train, dict) or train.get("epochs") != 0


def _shown(run: Run) -> str:
    """What a run was shown of the training side, where that is not all of it with labels."""
    config = run.record.config if isinstance(run.record.config, dict) else {}
    classes, shots = config.get("train_classes"), config.get("shots")
    parts = [f"{shots} of each class"] if shots else []
    if classes:
        parts.append(classes if isinstance(classes, str) else plural(len(classes), "class"))
    return ", ".join([*parts, "no labels"] if config.get("unlabelled") else parts)


def _count(experiment: Experiment, stage: str) -> Cell:
    done, planned = len(experiment.of(stage)), experiment.planned(stage)
    if done == planned:
        return Cell(str(done), done)
    return Cell(f"{done} of {planned}", done, tone="bad", note="See the holes below.")


def worst_subject(experiment: Experiment, stage: str) -> Cell:
    """The subject with the lowest accuracy, averaged over the runs that tested it."""
    scores: dict[str, dict[tuple[str, int], float]] = {}
    for run in experiment.of(stage):
        for name, score in run.evaluations["test"].per_subject.items():
            scores.setdefault(name, {})[run.key] = score.accuracy
    if not scores:
        return EMPTY
    worst = min(scores, key=lambda name: mean_of_folds(scores[name]))
    mean = mean_of_folds(scores[worst])
    return Cell(
        percent(mean), mean, sub=worst, evidence=evidence(experiment, stage, scores[worst], percent)
    )


def tone_of(verdict: str) -> Tone:
    """The colour of a verdict."""
    tones: dict[str, Tone] = {"better": "better", "worse": "worse"}
    return tones.get(verdict, "unsure")


def _difference(
    experiment: Experiment, comparison: Comparison | None, is_baseline: bool
) -> tuple[Cell, Cell]:
    if comparison is None:
        return Cell("baseline" if is_baseline else "", tone="quiet"), Cell("")
    pairs = comparison.retrained
    if pairs.n == 0:
        return EMPTY, Cell("no pairs", "no pairs", tone="quiet")
    difference = Cell(
        signed(100 * pairs.mean),
        100 * pairs.mean,
        sub=_ends(pairs.interval),
        interval=_points(pairs.interval),
        evidence=pair_evidence(experiment, comparison.pairs),
        note=pairs.sentence(comparison.student, comparison.baseline),
    )
    new = subject_verdict(comparison)
    verdict = Cell(
        pairs.verdict,
        pairs.verdict,
        sub="" if comparison.subjects is None else f"new: {new.text}",
        note=f"{pairs.sentence(comparison.student, comparison.baseline)} {new.note}",
        tone=tone_of(pairs.verdict),
    )
    return difference, verdict


def _size(experiment: Experiment, stage: str) -> tuple[Cell, Cell]:
    runs = experiment.of(stage)
    if not runs:
        return EMPTY, EMPTY
    network = runs[0].record.network
    ratio = _compression(experiment, runs[0])
    size = Cell(human(network.parameters), network.parameters, sub=human(network.macs))
    return size, Cell(ratio.text, ratio.value, tone=ratio.tone)


def subject_verdict(comparison: Comparison) -> Cell:
    """What may be said of people who were not tested."""
    found = comparison.subjects
    if found is None:
        return Cell("no subjects", tone="quiet")
    return Cell(
        found.verdict,
        found.verdict,
        tone=tone_of(found.verdict),
        sub=plural(found.subjects, "subject"),
        note=found.sentence(comparison.student, comparison.baseline),
    )


def pair_evidence(
    experiment: Experiment, pairs: tuple[tuple[Run, Run], ...]
) -> tuple[Evidence, ...]:
    """The matched runs behind a difference."""
    found = []
    for mine, other in pairs:
        a, b = mine.evaluations["test"].accuracy, other.evaluations["test"].accuracy
        value = f"{signed(100 * (a - b))} = {percent(a)} − {percent(b)}"
        found.append(Evidence(experiment.fold_names[mine.fold], mine.seed, value, mine.path))
    return tuple(found)


def _points(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval.low, 100 * interval.high)


def _ends(interval: Interval | None) -> str:
    return (
        "" if interval is None else f"{signed(100 * interval.low)} to {signed(100 * interval.high)}"
    )


def interval_cell(interval: Interval | None, note: str = "") -> Cell:
    """An interval in points."""
    if interval is None:
        return EMPTY
    ends = (100 * interval.low, 100 * interval.high)
    return Cell(_ends(interval), None, interval=ends, note=note)


def size_table(experiment: Experiment) -> Table:
    """Parameters and multiply-adds of every network, and how much smaller the student is."""
    columns = (
        Column("network", "network", left=True),
        Column("role", "role", left=True),
        Column("input", "input", left=True),
        Column("parameters", "parameters"),
        Column("macs", "multiply-adds of one window"),
        Column("compression", "teachers : this"),
    )
    rows = []
    for stage in (*experiment.teachers, *experiment.students):
        for run in experiment.of(stage)[:1]:
            network = run.record.network
            role = "student" if stage in experiment.students else "teacher"
            rows.append(
                Row(
                    (
                        Cell(stage, stage, sub=network.type),
                        Cell(role, role),
                        Cell(modality(run.record.data.modality), run.record.data.modality),
                        Cell(human(network.parameters), network.parameters),
                        Cell(human(network.macs), network.macs),
                        _compression(experiment, run),
                    ),
                    f"{role}s",
                )
            )
    caption = (
        "Of the exported network, for one window. The last column divides the parameters of all "
        "teachers of a student, and their multiply-adds, by its own."
    )
    return Table("sizes", caption, columns, tuple(rows))


def _compression(experiment: Experiment, run: Run) -> Cell:
    teachers = [experiment.of(name)[0].record.network for name in run.record.teachers
                if experiment.of(name)]  # fmt: skip
    mine = run.record.network
    if not teachers or len(teachers) < len(run.record.teachers) or not mine.parameters:
        return EMPTY
    ratio = sum(teacher.parameters for teacher in teachers) / mine.parameters
    macs = [teacher.macs for teacher in teachers if teacher.macs is not None]
    complete = mine.macs and len(macs) == len(teachers)
    sub = f"{sum(macs) / mine.macs:.0f} × multiply-adds" if complete and mine.macs else ""
    return Cell(f"{ratio:.1f} ×", ratio, sub=sub)
