"""The longer tables: spreads, differences, classes, subjects, legacy protocol, holes and runs."""

from collections.abc import Callable, Iterable

from tutelage.report.table import (
    Cell,
    Column,
    Evidence,
    Row,
    Table,
)
from tutelage.report.tables import (
    EMPTY,
    evidence,
    interval_cell,
    metric_cell,
    pair_evidence,
    subject_verdict,
    tone_of,
)
from tutelage.report.wording import human, percent, signed
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Evaluation, Selected
from tutelage.statistics.paired import minus, paired_difference, pairs_needed
from tutelage.statistics.spreads import SpreadKind, mean_of_folds, spread
from tutelage.study.comparison import Comparison

RESOLUTION = 0.01
"""The half-width that "pairs for 1 point" asks for."""


def spread_table(experiment: Experiment) -> Table:
    """The three named spreads of the accuracy, side by side."""
    kinds: tuple[SpreadKind, ...] = ("pooled", "seeds", "folds")
    columns = (
        Column("method", "method", left=True),
        Column("accuracy", "mean accuracy", "%"),
        Column("pooled", "pooled seed SD", "points"),
        Column("seeds", "SD over seeds", "points"),
        Column("folds", "SD over folds", "points"),
    )
    rows = []
    for stage in (*experiment.students, *experiment.teachers):
        values = experiment.values(stage, lambda e: e.accuracy)
        if values:
            mean = mean_of_folds(values)
            behind = evidence(experiment, stage, values, percent)
            cells = [Cell(stage, stage), Cell(percent(mean), mean, evidence=behind)]
            for kind in kinds:
                found = spread(values, kind)
                text = "–" if found.value is None else f"{100 * found.value:.2f}"
                cells.append(Cell(text, found.value, sub=f"n = {found.n}"))
            rows.append(Row(tuple(cells)))
    caption = (
        "Pooled seed SD: how much one run moves when only the seed changes. SD over seeds: how much "
        "the mean over folds moves. SD over folds: how unlike the folds (people) are. All divide "
        "by n − 1."
    )
    return Table("spreads", caption, columns, tuple(rows))


def difference_table(experiment: Experiment, comparisons: Iterable[Comparison]) -> Table:
    """Every interval of every difference, named."""
    columns = (
        Column("student", "student", left=True),
        Column("difference", "difference", "points"),
        Column("same_subjects", "these subjects: t", "95 %"),
        Column("corrected", "corrected t", "95 %"),
        Column("new_subjects", "new subjects", "95 %"),
        Column("bootstrap", "BCa bootstrap", "95 %"),
        Column("verdict", "these subjects", left=True),
        Column("verdict_new", "new subjects", left=True),
        Column("adjusted_p", "p, Holm"),
        Column("pairs_for_one_point", "pairs for ±1 point"),
    )
    rows = []
    for one in comparisons:
        pairs = one.retrained
        if pairs.n == 0:
            rows.append(Row((Cell(one.student, one.student), *(EMPTY,) * (len(columns) - 1))))
            continue
        needed = pairs_needed(pairs.sd, RESOLUTION) if pairs.sd else None
        rows.append(
            Row(
                (
                    Cell(one.student, one.student, sub=f"− {one.baseline}"),
                    Cell(
                        signed(100 * pairs.mean),
                        100 * pairs.mean,
                        sub=f"n = {pairs.n}",
                        evidence=pair_evidence(experiment, one.pairs),
                    ),
                    interval_cell(pairs.t),
                    interval_cell(one.corrected.corrected if one.corrected else None),
                    interval_cell(one.subjects.interval if one.subjects else None),
                    interval_cell(pairs.bootstrap),
                    Cell(pairs.verdict, pairs.verdict, tone=tone_of(pairs.verdict)),
                    subject_verdict(one),
                    Cell(_p(one.adjusted_p), one.adjusted_p),
                    Cell("–" if needed is None else str(needed), needed),
                )
            )
        )
    caption = (
        "These subjects: Student's t over matched runs, as if trained again with other seeds on the "
        "same split. Corrected t: widened because folds share training data. New subjects: test "
        "subjects and seeds drawn anew. The BCa bootstrap is shown for reference; with few pairs it "
        "is too narrow and does not decide."
    )
    return Table("differences", caption, columns, tuple(rows))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def class_table(experiment: Experiment) -> Table:
    """F1 of every class and stage, shaded."""

    def score(name: str) -> Callable[[Evaluation], float | None]:
        return lambda e: e.per_class[name].f1 if e.per_class[name].support else None

    names = [name for name in experiment.class_names
             if any(name in run.evaluations["test"].per_class for run in experiment.runs)]  # fmt: skip
    caption = "F1 on the test split in %, mean over folds of the mean over seeds; a stronger colour is better."
    return _heat(experiment, "classes", "class", names, score, caption)


def subject_table(experiment: Experiment) -> Table:
    """Accuracy of every subject and stage, shaded."""

    def score(name: str) -> Callable[[Evaluation], float | None]:
        return lambda e: e.per_subject[name].accuracy if name in e.per_subject else None

    names = sorted(
        {name for run in experiment.runs for name in run.evaluations["test"].per_subject}
    )
    caption = "Accuracy on each test subject in %, mean over the runs that tested it; a stronger colour is better."
    return _heat(experiment, "subjects", "subject", names, score, caption)


def _heat(
    experiment: Experiment,
    name: str,
    what: str,
    keys: list[str],
    score: Callable[[str], Callable[[Evaluation], float | None]],
    caption: str,
) -> Table:
    stages = [s for s in (*experiment.students, *experiment.teachers) if experiment.of(s)]
    columns = (Column(what, what, left=True), *(Column(stage, stage) for stage in stages))
    found = [[metric_cell(experiment, stage, score(key)) for stage in stages] for key in keys]
    known = [float(cell.value) for row in found for cell in row if cell.value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    rows = tuple(
        Row((Cell(key, key), *(_shaded(cell, low, high) for cell in row)))
        for key, row in zip(keys, found, strict=True)
    )
    return Table(name, caption, columns, rows)


def _shaded(cell: Cell, low: float, high: float) -> Cell:
    if cell.value is None:
        return cell
    mean = float(cell.value)
    heat = (mean - low) / (high - low) if high > low else 0.5
    note = "" if cell.spread is None else f"{cell.plain} (pooled seed SD)"
    return Cell(
        percent(mean), mean, spread=cell.spread, evidence=cell.evidence, heat=heat, note=note
    )


def legacy_table(experiment: Experiment) -> Table | None:
    """Honest against legacy accuracy; None where no run has the legacy number."""
    columns = (
        Column("method", "method", left=True),
        Column("honest", "epoch chosen on validation", "%"),
        Column("legacy", "epoch chosen on test", "%"),
        Column("optimism", "optimism", "points, 95 % interval"),
    )
    rows = []
    for stage in (*experiment.students, *experiment.teachers):
        honest = experiment.values(stage, lambda e: e.accuracy)
        legacy = experiment.values(stage, lambda e: e.accuracy, "test_legacy")
        keys = sorted(honest.keys() & legacy.keys())
        if not keys:
            continue
        gap = paired_difference([legacy[key] for key in keys], [honest[key] for key in keys])
        paths = {run.key: run.path for run in experiment.of(stage)}
        ends = interval_cell(gap.t)
        rows.append(
            Row(
                (
                    Cell(stage, stage),
                    metric_cell(experiment, stage, lambda e: e.accuracy),
                    metric_cell(experiment, stage, lambda e: e.accuracy, split="test_legacy"),
                    Cell(
                        signed(100 * gap.mean),
                        100 * gap.mean,
                        sub=ends.text,
                        interval=ends.interval,
                        evidence=tuple(
                            Evidence(
                                experiment.fold_names[key[0]],
                                key[1],
                                signed(100 * (legacy[key] - honest[key])),
                                paths[key],
                            )
                            for key in keys
                        ),
                    ),
                )
            )
        )
    caption = (
        "Accuracy ± pooled seed SD of the same trainings. Optimism is what choosing the epoch on the "
        "test split adds, as the literature often does. Only the left number may be compared with "
        "new work."
    )
    return Table("legacy", caption, columns, tuple(rows)) if rows else None


def hole_table(experiment: Experiment) -> Table:
    """Every run without a number and why."""
    columns = tuple(
        Column(key, key, left=True) for key in ("stage", "fold", "seed", "kind", "reason", "path")
    )
    rows = tuple(
        Row(
            (
                Cell(hole.stage, hole.stage),
                Cell(experiment.fold_names.get(hole.fold, hole.fold), hole.fold),
                Cell(str(hole.seed), hole.seed),
                Cell(hole.kind, hole.kind, tone="bad"),
                Cell(hole.reason, hole.reason),
                Cell(hole.path or "–", hole.path, tone="quiet"),
            )
        )
        for hole in experiment.holes
    )
    return Table("holes", "Runs that gave no number. None of them is in any mean.", columns, rows)


def run_table(experiment: Experiment) -> Table:
    """Every complete run with its fingerprint and folder."""
    columns = (
        Column("stage", "stage", left=True),
        Column("fold", "fold", left=True),
        Column("seed", "seed"),
        Column("accuracy", "accuracy", "%"),
        Column("epoch", "epoch kept"),
        Column("seconds", "seconds"),
        Column("parameters", "parameters"),
        Column("fingerprint", "fingerprint", left=True),
        Column("path", "folder", left=True),
    )
    rows = []
    for run in experiment.runs:
        record, accuracy = run.record, run.evaluations["test"].accuracy
        epoch = record.selected.epoch if record.selected else None
        rows.append(
            Row(
                (
                    Cell(run.stage, run.stage),
                    Cell(experiment.fold_names[run.fold], run.fold),
                    Cell(str(run.seed), run.seed),
                    Cell(percent(accuracy, 2), accuracy),
                    Cell(_kept(record.selected), epoch),
                    Cell(
                        "–" if record.seconds is None else minus(record.seconds, 0), record.seconds
                    ),
                    Cell(human(record.network.parameters), record.network.parameters),
                    Cell(run.fingerprint[:10], run.fingerprint),
                    Cell(run.path, run.path, tone="quiet"),
                )
            )
        )
    return Table("runs", "Every complete run, test split.", columns, tuple(rows))


def _kept(selected: Selected | None) -> str:
    """Return the epoch a network is of; one that is of none, or of all, says so."""
    if selected is None:
        return "–"
    return {"average": "average", "start": "untrained"}.get(selected.on, str(selected.epoch))
