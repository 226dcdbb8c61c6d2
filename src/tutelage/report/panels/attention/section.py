"""Where networks look; only after ``tutelage look``."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.attention import figures
from tutelage.report.panels.attention.data import looked_at
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated

MAPS = {
    "activation": (
        "Activation",
        "The squares of the last feature map, summed over channels: what attention transfer compares.",
    ),
    "evidence": (
        "Evidence for the true class",
        "Grad-CAM: where the last feature map speaks for the class that the sample has.",
    ),
    "positive": (
        "Positive map",
        "cos(1.35 · angle): how much a network looks there, as AMD sees it.",
    ),
    "negative": (
        "Negative map",
        "1 - cos(angle): how little a network looks there, as AMD sees it.",
    ),
}
ANGLES = (
    "The last feature map as a point on a sphere: the angle is small where much of its energy lies. Above each "
    "network by how many degrees the angle elsewhere is larger than where it looks (above the middle between "
    "smallest and largest value of the sample); AMD teaches a student this gap."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where nobody has looked."""
    experiment = context.experiment
    first = (
        *experiment.teachers,
        experiment.record.baseline,
        *((context.best,) if context.best else ()),
    )
    stages = list(dict.fromkeys([*first, *experiment.students]))
    every = looked_at(experiment, stages)
    if not every:
        return None
    shown = every[: figures.MOST]
    intro = (
        f"The same test samples of {experiment.fold_names[shown[0].fold]}, one of each class, for every network; "
        "colour is stretched for each sample. A network that reads another representation shows that one."
    )
    drawn = [
        Figure(
            figures.map_figure(shown, kind, title, experiment.class_names),
            title,
            caption,
            folded=number > 1,
        )
        for number, (kind, (title, caption)) in enumerate(MAPS.items())
    ]
    drawn.append(Figure(figures.angle_figure(shown), "Angular distributions", ANGLES))
    columns = (left("stage"), left("feature"), TableColumn("gap", "gap", "degrees"))
    rows = tuple(
        Row(
            (
                stated(one.stage),
                stated(one.found.header.feature),
                TableCell(f"{one.gap:.1f}", one.gap),
            )
        )
        for one in every
    )
    table = Table("attention", "Mean angle elsewhere minus where a network looks, all test samples looked at.",
                  columns, rows)  # fmt: skip
    return Section(
        "attention",
        "Where networks look",
        "Attention",
        intro,
        figures=tuple(drawn),
        tables=(table,),
    )
