"""The section on concepts: samples to choose among, what each concept did and what is left without it."""

from collections.abc import Iterator, Sequence

from tutelage.report.context import ReportContext
from tutelage.report.drawing.sheet import SignalAxis
from tutelage.report.panels.explanations import figures, tables, words
from tutelage.report.panels.explanations.accounts import Account
from tutelage.report.panels.explanations.data import ExplainedRun, ExplainedStage, explained_stages
from tutelage.report.panels.explanations.gallery import gallery
from tutelage.report.panels.explanations.icon import icon
from tutelage.report.section import Figure, Section, Tab, Tabs
from tutelage.report.wording import modality
from tutelage.runs.ledger import Experiment

DRAWN = 3
"""Stages whose samples and galleries are drawn."""
CLASSES_OPEN = 20
"""Of more classes the table of concepts by class is folded."""

INTRO = (
    "A score of these networks is a sum over named concepts, so it can be taken apart exactly. Choose a sample: "
    "which concept moved which class, where, how far, and what is predicted without it. “Without” means that the "
    "concept's value is zero while all attention stays; those scores were computed anew by the network, not "
    "subtracted."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no network explains itself."""
    experiment = context.experiment
    stages = explained_stages(experiment)
    if not stages:
        return None
    names = [stage.name for stage in stages]
    students = [name for name in names if name in experiment.students]
    usual = context.best if context.best in names else [*students, *names][0]
    ordered = sorted(stages, key=lambda stage: (*_rank(experiment, stage), stage.name != usual))
    first = ordered[0].name
    tabs: list[Tabs] = []
    shown: list[Figure] = []
    below = [tables.faithfulness_table(experiment, stages)]
    of_places = tables.area_table(experiment, stages), tables.map_table(experiment, stages)
    below += [table for table in of_places if table.rows]
    folded = []
    for number, stage in enumerate(ordered[:DRAWN], 1):
        name, closed = f"concepts-{number}", stage.name != first
        tabs.append(_tabs(context, stage, name, folded=closed))
        shown += _galleries(stage, experiment.class_names, name, folded=closed)
        below.append(tables.speaking_table(stage, experiment.class_names, f"speaking-{number}"))
        if closed or len(experiment.class_names) > CLASSES_OPEN:
            folded.append(below[-1].name)
    left = ", ".join(stage.name for stage in ordered[DRAWN:])
    notes = []
    if first != usual:
        notes.append(
            f"Drawn first: {first}. Its slots are the recommended ones: they begin where they learned to "
            "(bilevel), so the same input always has the same concepts."
        )
    if left:
        notes.append(f"Not drawn: {left}; the files explanations.npz of their runs hold the same.")
    return Section("concepts", "Concepts", "Concepts", INTRO, tuple(shown), tuple(below), tuple(folded),
                   tables_first=True, notes=tuple(notes), tabs=tuple(tabs),
                   findings=words.findings(stages))  # fmt: skip


def _rank(experiment: Experiment, stage: ExplainedStage) -> tuple[bool, bool]:
    """Return what puts recommended slots first: those of CCT with a learned start, guided by annotations."""
    settings = experiment.settings(stage.name)
    network = settings.get("network") or {}
    kind, source = str(network.get("type", "")), network.get("source", "bilevel")
    slots = kind.rpartition(".")[2] == "ConceptTransformer" and source == "bilevel"
    objectives = [one or {} for one in (settings.get("distiller") or {}).values()]
    guided = any(str(one.get("type", "")) == "ConceptExplanation" for one in objectives)
    return not slots, slots and not guided


def _tabs(context: ReportContext, stage: ExplainedStage, name: str, *, folded: bool) -> Tabs:
    told, experiment = stage.first, context.experiment
    run = told.run
    shape = next(iter(told.explanations.inputs.values())).shape
    made = len(run.record.data.input_shape) < 2
    what = "image" if len(shape) == 3 else "signal"
    seen = f" The network reads a vector that was made from the {what}." if made else ""
    which = words.which(told.explanations, experiment.fold_names[run.fold], run.seed)
    tabs = tuple(
        _tab(told, account, experiment.class_names, context.axis(shape), f"{name}-{i}")
        for i, account in enumerate(told.accounts, 1)
    )
    title = f"{stage.name}: why, sample by sample ({modality(run.record.data.modality)})"
    return Tabs(name, title, f"{which}{seen} {words.meaning(stage)}", tabs, folded)


def _tab(
    told: ExplainedRun, account: Account, classes: Sequence[str], axis: SignalAxis, name: str
) -> Tab:
    picture = told.explanations.inputs[account.sample]
    sentences = words.sample(account, classes, picture.shape, axis)
    drawing = figures.sample(account, picture, classes, axis, f"{name}-moved")
    table = tables.part_table(account, classes, picture.shape, axis, f"{name}-parts")
    return Tab(
        classes[account.label],
        "right" if account.right else f"taken for {classes[account.first]}",
        account.right,
        icon(picture),
        f"Sample {account.sample}",
        sentences,
        Figure(drawing, "", words.seen(account, picture.ndim)),
        table,
    )


def _galleries(
    stage: ExplainedStage, classes: Sequence[str], name: str, *, folded: bool
) -> Iterator[Figure]:
    explanations = stage.first.explanations
    for key, stream in explanations.streams.items():
        many, shown = len(stream.names), len(stream.shown)
        some = f"The {shown} of {many} concepts" if shown < many else "The concepts"
        caption = (
            f"{some} that move classes most, and of {explanations.scored} validation samples those that are most "
            "about them (attention, or similarity, over all places), with their true class. “Moves”: how far a "
            "concept moves the true class away from its strongest rival, mean of the absolute value."
            f"{words.bright(stream)} The same run as above."
        )
        several = f", {key}" if len(explanations.streams) > 1 else ""
        title = f"{stage.name}: what each concept looks like{several}"
        drawn = gallery(explanations, key, classes, f"{name}-gallery-{key}")
        yield Figure(drawn, title, caption, folded)
