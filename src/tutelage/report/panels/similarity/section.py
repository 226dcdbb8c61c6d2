"""Which samples networks find alike: maps of teachers, merged and students, and distances as numbers."""

from tutelage.report.cells import EMPTY, stages_in_groups
from tutelage.report.context import ReportContext
from tutelage.report.panels.similarity import figures, words
from tutelage.report.panels.similarity.data import columns_of, distance, known_maps
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.wording import significant
from tutelage.runs.ledger import Experiment
from tutelage.runs.similarity import SimilarityMaps


def section(context: ReportContext) -> Section | None:
    """Build the section; none where nobody has looked."""
    experiment, found = context.experiment, known_maps(context.experiment)
    if found is None:
        return None
    first = [*found.header.weights, experiment.record.baseline, context.best]
    stages = found.header.stages
    shown = list(dict.fromkeys(name for name in [*first, *stages] if name in stages))
    columns = columns_of(experiment, found, tuple(shown[: figures.MOST]))
    drawing = figures.similarity_maps(found, columns)
    figure = Figure(
        drawing, "Similarity maps of the same test samples", words.caption(experiment, found)
    )
    return Section(
        "similarity", "Similarity maps", "Similarity", words.intro(found), figures=(figure,),
        tables=(distance_table(experiment, found),), notes=words.notes(found),
    )  # fmt: skip


def distance_table(experiment: Experiment, found: SimilarityMaps) -> Table:
    """One row per stage: distance to the merged map for each feature, with its interval."""
    columns = [left("stage"), TableColumn("n", "runs")]
    for tap in found.header.taps:
        columns += [TableColumn(tap, tap), TableColumn(f"{tap}_interval", "95 %")]
    rows = []
    for stage, group in stages_in_groups(experiment):
        means = [distance(found, stage, tap) for tap in found.header.taps]
        known = [mean for mean in means if mean is not None]
        if known:
            cells = [stated(stage), counted(known[0].runs)]
            for mean in known:
                cells.append(TableCell(significant(mean.mean), mean.mean))
                ends = mean.interval
                cells.append(EMPTY if ends is None else TableCell(
                    f"{significant(ends.low)} to {significant(ends.high)}", None, sub=ends.about,
                    interval=(ends.low, ends.high)))  # fmt: skip
            rows.append(Row(tuple(cells), group))
    return Table("similarity", words.TABLE, tuple(columns), tuple(rows))
