"""Students beside the baseline in any metric: differences decided together, as cells of a table."""

from tutelage.report.cells import EMPTY, Metric, interval_cell, paired, verdict_cell
from tutelage.report.table import TableCell, stated
from tutelage.report.verdicts import difference_sentence
from tutelage.report.wording import signed
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import PairedDifference, decided

__all__ = ["difference_cells", "students_to_baseline"]


def students_to_baseline(
    experiment: Experiment, metric: Metric
) -> dict[str, PairedDifference | None]:
    """Return the difference of every student to the baseline, decided together; None without pairs."""
    baseline = experiment.record.baseline
    base = experiment.values(baseline, metric)
    students = [name for name in experiment.students if name != baseline]
    each = {name: paired(experiment.values(name, metric), base) for name in students}
    after = decided({name: one for name, one in each.items() if one is not None})
    return {name: after.get(name) for name in students}


def difference_cells(
    pairs: PairedDifference | None, stage: str, baseline: str
) -> tuple[TableCell, TableCell, TableCell]:
    """Return difference, interval and verdict of a stage."""
    if stage == baseline:
        return TableCell("baseline", tone="quiet"), EMPTY, TableCell("")
    if pairs is None:
        return EMPTY, EMPTY, stated("no pairs", tone="quiet")
    note = difference_sentence(pairs, stage, baseline)
    points = TableCell(signed(100 * pairs.mean), 100 * pairs.mean, note=note)
    return points, interval_cell(pairs.interval), verdict_cell(pairs.verdict, note=note)
