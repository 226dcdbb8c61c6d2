"""F1 of every class and accuracy of every subject, shaded."""

from collections.abc import Callable, Iterable

from tutelage.report.cells import Metric, metric_cell, stages_in_groups
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.wording import percent
from tutelage.runs.ledger import Experiment


def section(context: ReportContext) -> Section:
    """Build the section."""
    experiment = context.experiment
    key = "people", "Classes and subjects", "Classes"
    if not experiment.runs:
        return Section(*key, empty="No run is complete.")
    classes, subjects = class_table(experiment), subject_table(experiment)
    if not subjects.rows:
        return Section(*key, tables=(classes,), notes=("The data name no subjects.",))
    return Section(*key, tables=(classes, subjects))


def class_table(experiment: Experiment) -> Table:
    """F1 of every class and stage, shaded."""

    def score(name: str) -> Metric:
        return lambda e: e.per_class[name].f1 if e.per_class[name].support else None

    names = [name for name in experiment.class_names
             if any(name in run.evaluations["test"].per_class for run in experiment.runs)]  # fmt: skip
    caption = "F1 on the test split in %, mean over folds of the mean over seeds; a stronger colour is better."
    return _heat(experiment, "classes", "class", names, score, caption)


def subject_table(experiment: Experiment) -> Table:
    """Accuracy of every subject and stage, shaded."""

    def score(name: str) -> Metric:
        return lambda e: e.per_subject[name].accuracy if name in e.per_subject else None

    tested = {name for run in experiment.runs for name in run.evaluations["test"].per_subject}
    caption = "Accuracy on each test subject in %, mean over the runs that tested it; a stronger colour is better."
    return _heat(experiment, "subjects", "subject", sorted(tested), score, caption)


def _heat(
    experiment: Experiment,
    name: str,
    what: str,
    keys: Iterable[str],
    score: Callable[[str], Metric],
    caption: str,
) -> Table:
    stages = [stage for stage, _ in stages_in_groups(experiment) if experiment.of(stage)]
    columns = (left(what), *(TableColumn(stage, stage) for stage in stages))
    cells = {key: [metric_cell(experiment, stage, score(key)) for stage in stages] for key in keys}
    known = [float(cell.value) for row in cells.values() for cell in row if cell.value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    rows = tuple(
        Row((stated(key), *(_shaded(cell, low, high) for cell in row)))
        for key, row in cells.items()
    )
    return Table(name, caption, columns, rows)


def _shaded(cell: TableCell, low: float, high: float) -> TableCell:
    if cell.value is None:
        return cell
    mean = float(cell.value)
    heat = (mean - low) / (high - low) if high > low else 0.5
    note = "" if cell.spread is None else f"{cell.plain} (pooled seed SD)"
    return TableCell(
        percent(mean), mean, spread=cell.spread, evidence=cell.evidence, heat=heat, note=note
    )
