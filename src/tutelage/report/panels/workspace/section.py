"""The section on workspaces of slots: every way of predicting, and which slot binds what from whom."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tutelage.report.cells import (
    EMPTY,
    Metric,
    Values,
    accuracy,
    difference_cell,
    mean_cell,
    paired,
)
from tutelage.report.context import ReportContext
from tutelage.report.drawing.epochs import Look
from tutelage.report.panels.workspace import figures, positions, words
from tutelage.report.panels.workspace.data import Workspace, modes, stages_with_modes, workspaces
from tutelage.report.section import Figure, Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left
from tutelage.report.wording import plural
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Evaluation, Split, Variant

Quality = Callable[[Evaluation | Variant], float]

MEANING = {
    "initial_slots": "the slots as they were learned",
    "ema_slots": "the average of the refined slots",
    "plain": "no slots",
    "deployed": "as the network is exported",
}

INTRO = (
    "A few slots stand between the student's last stage and its head. In training the teachers refine them and "
    "the student reads them; a prediction has no teachers. How much each teacher counts stands under Trust in "
    "teachers."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no stage has slots."""
    experiment = context.experiment
    every = workspaces(experiment)
    stages = list(
        dict.fromkeys((*stages_with_modes(experiment), *(workspace.stage for workspace in every)))
    )
    if not stages:
        return None
    first = context.best if context.best in [workspace.stage for workspace in every] else stages[0]
    shown: list[Figure] = []
    # The best student's figures stand open on top, those of other stages folded below.
    for number, workspace in enumerate(
        sorted(every, key=lambda workspace: workspace.stage != first), 1
    ):
        several = sum(other.stage == workspace.stage for other in every) > 1
        title = f"{workspace.stage}, {workspace.objective}" if several else workspace.stage
        name = f"workspace-{number}-{workspace.stage}"
        mine = (*_over_epochs(workspace, context.look, name), *_by_class(context, workspace, name),
                *_positions(context, workspace, name))  # fmt: skip
        shown += [replace(figure, title=f"{title}: {figure.title}", folded=workspace.stage != first)
                  for figure in mine]  # fmt: skip
    table = modes_table(experiment, every, stages)
    return Section("workspace", "Inside the workspace", "Workspace", INTRO, tuple(shown), (table,),
                   tables_first=True)  # fmt: skip


def modes_table(
    experiment: Experiment, workspaces: tuple[Workspace, ...], stages: list[str]
) -> Table:
    """Accuracy of every way of predicting, deployed or not, and with the teachers."""
    columns = (
        left("reads", "a prediction reads"),
        TableColumn("n", "runs"),
        TableColumn("validation", "validation accuracy", "%, ± pooled seed SD"),
        TableColumn("test", "test accuracy", "%, ± pooled seed SD"),
        TableColumn("macro_f1", "test macro-F1", "%"),
        TableColumn("difference", "test, minus deployed", "points, 95 % interval"),
    )
    rows = []
    for stage in stages:
        deployed, others = modes(experiment, stage)
        for mode in (deployed, *others):
            rows.append(_mode(experiment, stage, mode, mode == deployed))
        rows += [
            _taught(experiment, workspace)
            for workspace in workspaces
            if workspace.stage == stage and workspace.with_teachers
        ]
    caption = (
        "Every way of predicting, same networks and epochs, mean over folds of the mean over seeds ± pooled seed "
        "SD. The strong row is deployed: it decided which epoch is kept, and it is the student "
        "of every other table."
    )
    if any(workspace.with_teachers for workspace in workspaces):
        caption += (
            " With teachers: the slots that the teachers refine, on at most 1000 validation samples after the "
            "last epoch; to be compared, not to be used."
        )
    return Table("modes", caption, columns, tuple(rows))


def _mode(experiment: Experiment, stage: str, mode: str, deployed: bool) -> Row:
    def values(metric: Quality, split: Split = "test") -> Values:
        return experiment.values(stage, metric if deployed else _in_mode(mode, metric), split)

    validation, test = values(accuracy, "validation"), values(accuracy)
    shown = (validation, test, values(lambda evaluation: evaluation.macro_f1))
    cells = (mean_cell(experiment, stage, each) for each in shown)
    difference = TableCell("deployed", tone="quiet")
    if not deployed:
        gap = paired(test, experiment.values(stage, accuracy))
        difference = EMPTY if gap is None else difference_cell(gap.mean, gap.interval)
    name = TableCell(mode.replace("_", " "), mode, sub=MEANING.get(mode, ""))
    return Row((name, counted(len(test)), *cells, difference), stage, strong=deployed)


def _in_mode(mode: str, metric: Callable[[Variant], float]) -> Metric:
    """Return a metric of another mode of prediction."""

    def value(evaluation: Evaluation) -> float | None:
        return metric(evaluation.variants[mode]) if mode in evaluation.variants else None

    return value


def _taught(experiment: Experiment, workspace: Workspace) -> Row:
    name = TableCell("with teachers", f"with teachers: {workspace.objective}",
                sub=f"slots refined by {plural(len(workspace.teachers), 'teacher')}")  # fmt: skip
    mean = mean_cell(experiment, workspace.stage, workspace.with_teachers)
    cells = (name, counted(len(workspace.with_teachers)), mean, EMPTY, EMPTY, EMPTY)
    return Row(cells, workspace.stage)


def _over_epochs(workspace: Workspace, look: Mapping[str, Look], name: str) -> tuple[Figure, ...]:
    if not workspace.runs:
        return ()
    caption = (
        f"Line: mean over {plural(workspace.runs, 'run')}; band: lowest to highest. Training samples unless it "
        "says validation. Slots in use: so many slots, all used alike, would be as uneven. "
        f"{words.over_epochs(workspace)}"
    )
    return (Figure(figures.over_epochs(workspace, look, name), "over epochs", caption),)


def _by_class(context: ReportContext, workspace: Workspace, name: str) -> tuple[Figure, ...]:
    slots = workspace.slots
    if slots is None:
        return ()
    shown, many = len(figures.classes_shown(slots)), len(set(slots.samples.labels.tolist()))
    some = f" Of {many} classes the {shown} that use slots most unlike the others."
    caption = (
        "Percent of the tokens that choose a slot, one column each, mean over the samples of a class."
        f"{some if shown < many else ''} {words.shares(slots)} "
        f"{words.which(slots, context.experiment.fold_names[slots.run.fold])}"
    )
    drawn = figures.heat(slots, context.look, f"{name}-classes")
    return (Figure(drawn, "which slot binds which class, from which teacher", caption),)


def _positions(context: ReportContext, workspace: Workspace, name: str) -> tuple[Figure, ...]:
    slots = workspace.slots
    if slots is None or not positions.sources(slots):
        return ()
    signal = slots.samples.inputs.ndim == 3
    what, scale = (
        ("a window", ", a channel on one scale in all windows") if signal else ("an image", "")
    )
    caption = (
        f"Top: what the student reads{scale}. Below, a row or a map for each slot: where in the last stage the "
        f"tokens that chose it are active. {words.positions(slots)} The same run as above."
    )
    drawn = positions.windows(
        slots, context.axis(slots.samples.inputs.shape[1:]), f"{name}-windows"
    )
    shown = [Figure(drawn, f"which slot binds which part of {what}", caption)]
    mean = positions.over_time(slots, f"{name}-time")
    if mean is not None:
        caption = (
            f"The student's slots, mean over the samples of a class. {words.over_time(slots)} "
            "The same run as above."
        )
        shown.append(Figure(mean, f"{'when in' if signal else 'where in'} {what}", caption))
    return tuple(shown)
