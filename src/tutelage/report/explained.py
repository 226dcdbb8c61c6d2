"""The section on concepts: samples to choose among, what each concept did and what is left without it."""

from collections.abc import Sequence

import numpy as np

from tutelage.report import concept_words, faithful
from tutelage.report.example import ExampleWindow
from tutelage.report.figures import concepts
from tutelage.report.figures.gallery import gallery
from tutelage.report.figures.icon import icon
from tutelage.report.figures.places import Axis
from tutelage.report.section import (
    Choice,
    Figure,
    Panel,
    Section,
)
from tutelage.report.table import (
    Cell,
    Column,
    Row,
    Table,
)
from tutelage.report.tables import EMPTY
from tutelage.report.wording import (
    modality,
    percent,
    plural,
    short,
    signed,
)
from tutelage.runs.concepts import (
    Account,
    Explained,
    Part,
    Told,
    explained,
    probabilities,
    speaking,
)
from tutelage.runs.explanations import Explanations
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import minus
from tutelage.study.comparison import best_student

DRAWN = 3
"""Stages whose samples and galleries are drawn."""
CALLED = 0.05
"""A concept that is not there is called if it did more than this part of what the strongest did."""
CLASSES_OPEN = 20
"""Of more classes the table of concepts by class is folded."""

INTRO = (
    "A score of these networks is a sum over named concepts, so it can be taken apart exactly. Choose a sample: "
    "which concept moved which class, where, how far, and what is predicted without it. “Without” means that the "
    "concept's value is zero while all attention stays; those scores were computed anew by the network, not "
    "subtracted."
)


def section(experiment: Experiment, example: ExampleWindow | None) -> tuple[Section, ...]:
    """Build the section; none where no network explains itself."""
    found = explained(experiment)
    if not found:
        return ()
    best = best_student(experiment)
    stages = [one.stage for one in found]
    first = (
        best if best in stages else next((s for s in stages if s in experiment.students), stages[0])
    )
    ordered = sorted(found, key=lambda one: one.stage != first)
    choices, figures, tables, folded = [], [], [faithful.faithfulness_table(experiment, found)], []
    tables += [table for table in (faithful.area_table(experiment, found),) if table.rows]
    for number, one in enumerate(ordered[:DRAWN], 1):
        axis = _axis(one, example)
        name = f"concepts-{number}"
        choices.append(_choice(experiment, one, axis, name, folded=one.stage != first))
        figures += _galleries(experiment, one, name, folded=one.stage != first)
        tables.append(_speaking(experiment, one, f"speaking-{number}"))
        if one.stage != first or len(experiment.class_names) > CLASSES_OPEN:
            folded.append(tables[-1].name)
    notes: tuple[str, ...] = ()
    if len(ordered) > DRAWN:
        names = ", ".join(one.stage for one in ordered[DRAWN:])
        notes = (f"Not drawn: {names}; the files explanations.npz of their runs hold the same.",)
    return (
        Section("concepts", "Concepts", "Concepts", INTRO, tuple(figures), tuple(tables), tuple(folded),
                tables_first=True, notes=notes, choices=tuple(choices)),
    )  # fmt: skip


def _axis(one: Explained, example: ExampleWindow | None) -> Axis:
    """Rate and channel names of the example window, where it is of the same shape as what is shown."""
    shape = next(iter(one.told.found.inputs.values())).shape
    if example is None or example.signal.shape != shape:
        return Axis()
    return Axis(example.rate, example.channel_names)


def _choice(
    experiment: Experiment, one: Explained, axis: Axis, name: str, *, folded: bool
) -> Choice:
    told, classes = one.told, experiment.class_names
    accounts = told.accounts
    own = modality(told.run.record.data.modality)
    shape = next(iter(told.found.inputs.values())).shape
    made = len(told.run.record.data.input_shape) < 2
    seen = (
        f" The network reads a vector that was made from the {'image' if len(shape) == 3 else 'signal'}."
        if made
        else ""
    )
    caption = (
        f"{concept_words.which(told.found, experiment.fold_names[told.run.fold], told.run.seed)}{seen} "
        f"{concept_words.meaning(one)}"
    )
    panels = tuple(
        _panel(told, account, classes, axis, f"{name}-{i}") for i, account in enumerate(accounts, 1)
    )
    return Choice(name, f"{one.stage}: why, sample by sample ({own})", caption, panels, folded)


def _panel(told: Told, account: Account, classes: Sequence[str], axis: Axis, name: str) -> Panel:
    picture = told.found.inputs[account.sample]
    sentences = concept_words.sample(account, classes, picture.shape, axis)
    drawing = concepts.sample(account, picture, classes, axis, f"{name}-moved")
    table = _parts(account, classes, picture.shape, axis, f"{name}-parts")
    return Panel(
        classes[account.label],
        "right" if account.right else f"taken for {classes[account.first]}",
        account.right,
        icon(picture),
        f"Sample {account.sample}",
        sentences,
        Figure(drawing, "", _seen(account, picture.ndim)),
        table,
    )


def _seen(account: Account, axes: int) -> str:
    grids = {part.space for part in account.parts if len(part.moved) > 1}
    if not grids:
        return "Bars: what each concept added to the score of the prediction, minus what it added to its rival's."
    size = " and ".join(" × ".join(map(str, grid)) for grid in sorted(grids))
    return (
        "Bars: what each concept added to the score of the prediction, minus what it added to its rival's; "
        f"{'maps' if axes == 3 else 'strips'}: the same place by place, {size} places, on one scale. A place sees "
        "more of the input than its own cell: receptive fields reach further."
        + (
            " Outlined: where the data annotate the concept."
            if any(part.marked is not None for part in account.parts)
            else ""
        )
    )


def _parts(
    account: Account, classes: Sequence[str], shape: Sequence[int], axis: Axis, name: str
) -> Table:
    """The parts of one sample's scores; columns sum up to the last row."""
    first, rival = (short(classes[c], 26) for c in (account.first, account.rival))
    known = any(part.present is not None for part in account.parts)
    placed = any(len(part.moved) > 1 for part in account.parts)
    columns = (
        Column("concept", "concept", left=True),
        *([Column("where", "most at", left=True)] if placed else []),
        *(
            [Column("annotated", "annotated", "and how much of it lies there", left=True)]
            if known
            else []
        ),
        Column("to_prediction", "adds to", first),
        Column("to_rival", "adds to", rival),
        Column("score_without", "score without it", first),
        Column("probability_without", "probability without it", f"{first}, %"),
        Column("then", "then predicted", left=True),
    )
    much = CALLED * max(part.total for part in account.parts)
    rows = [
        _part(
            account, part, classes,
            _facts(part, shape, axis, known=known, placed=placed, much=max(much, 0.0)),
        )
        for part in account.parts
    ]  # fmt: skip
    blank = (Cell(""),) * (known + placed)
    if account.many:
        rows.append(_sum(plural(account.many, "other concept"), account.others, blank))
    rows.append(_sum("no concept", account.rest, blank))
    p = float(probabilities(account.logits)[account.first])
    total = Row(
        (
            Cell("score", "score"), *blank,
            *(Cell(minus(value, 2), float(value)) for value in account.scores),
            Cell(""), Cell(percent(p, 0), p), Cell(classes[account.first], classes[account.first]),
        ),
        strong=True,
    )  # fmt: skip
    caption = f"What the prediction of sample {account.sample} is made of. {concept_words.checked([account])}"
    return Table(name, caption, columns, (*rows, total))


def _part(account: Account, part: Part, classes: Sequence[str], facts: Sequence[Cell]) -> Row:
    score = float(part.without[account.first])
    after = float(probabilities(part.without)[account.first])
    now = int(part.without.argmax())
    same = now == account.first
    return Row(
        (
            Cell(part.label, part.label),
            *facts,
            *(Cell(signed(value, 2), float(value)) for value in part.added),
            Cell(minus(score, 2), score),
            Cell(percent(after, 0), after),
            Cell(
                "the same" if same else classes[now], classes[now], tone="quiet" if same else "bad"
            ),
        )
    )


def _facts(
    part: Part, shape: Sequence[int], axis: Axis, *, known: bool, placed: bool, much: float
) -> list[Cell]:
    """Where a concept moved the prediction most, and whether it is annotated there.

    Args:
        part: the concept.
        shape: of the input.
        axis: rate of a signal.
        known: concepts are annotated.
        placed: there is more than one place.
        much: a concept that is not there and adds more than this is called.
    """
    place = concept_words.where(part, shape, axis)
    share = "" if len(part.moved) == 1 else f"{percent(part.share, 0)} % of it"
    found = [Cell(place, place, sub=share)] if placed else []
    return [*found, _annotated(part, much)] if known else found


def _annotated(part: Part, much: float) -> Cell:
    if part.present is None:
        return EMPTY
    if not part.present:
        return Cell("no", "no", tone="bad" if part.total > much else "quiet")
    return Cell(
        "yes" if part.agreed is None else f"{percent(part.agreed, 0)} %",
        "yes" if part.agreed is None else part.agreed,
    )


def _sum(name: str, added: np.ndarray, blank: tuple[Cell, ...]) -> Row:
    numbers = (Cell(signed(value, 2), float(value)) for value in added)
    empty = Cell("")
    return Row((Cell(name, name, tone="quiet"), *blank, *numbers, empty, empty, empty))


def _galleries(experiment: Experiment, one: Explained, name: str, *, folded: bool) -> list[Figure]:
    found, figures = one.told.found, []
    for stream in found.streams:
        drawn = gallery(found, stream, experiment.class_names, f"{name}-gallery-{stream}")
        many, shown = len(found.streams[stream].names), len(found.streams[stream].shown)
        some = f"The {shown} of {many} concepts" if shown < many else "The concepts"
        caption = (
            f"{some} that move classes most, and of {found.scored} validation samples those that are most about "
            "them (attention, or similarity, over all places), with their true class. “Moves”: how far a concept "
            "moves the true class away from its strongest rival, mean of the absolute value."
            f"{_bright(found, stream)} The same run as above."
        )
        several = f", {stream}" if len(found.streams) > 1 else ""
        title = f"{one.stage}: what each concept looks like{several}"
        figures.append(Figure(drawn, title, caption, folded))
    return figures


def _bright(found: Explanations, name: str) -> str:
    """Say what the colours of a gallery mean."""
    stream = found.streams[name]
    if stream.heat is None:
        return ""
    scale = "the share of attention, on one scale for all places and concepts of a sample"
    if len(stream.space) == 1:
        return f" Dark: where it is, {scale}."
    return f" Bright: where it is, {scale}; its lower half is left out."


def _speaking(experiment: Experiment, one: Explained, name: str) -> Table:
    """The concepts that move each class most."""
    found = one.told.found
    most = max(stream.speaking.shape[1] for stream in found.streams.values())
    columns = (
        Column("class", "class", left=True),
        *(
            Column(f"concept_{i + 1}", "strongest" if not i else f"{i + 1}.", left=True)
            for i in range(most)
        ),
    )
    rows = []
    for label, text in enumerate(experiment.class_names):
        named = speaking(found, label)
        cells = [
            Cell(concept, f"{concept}: {value:.6g}", sub=signed(value, 2))
            for concept, value in named
        ]
        rows.append(Row((Cell(text, text), *cells, *[EMPTY] * (most - len(cells)))))
    caption = (
        f"{one.stage}: concepts that move a class most. How far they move it away from its strongest rival, mean "
        f"over its samples among {found.scored} of validation; below zero: towards the rival. The same run as "
        "above."
    )
    return Table(name, caption, columns, tuple(rows))
