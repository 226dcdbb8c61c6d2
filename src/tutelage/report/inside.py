"""The section on workspaces of slots: every way of predicting, and which slot binds what from whom."""

from collections.abc import Mapping
from dataclasses import replace

from tutelage.report import slot_words
from tutelage.report.example import ExampleWindow
from tutelage.report.figures import places, workspace
from tutelage.report.figures.courses import Look
from tutelage.report.section import Figure, Section
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
)
from tutelage.report.wording import percent, plural, signed
from tutelage.runs.ledger import Experiment
from tutelage.runs.records import Evaluation, Split
from tutelage.runs.workspace import (
    Slots,
    Workspace,
    modes,
    stages_with_modes,
    workspaces,
)
from tutelage.statistics.paired import paired_difference
from tutelage.study.comparison import best_student

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


def section(
    experiment: Experiment, look: Mapping[str, Look], example: ExampleWindow | None
) -> tuple[Section, ...]:
    """Build the section; none where no stage has slots."""
    found = workspaces(experiment)
    stages = list(dict.fromkeys((*stages_with_modes(experiment), *(one.stage for one in found))))
    if not stages:
        return ()
    best = best_student(experiment)
    first = best if best in [one.stage for one in found] else stages[0]
    figures: list[Figure] = []
    # The best student's figures stand open on top, those of other stages folded below.
    for number, one in enumerate(sorted(found, key=lambda one: one.stage != first), 1):
        several = sum(other.stage == one.stage for other in found) > 1
        title = f"{one.stage}, {one.objective}" if several else one.stage
        name = f"workspace-{number}-{one.stage}"
        mine = (*_over_epochs(one, look, name), *_by_class(experiment, one, look, name),
                *_places(one, example, name))  # fmt: skip
        figures += [replace(figure, title=f"{title}: {figure.title}", folded=one.stage != first)
                    for figure in mine]  # fmt: skip
    table = modes_table(experiment, found, stages)
    return (
        Section("workspace", "Inside the workspace", "Workspace", INTRO, tuple(figures), (table,),
                tables_first=True),
    )  # fmt: skip


def modes_table(experiment: Experiment, found: tuple[Workspace, ...], stages: list[str]) -> Table:
    """Accuracy of every way of predicting, deployed or not, and with the teachers."""
    columns = (
        Column("reads", "a prediction reads", left=True),
        Column("n", "runs"),
        Column("validation", "validation accuracy", "%, ± pooled seed SD"),
        Column("test", "test accuracy", "%, ± pooled seed SD"),
        Column("macro_f1", "test macro-F1", "%"),
        Column("difference", "test, minus deployed", "points, 95 % interval"),
    )
    rows = []
    for stage in stages:
        deployed, others = modes(experiment, stage)
        for mode in (deployed, *others):
            rows.append(_mode(experiment, stage, mode, mode == deployed))
        rows += [
            _taught(experiment, one) for one in found if one.stage == stage and one.with_teachers
        ]
    caption = (
        "Every way of predicting, same networks and epochs, mean over folds of the mean over seeds ± pooled seed "
        "SD. The strong row is deployed: its epoch was chosen on validation, and it is the student of every other "
        "table."
    )
    if any(one.with_teachers for one in found):
        caption += (
            " With teachers: the slots that the teachers refine, on at most 1000 validation samples after the "
            "last epoch; to be compared, not to be used."
        )
    return Table("modes", caption, columns, tuple(rows))


def _mode(experiment: Experiment, stage: str, mode: str, deployed: bool) -> Row:
    def read(evaluation: Evaluation, key: str) -> float | None:
        where = evaluation if deployed else evaluation.variants.get(mode)
        return None if where is None else float(getattr(where, key))

    def accuracy(evaluation: Evaluation) -> float | None:
        return read(evaluation, "accuracy")

    splits: tuple[Split, ...] = ("validation", "test")
    validation, test = (metric_cell(experiment, stage, accuracy, split=split) for split in splits)
    macro = metric_cell(experiment, stage, lambda evaluation: read(evaluation, "macro_f1"))
    runs = len(experiment.values(stage, accuracy))
    name = Cell(mode.replace("_", " "), mode, sub=MEANING.get(mode, ""))
    difference = (
        Cell("deployed", tone="quiet") if deployed else _difference(experiment, stage, mode)
    )
    return Row(
        (name, Cell(str(runs), runs), validation, test, macro, difference), stage, strong=deployed
    )


def _difference(experiment: Experiment, stage: str, mode: str) -> Cell:
    mine = experiment.values(
        stage, lambda e: e.variants[mode].accuracy if mode in e.variants else None
    )
    own = experiment.values(stage, lambda e: e.accuracy)
    keys = sorted(mine.keys() & own.keys())
    if not keys:
        return EMPTY
    gap = paired_difference([mine[key] for key in keys], [own[key] for key in keys])
    ends = interval_cell(gap.t)
    return Cell(signed(100 * gap.mean), 100 * gap.mean, sub="" if gap.t is None else ends.text,
                interval=ends.interval)  # fmt: skip


def _taught(experiment: Experiment, found: Workspace) -> Row:
    name = Cell("with teachers", f"with teachers: {found.objective}",
                sub=f"slots refined by {plural(len(found.teachers), 'teacher')}")  # fmt: skip
    runs = Cell(str(len(found.with_teachers)), len(found.with_teachers))
    accuracy = mean_cell(experiment, found.stage, found.with_teachers, percent)
    return Row((name, runs, accuracy, EMPTY, EMPTY, EMPTY), found.stage)


def _over_epochs(found: Workspace, look: Mapping[str, Look], name: str) -> tuple[Figure, ...]:
    if not found.runs:
        return ()
    caption = (
        f"Line: mean over {plural(found.runs, 'run')}; band: lowest to highest. Training samples unless it says "
        "validation. Slots in use: so many slots, all used alike, would be as uneven. "
        f"{slot_words.over_epochs(found)}"
    )
    return (Figure(workspace.over_epochs(found, look, name), "over epochs", caption),)


def _by_class(
    experiment: Experiment, found: Workspace, look: Mapping[str, Look], name: str
) -> tuple[Figure, ...]:
    slots = found.slots
    if slots is None:
        return ()
    shown, many = len(workspace.classes_shown(slots)), len(set(slots.samples.labels.tolist()))
    some = f" Of {many} classes the {shown} that use slots most unlike the others."
    caption = (
        "Percent of the tokens that choose a slot, one column each, mean over the samples of a class."
        f"{some if shown < many else ''} {slot_words.shares(slots)} "
        f"{slot_words.which(slots, experiment.fold_names[slots.run.fold])}"
    )
    drawn = workspace.heat(slots, look, f"{name}-classes")
    return (Figure(drawn, "which slot binds which class, from which teacher", caption),)


def _places(found: Workspace, example: ExampleWindow | None, name: str) -> tuple[Figure, ...]:
    slots = found.slots
    if slots is None or not places.sources(slots):
        return ()
    signal = slots.samples.inputs.ndim == 3
    what, scale = (
        ("a window", ", a channel on one scale in all windows") if signal else ("an image", "")
    )
    caption = (
        f"Top: what the student reads{scale}. Below, a row or a map for each slot: where in the last stage the "
        f"tokens that chose it are active. {slot_words.places(slots)} The same run as above."
    )
    drawn = places.windows(slots, _axis(slots, example), f"{name}-windows")
    figures = [Figure(drawn, f"which slot binds which part of {what}", caption)]
    mean = places.over_time(slots, f"{name}-time")
    if mean is not None:
        caption = (
            f"The student's slots, mean over the samples of a class. {slot_words.over_time(slots)} "
            "The same run as above."
        )
        figures.append(Figure(mean, f"{'when in' if signal else 'where in'} {what}", caption))
    return tuple(figures)


def _axis(slots: Slots, example: ExampleWindow | None) -> places.Axis:
    """Rate and channel names of the example window, where it is of the same shape as what the student reads."""
    if example is None or example.signal.shape != slots.samples.inputs.shape[1:]:
        return places.Axis()
    return places.Axis(example.rate, example.channel_names)
