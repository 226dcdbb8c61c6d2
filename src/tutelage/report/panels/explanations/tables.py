"""Tables that say how far explanations may be believed, over all runs of a stage."""

from collections.abc import Sequence

import numpy as np

from tutelage.report.cells import EMPTY, evidence, interval_cell, mean_cell
from tutelage.report.drawing.sheet import SignalAxis
from tutelage.report.panels.explanations import words
from tutelage.report.panels.explanations.accounts import Account, ConceptPart, probabilities
from tutelage.report.panels.explanations.data import ExplainedStage, Gain, speaking
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.wording import minus, percent, plural, short, signed, significant, tiny
from tutelage.runs.ledger import Experiment

CALLED = 0.05
"""A concept that is not there is called if it did more than this part of what the strongest did."""
RANKINGS = {
    "contribution": "by contribution",
    "attention": "by attention",
    "integrated_gradients": "by integrated gradients",
    "occlusion": "by occlusion",
    "random": "at random",
}


def faithfulness_table(experiment: Experiment, stages: Sequence[ExplainedStage]) -> Table:
    """Whether explanations are true of the network, by stage."""
    streams = dict.fromkeys(name for stage in stages for name in stage.first.explanations.streams)
    right = [
        name
        for name in streams
        if any(stage.values(f"concept_accuracy.{name}") for stage in stages)
    ]
    columns = (
        left("stage", "network"),
        TableColumn("n", "runs"),
        TableColumn("additivity_error", "parts and score", "largest difference"),
        TableColumn("ablation_error", "claim and loss", "largest difference"),
        TableColumn("turned", "turned by the strongest concept", "% of samples"),
        TableColumn("stability", "the same when asked again", "% of samples"),
        *(
            TableColumn(f"concept_accuracy_{name}", "concept accuracy", f"{name}, %")
            for name in right
        ),
    )
    rows = []
    for stage in stages:
        worst = [_worst(experiment, stage, key) for key in ("additivity_error", "ablation_error")]
        keys = ("turned", "stability.top", *(f"concept_accuracy.{name}" for name in right))
        cells = [mean_cell(experiment, stage.name, stage.values(key)) for key in keys]
        count = TableCell(str(len(stage.measured)), len(stage.measured))
        rows.append(Row((stated(stage.name), count, *worst, *cells)))
    samples = [v for stage in stages for v in stage.values("samples").values()]
    many = f" On at most {max(samples):.0f} validation samples of a run." if samples else ""
    caption = (
        "Are the explanations true? Mean over folds of the mean over seeds ± pooled seed SD; differences: the "
        "largest of any run. Parts and score: what all concepts add, beside the score. Claim and loss: what a "
        "concept adds, beside what the score loses without it. Turned: another class is predicted without the "
        "concept that did most for it. Concept accuracy: where the data annotate concepts, the one that is "
        f"attended to most is an annotated one.{many}"
    )
    return Table("faithfulness", caption, columns, tuple(rows))


def _worst(experiment: Experiment, stage: ExplainedStage, key: str) -> TableCell:
    values = stage.values(key)
    if not values:
        return EMPTY
    largest = max(values.values())
    behind = evidence(experiment, stage.name, values, significant)
    return TableCell(tiny(largest), largest, evidence=behind)


def area_table(experiment: Experiment, stages: Sequence[ExplainedStage]) -> Table:
    """Areas under deletion and insertion curves, by the order in which places or concepts go."""
    orders = [name for name in RANKINGS
              if any(stage.values(f"{m}.{name}") for stage in stages for m in words.MEASURES)]  # fmt: skip
    columns = (
        left("stage", "network"),
        left("measure", "what is done"),
        *(TableColumn(name, RANKINGS[name], "area") for name in orders),
        TableColumn("gain", "better than at random", "area, 95 % interval"),
    )
    rows = []
    for measure, (done, good, _) in words.MEASURES.items():
        for stage in stages:
            cells = [
                mean_cell(experiment, stage.name, stage.values(f"{measure}.{name}"), _area)
                for name in orders
            ]
            if any(cell is not EMPTY for cell in cells):
                cells.append(_gain(stage.gain(measure)))
                named = stated(stage.name), TableCell(done, measure, tone="quiet")
                rows.append(Row((*named, *cells), good))
    told = " ".join(words.areas(stages))
    caption = (
        "Area under the probability of the predicted class as places of the input, or concepts, are taken away or "
        "put in, the highest first. At random is the control: the mean of several orders (earlier versions: of "
        "one). The last column is how far contributions beat it: over folds, or the seeds of a single one; with "
        f"fewer than three of them, over samples. {told}"
    )
    return Table("areas", caption, columns, tuple(rows))


def map_table(experiment: Experiment, stages: Sequence[ExplainedStage]) -> Table:
    """What maps of places tell of a change, how steady they are, and on how few places they rest."""
    orders = [name for name in RANKINGS
              if any(stage.values(f"{m}.{name}") for stage in stages for m in words.MAPS)]  # fmt: skip
    columns = (
        left("stage", "network"),
        left("measure"),
        *(TableColumn(name, RANKINGS[name], "value") for name in orders),
    )
    rows = []
    for measure, (told, good) in words.MAPS.items():
        show = percent if measure == "unexplained" else _area
        for stage in stages:
            cells = [
                mean_cell(experiment, stage.name, stage.values(f"{measure}.{name}"), show)
                for name in orders
            ]
            if any(cell is not EMPTY for cell in cells):
                named = stated(stage.name), TableCell(told, measure, tone="quiet")
                rows.append(Row((*named, *cells), good))
    caption = (
        "Maps of places beyond their order. Infidelity: a quarter of the places is blotted out, 32 times at "
        "random; the part of the change of the score that no multiple of the map tells. At random is the control. "
        "Largest sensitivity: how far a map moves at most, relative to its size, among 10 inputs within 0.1 "
        "standard deviations. Sparseness: 0 where all places count the same, near 1 where one has everything; it "
        "says nothing of truth."
    )
    return Table("maps", caption, columns, tuple(rows))


def _gain(gain: Gain | None) -> TableCell:
    if gain is None:
        return EMPTY
    ends = interval_cell(gain.interval, scale=1, digits=3)
    sub = "one random order, too few runs" if gain.interval is None else ends.text
    return TableCell(signed(gain.mean, 3), gain.mean, sub=sub, interval=ends.interval)


def _area(value: float) -> str:
    return minus(value, 3)


def speaking_table(stage: ExplainedStage, classes: Sequence[str], name: str) -> Table:
    """The concepts that move each class most."""
    explanations = stage.first.explanations
    most = max(stream.speaking.shape[1] for stream in explanations.streams.values())
    columns = (
        left("class"),
        *(
            TableColumn(f"concept_{i + 1}", "strongest" if not i else f"{i + 1}.", left=True)
            for i in range(most)
        ),
    )
    rows = []
    for label, text in enumerate(classes):
        named = speaking(explanations, label)
        cells = [
            TableCell(concept, f"{concept}: {value:.6g}", sub=signed(value, 2))
            for concept, value in named
        ]
        rows.append(Row((stated(text), *cells, *[EMPTY] * (most - len(cells)))))
    caption = (
        f"{stage.name}: concepts that move a class most. How far they move it away from its strongest rival, mean "
        f"over its samples among {explanations.scored} of validation; below zero: towards the rival. The same run "
        "as above."
    )
    return Table(name, caption, columns, tuple(rows))


def part_table(
    account: Account, classes: Sequence[str], shape: Sequence[int], axis: SignalAxis, name: str
) -> Table:
    """The parts of one sample's scores; columns sum up to the last row."""
    first, rival = (short(classes[c], 26) for c in (account.first, account.rival))
    known = any(part.present is not None for part in account.parts)
    placed = any(part.placed for part in account.parts)
    columns = (
        left("concept"),
        *([left("where", "most at")] if placed else []),
        *([left("annotated", "annotated", "and how much of it lies there")] if known else []),
        TableColumn("to_prediction", "adds to", first),
        TableColumn("to_rival", "adds to", rival),
        TableColumn("score_without", "score without it", first),
        TableColumn("probability_without", "probability without it", f"{first}, %"),
        left("then", "then predicted"),
    )
    much = CALLED * max(part.total for part in account.parts)
    rows = [
        _part(
            account, part, classes,
            _facts(part, shape, axis, known=known, placed=placed, much=max(much, 0.0)),
        )
        for part in account.parts
    ]  # fmt: skip
    blank = (TableCell(""),) * (known + placed)
    if account.many:
        rows.append(_sum(plural(account.many, "other concept"), account.others, blank))
    rows.append(_sum("no concept", account.rest, blank))
    p = float(probabilities(account.logits)[account.first])
    total = Row(
        (
            stated("score"), *blank,
            *(TableCell(minus(value, 2), float(value)) for value in account.scores),
            TableCell(""), TableCell(percent(p, 0), p), TableCell(classes[account.first], classes[account.first]),
        ),
        strong=True,
    )  # fmt: skip
    caption = (
        f"What the prediction of sample {account.sample} is made of. {words.checked([account])}"
    )
    return Table(name, caption, columns, (*rows, total))


def _part(
    account: Account, part: ConceptPart, classes: Sequence[str], facts: Sequence[TableCell]
) -> Row:
    score = float(part.without[account.first])
    after = float(probabilities(part.without)[account.first])
    now = int(part.without.argmax())
    same = now == account.first
    return Row(
        (
            stated(part.label),
            *facts,
            *(TableCell(signed(value, 2), float(value)) for value in part.added),
            TableCell(minus(score, 2), score),
            TableCell(percent(after, 0), after),
            TableCell(
                "the same" if same else classes[now], classes[now], tone="quiet" if same else "bad"
            ),
        )
    )


def _facts(
    part: ConceptPart,
    shape: Sequence[int],
    axis: SignalAxis,
    *,
    known: bool,
    placed: bool,
    much: float,
) -> list[TableCell]:
    """Where a concept moved the prediction most, and whether it is annotated there.

    Args:
        part: the concept.
        shape: of the input.
        axis: rate of a signal.
        known: concepts are annotated.
        placed: there is more than one place.
        much: a concept that is not there and adds more than this is called.
    """
    text = words.where(part, shape, axis)
    share = (
        f"{'at most ' if part.even else ''}{percent(part.share, 0)} % of it" if part.placed else ""
    )
    cells = [stated(text, share)] if placed else []
    return [*cells, _annotated(part, much)] if known else cells


def _annotated(part: ConceptPart, much: float) -> TableCell:
    if part.present is None:
        return EMPTY
    if not part.present:
        return TableCell("no", "no", tone="bad" if part.total > much else "quiet")
    return TableCell(
        "yes" if part.agreed is None else f"{percent(part.agreed, 0)} %",
        "yes" if part.agreed is None else part.agreed,
    )


def _sum(name: str, added: np.ndarray, blank: tuple[TableCell, ...]) -> Row:
    numbers = (TableCell(signed(value, 2), float(value)) for value in added)
    empty = TableCell("")
    return Row((stated(name, tone="quiet"), *blank, *numbers, empty, empty, empty))
