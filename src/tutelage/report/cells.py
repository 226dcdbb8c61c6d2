"""What tables of panels and of a study share: means, differences, intervals as cells with their runs."""

from collections.abc import Callable, Iterable, Iterator

from tutelage.report.table import Row, SourceRun, Table, TableCell, Tone, counted, left, stated
from tutelage.report.wording import percent, signed
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Evaluation, Split, Variant
from tutelage.runs.run import Run
from tutelage.statistics.paired import Interval, PairedDifference, paired_difference
from tutelage.statistics.spreads import SpreadKind, mean_of_folds, spread
from tutelage.study.ledger import MissingRuns

Metric = Callable[[Evaluation], float | None]
Values = dict[tuple[str, int], float]
"""Values by fold and seed."""
Link = Callable[[Run], str]
"""Makes the address of a run's folder."""
EMPTY = TableCell("–", tone="quiet")
SPREAD: SpreadKind = "pooled"


def no_link(run: Run) -> str:
    """Return no link: where a table lies may be anywhere."""
    return ""


def accuracy(evaluation: Evaluation | Variant) -> float:
    """The accuracy."""
    return evaluation.accuracy


def harmonic_mean(evaluation: Evaluation) -> float | None:
    """The harmonic mean over groups of classes, where there are some."""
    return evaluation.harmonic_mean


def accuracy_of_group(group: str) -> Metric:
    """Return the accuracy of a group of classes among its own."""

    def score(evaluation: Evaluation) -> float | None:
        return evaluation.groups[group].accuracy if group in evaluation.groups else None

    return score


def mean_over_sets(values: list[Values]) -> Values:
    """The mean over data sets of each run that was evaluated on all of them."""
    keys = set.intersection(*map(set, values)) if values else set()
    return {key: sum(each[key] for each in values) / len(values) for key in keys}


def stages_in_groups(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Every stage, students first, with the group of rows it stands in."""
    yield from ((stage, "students") for stage in experiment.students)
    yield from ((stage, "teachers") for stage in experiment.teachers)


def metric_cell(
    experiment: Experiment,
    stage: str,
    metric: Metric,
    show: Callable[[float], str] = percent,
    *,
    split: Split = "test",
    bar: bool = False,
) -> TableCell:
    """Mean over folds ± pooled seed SD, with the runs behind it."""
    return mean_cell(experiment, stage, experiment.values(stage, metric, split), show, bar=bar)


def mean_cell(
    experiment: Experiment,
    stage: str,
    values: Values,
    show: Callable[[float], str] = percent,
    *,
    bar: bool = False,
) -> TableCell:
    """Mean over folds ± pooled seed SD of values by fold and seed."""
    if not values:
        return EMPTY
    mean, sd = mean_of_folds(values), spread(values, SPREAD).value
    return TableCell(
        show(mean),
        mean,
        sub="" if sd is None else f"± {show(sd)}",
        spread=sd,
        evidence=evidence(experiment, stage, values, show),
        bar=mean if bar else None,
    )


def evidence(
    experiment: Experiment, stage: str, values: Values, show: Callable[[float], str]
) -> tuple[SourceRun, ...]:
    """The runs behind a mean, in order of fold and seed."""
    paths = {run.key: run.path for run in experiment.of(stage)}
    names = experiment.fold_names
    return tuple(
        SourceRun(names[fold], seed, show(values[fold, seed]), paths[fold, seed])
        for fold, seed in sorted(values)
    )


def pair_evidence(
    experiment: Experiment, pairs: tuple[tuple[Run, Run], ...]
) -> tuple[SourceRun, ...]:
    """The matched runs behind a difference of accuracies."""
    values = [tuple(run.evaluations["test"].accuracy for run in pair) for pair in pairs]
    return tuple(
        SourceRun(experiment.fold_names[mine.fold], mine.seed, subtracted(a, b), mine.path)
        for (mine, _), (a, b) in zip(pairs, values, strict=True)
    )


def subtracted(a: float, b: float) -> str:
    """Two fractions and their difference in points, as a sum."""
    return f"{signed(100 * (a - b))} = {percent(a)} − {percent(b)}"


def paired(mine: Values, other: Values) -> PairedDifference | None:
    """The paired difference on the folds and seeds that both have; None without any."""
    difference = paired_difference(mine, other)
    return difference if difference.pairs else None


def tone_of(verdict: str) -> Tone:
    """The colour of a verdict."""
    tones: dict[str, Tone] = {"better": "better", "worse": "worse"}
    return tones.get(verdict, "unsure")


def verdict_cell(verdict: str, *, sub: str = "", note: str = "", text: str = "") -> TableCell:
    """A verdict in its colour; ``text`` is shown in its place."""
    return TableCell(text or verdict, verdict, sub=sub, tone=tone_of(verdict), note=note)


def interval_cell(
    interval: Interval | None, scale: float = 100, digits: int = 1, note: str = ""
) -> TableCell:
    """An interval, in points unless told otherwise."""
    if interval is None:
        return EMPTY
    low, high = scale * interval.low, scale * interval.high
    text = f"{signed(low, digits)} to {signed(high, digits)}"
    return TableCell(text, None, interval=(low, high), note=note)


def difference_cell(
    mean: float, interval: Interval | None, evidence: tuple[SourceRun, ...] = (), note: str = ""
) -> TableCell:
    """A mean difference in points, and below it the interval that stands for it."""
    ends = interval_cell(interval)
    sub = "" if interval is None else ends.text
    return TableCell(
        signed(100 * mean),
        100 * mean,
        sub=sub,
        interval=ends.interval,
        evidence=evidence,
        note=note,
    )


def compression(experiment: Experiment, run: Run) -> TableCell:
    """How many parameters and multiply-adds a run's teachers have for each of its own."""
    teachers = [experiment.of(name)[0].record.network for name in run.record.teachers
                if experiment.of(name)]  # fmt: skip
    mine = run.record.network
    if not teachers or len(teachers) < len(run.record.teachers) or not mine.parameters:
        return EMPTY
    ratio = sum(teacher.parameters for teacher in teachers) / mine.parameters
    macs = [teacher.macs for teacher in teachers if teacher.macs is not None]
    complete = mine.macs and len(macs) == len(teachers)
    sub = f"{sum(macs) / mine.macs:.0f} × multiply-adds" if complete and mine.macs else ""
    return TableCell(f"{ratio:.1f} ×", ratio, sub=sub)


def missing_table(
    missing: Iterable[MissingRuns], fold_names: dict[str, str], caption: str, *, cells: bool
) -> Table:
    """Every run, and every cell of a study, that gave no number, and why."""
    keys = ("cell", "stage", "fold", "seed", "kind", "reason", "path")
    rows = tuple(
        Row(
            (
                *([stated(hole.cell)] if cells else []),
                TableCell(hole.stage or "all", hole.stage),
                TableCell(fold_names.get(hole.fold or "", hole.fold or "all"), hole.fold),
                TableCell("all") if hole.seed is None else counted(hole.seed),
                stated(hole.kind, tone="bad"),
                stated(hole.reason),
                TableCell(hole.path or "–", hole.path, tone="quiet"),
            )
        )
        for hole in missing
    )
    return Table("holes", caption, tuple(left(key) for key in keys[not cells :]), rows)
