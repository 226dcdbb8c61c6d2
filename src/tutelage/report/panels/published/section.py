"""Numbers that the recipe states as published, with ours beside them."""

from collections.abc import Mapping

from tutelage.report.cells import (
    EMPTY,
    Metric,
    Values,
    accuracy,
    accuracy_of_group,
    harmonic_mean,
    mean_cell,
    mean_over_sets,
)
from tutelage.report.context import ReportContext
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.wording import signed
from tutelage.runs.ledger import Experiment
from tutelage.statistics.spreads import mean_of_folds

INTRO = (
    "What the recipe states as published, and what was measured here. They are the same quantity only "
    "where data, networks and protocol are those of the publication."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where the recipe states nothing as published."""
    table = published_table(context.experiment)
    if not table.rows:
        return None
    return Section("published", "Published numbers", "Published", INTRO, tables=(table,))


def published_table(experiment: Experiment) -> Table:
    """One row per number that the recipe states as published, with ours beside it, or nothing."""
    columns = (
        left("method"),
        left("quantity"),
        TableColumn("published", "published", "%"),
        TableColumn("here", "here", "%, ± pooled seed SD"),
        TableColumn("difference", "here − published", "points"),
    )
    rows = tuple(
        _row(experiment, stage, quantity, target)
        for stage, targets in _published(experiment).items()
        for quantity, target in targets.items()
    )
    return Table("published", "Empty where nothing was run here.", columns, rows)


def _row(experiment: Experiment, stage: str, quantity: str, target: float) -> Row:
    values = _measured(experiment, stage, quantity)
    difference = EMPTY
    if values:
        points = 100 * mean_of_folds(values) - target
        difference = TableCell(signed(points), points)
    return Row(
        (
            stated(stage),
            TableCell(quantity.replace("_", " "), quantity),
            TableCell(f"{target:.2f}", target),
            mean_cell(experiment, stage, values, lambda value: f"{100 * value:.2f}"),
            difference,
        )
    )


def _published(experiment: Experiment) -> dict[str, dict[str, float]]:
    resolved = experiment.record.resolved
    stages = resolved.get("stages") if isinstance(resolved, Mapping) else None
    if not isinstance(stages, Mapping):
        return {}
    return {
        stage: {str(key): float(value) for key, value in published.items()}
        for stage, settings in stages.items()
        if isinstance(settings, Mapping) and (published := settings.get("published"))
    }


def _measured(experiment: Experiment, stage: str, quantity: str) -> Values:
    """The values of a quantity by fold and seed."""
    targets = {target.name: target for target in experiment.transfers}
    if quantity in targets:
        return targets[quantity].accuracies(stage)
    if quantity == "mean":
        return mean_over_sets([target.accuracies(stage) for target in targets.values()])
    known: dict[str, Metric] = {"accuracy": accuracy, "harmonic_mean": harmonic_mean}
    return experiment.values(stage, known.get(quantity, accuracy_of_group(quantity)))
