"""The last features of students and teachers on the same test samples: maps, and how they fall into classes."""

from tutelage.report.cells import EMPTY, evidence, stages_in_groups
from tutelage.report.context import ReportContext
from tutelage.report.panels.embedding import figures, words
from tutelage.report.panels.embedding.data import (
    SCORES,
    looked_stages,
    maps,
    mean_score,
    score_values,
)
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.wording import minus
from tutelage.runs.ledger import Experiment


def section(context: ReportContext) -> Section | None:
    """Build the section; none where nobody has looked."""
    experiment = context.experiment
    stages = looked_stages(experiment)
    if not stages:
        return None
    return Section(
        "embedding", "What networks see as alike", "Embedding", words.intro(experiment, stages),
        figures=_drawn(context, stages), tables=(score_table(experiment),),
        notes=words.notes(experiment, stages, context.best),
    )  # fmt: skip


def _drawn(context: ReportContext, stages: list[str]) -> tuple[Figure, ...]:
    first = [name for name in (context.experiment.record.baseline, context.best) if name in stages]
    chosen = list(dict.fromkeys([*first, *stages]))[: figures.MOST]
    shown = maps(context.experiment, [name for name in stages if name in chosen])
    if not shown:
        return ()
    drawing = figures.embedding_maps(shown, context.experiment.class_names)
    return (
        Figure(
            drawing,
            "Test samples in the space of the last features",
            words.caption(context.experiment, shown),
        ),
    )


def score_table(experiment: Experiment) -> Table:
    """One row per stage: V-score, homogeneity and completeness, each with its interval."""
    columns = [left("stage"), TableColumn("n", "runs")]
    for score in SCORES:
        columns += [
            TableColumn(score, words.NAMES[score]),
            TableColumn(f"{score}_interval", "95 %"),
        ]
    rows = []
    for stage, group in stages_in_groups(experiment):
        values = {score: score_values(experiment, stage, score) for score in SCORES}
        if values[SCORES[0]]:
            cells = [stated(stage), counted(len(values[SCORES[0]]))]
            for score in SCORES:
                cells += _cells(experiment, stage, values[score])
            rows.append(Row(tuple(cells), group))
    return Table("embedding", words.TABLE, tuple(columns), tuple(rows))


def _cells(
    experiment: Experiment, stage: str, values: dict[tuple[str, int], float]
) -> tuple[TableCell, TableCell]:
    found, ends = mean_score(values), EMPTY
    runs = evidence(experiment, stage, values, _shown)
    if found.interval is not None:
        low, high = found.interval.low, found.interval.high
        text = f"{_shown(low)} to {_shown(high)}"
        ends = TableCell(text, None, sub=found.interval.about, interval=(low, high))
    return TableCell(_shown(found.mean), found.mean, evidence=runs), ends


def _shown(value: float) -> str:
    return minus(value, 3)
