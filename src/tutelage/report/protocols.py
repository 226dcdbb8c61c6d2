"""Sections on protocols: groups of classes, other data sets, published numbers beside ours."""

from collections.abc import Callable, Mapping

from tutelage.report.section import Section
from tutelage.report.table import (
    Cell,
    Column,
    Row,
    Table,
)
from tutelage.report.tables import (
    EMPTY,
    interval_cell,
    mean_cell,
    metric_cell,
    tone_of,
)
from tutelage.report.wording import plural, signed
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Evaluation
from tutelage.runs.transfer import Transfer
from tutelage.statistics.paired import paired_difference
from tutelage.statistics.spreads import mean_of_folds

Values = dict[tuple[str, int], float]


def sections(experiment: Experiment) -> tuple[Section, ...]:
    """Build those that there is something for."""
    found = []
    if group_names(experiment):
        intro = (
            "Each group of classes by itself: its test samples alone, and only its classes may be predicted. The "
            "harmonic mean is low as soon as one group is."
        )
        found.append(
            Section(
                "groups", "Groups of classes", "Groups", intro, tables=(group_table(experiment),)
            )
        )
    if experiment.transfers:
        sets = "; ".join(
            f"{one.name}: {one.data.name}, {plural(one.data.n, 'sample')}"
            for one in experiment.transfers
        )
        intro = "The same networks on data sets they were not trained on, without another step of training."
        table = transfer_table(experiment)
        found.append(
            Section(
                "transfer", "Other data sets", "Transfer", intro, tables=(table,), notes=(sets,)
            )
        )
    table = published_table(experiment)
    if table.rows:
        intro = (
            "What the recipe states as published, and what was measured here. They are the same quantity only "
            "where data, networks and protocol are those of the publication."
        )
        found.append(Section("published", "Published numbers", "Published", intro, tables=(table,)))
    return tuple(found)


def group_names(experiment: Experiment) -> tuple[str, ...]:
    """The groups that runs were evaluated on, in the order of the recipe."""
    tests = [run.evaluations["test"] for run in experiment.runs]
    return tuple(dict.fromkeys(name for evaluation in tests for name in evaluation.groups))


def group_table(experiment: Experiment) -> Table:
    """One row per stage: accuracy of each group, their harmonic mean, its difference to the baseline."""
    names = group_names(experiment)
    columns = (
        Column("method", "method", left=True),
        Column("n", "runs"),
        *(Column(name, name, "%, ± pooled seed SD") for name in names),
        Column("harmonic_mean", "harmonic mean", "%"),
        Column("difference", f"Δ to {experiment.record.baseline}", "points of the harmonic mean"),
        Column("interval", "95 % interval", "points"),
        Column("verdict", "verdict", left=True),
    )
    rows = [
        Row(
            (
                Cell(stage, stage),
                Cell(str(len(experiment.of(stage))), len(experiment.of(stage))),
                *(metric_cell(experiment, stage, _accuracy_of(name)) for name in names),
                metric_cell(experiment, stage, _harmonic, bar=True),
                *_difference(experiment, stage),
            ),
            "students" if stage in experiment.students else "teachers",
            strong=stage == experiment.record.baseline,
        )
        for stage in (*experiment.students, *experiment.teachers)
        if experiment.of(stage)
    ]
    caption = (
        "Test split. The harmonic mean is taken in each run, then averaged; over several data sets, the "
        "literature takes it of the averages."
    )
    return Table("groups", caption, columns, tuple(rows))


def transfer_table(experiment: Experiment) -> Table:
    """One row per stage: accuracy on each other data set, and the mean over them."""
    targets = experiment.transfers
    columns = (
        Column("method", "method", left=True),
        Column("n", "runs"),
        *(Column(one.name, one.name, "%, ± pooled seed SD") for one in targets),
        Column("mean", "mean", "%"),
    )
    rows = []
    for stage in (*experiment.students, *experiment.teachers):
        values = [one.accuracies(stage) for one in targets]
        if any(values):
            runs = max(len(each) for each in values)
            cells = [mean_cell(experiment, stage, each) for each in values]
            mean = mean_cell(experiment, stage, _mean(values), bar=True)
            group = "students" if stage in experiment.students else "teachers"
            rows.append(Row((Cell(stage, stage), Cell(str(runs), runs), *cells, mean), group))
    caption = "The official test part of each data set, all of it where there is none. Accuracy."
    return Table("transfer", caption, columns, tuple(rows))


def published_table(experiment: Experiment) -> Table:
    """One row per number that the recipe states as published, with ours beside it, or nothing."""
    columns = (
        Column("method", "method", left=True),
        Column("quantity", "quantity", left=True),
        Column("published", "published", "%"),
        Column("here", "here", "%, ± pooled seed SD"),
        Column("difference", "here − published", "points"),
    )
    rows = []
    for stage, targets in _published(experiment).items():
        for quantity, target in targets.items():
            values = _measured(experiment, stage, quantity)
            difference = EMPTY
            if values:
                points = 100 * mean_of_folds(values) - target
                difference = Cell(signed(points), points)
            rows.append(
                Row(
                    (
                        Cell(stage, stage),
                        Cell(quantity.replace("_", " "), quantity),
                        Cell(f"{target:.2f}", target),
                        mean_cell(experiment, stage, values, lambda value: f"{100 * value:.2f}"),
                        difference,
                    )
                )
            )
    caption = "Empty where nothing was run here."
    return Table("published", caption, columns, tuple(rows))


def _published(experiment: Experiment) -> dict[str, dict[str, float]]:
    resolved = experiment.record.resolved
    stages = resolved.get("stages") if isinstance(resolved, Mapping) else None
    if not isinstance(stages, Mapping):
        return {}
    return {
        stage: {str(key): float(value) for key, value in stated.items()}
        for stage, settings in stages.items()
        if isinstance(settings, Mapping) and (stated := settings.get("published"))
    }


def _measured(experiment: Experiment, stage: str, quantity: str) -> Values:
    """The values of a quantity by fold and seed."""
    targets: dict[str, Transfer] = {one.name: one for one in experiment.transfers}
    if quantity in targets:
        return targets[quantity].accuracies(stage)
    if quantity == "mean":
        return _mean([one.accuracies(stage) for one in targets.values()])
    known: dict[str, Callable[[Evaluation], float | None]] = {
        "accuracy": lambda evaluation: evaluation.accuracy,
        "harmonic_mean": _harmonic,
    }
    return experiment.values(stage, known.get(quantity, _accuracy_of(quantity)))


def _mean(values: list[Values]) -> Values:
    """The mean over data sets of each run that was evaluated on all of them."""
    keys = set.intersection(*map(set, values)) if values else set()
    return {key: sum(each[key] for each in values) / len(values) for key in keys}


def _accuracy_of(group: str) -> Callable[[Evaluation], float | None]:
    def found(evaluation: Evaluation) -> float | None:
        score = evaluation.groups.get(group)
        return None if score is None else score.accuracy

    return found


def _harmonic(evaluation: Evaluation) -> float | None:
    return evaluation.harmonic_mean


def _difference(experiment: Experiment, stage: str) -> tuple[Cell, Cell, Cell]:
    baseline = experiment.record.baseline
    if stage == baseline or stage not in experiment.students:
        return Cell("baseline" if stage == baseline else "", tone="quiet"), EMPTY, Cell("")
    mine, other = (experiment.values(name, _harmonic) for name in (stage, baseline))
    keys = sorted(mine.keys() & other.keys())
    if not keys:
        return EMPTY, EMPTY, Cell("no pairs", "no pairs", tone="quiet")
    pairs = paired_difference([mine[key] for key in keys], [other[key] for key in keys])
    note = pairs.sentence(stage, baseline)
    verdict = Cell(pairs.verdict, pairs.verdict, note=note, tone=tone_of(pairs.verdict))
    points = Cell(signed(100 * pairs.mean), 100 * pairs.mean, note=note)
    return points, interval_cell(pairs.interval), verdict
