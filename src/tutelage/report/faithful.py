"""Tables that say how far explanations may be believed, over all runs of a stage."""

from collections.abc import Sequence

from tutelage.report import concept_words
from tutelage.report.table import (
    Cell,
    Column,
    Row,
    Table,
)
from tutelage.report.tables import EMPTY, evidence, mean_cell
from tutelage.report.wording import significant, tiny
from tutelage.runs.concepts import Explained
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import minus

RANKINGS = {
    "contribution": "by contribution",
    "attention": "by attention",
    "integrated_gradients": "by integrated gradients",
    "occlusion": "by occlusion",
    "random": "at random",
}


def faithfulness_table(experiment: Experiment, found: Sequence[Explained]) -> Table:
    """Whether explanations are true of the network, by stage."""
    streams = dict.fromkeys(name for one in found for name in one.told.found.streams)
    right = [
        name for name in streams if any(one.values(f"concept_accuracy.{name}") for one in found)
    ]
    columns = (
        Column("stage", "network", left=True),
        Column("n", "runs"),
        Column("additivity_error", "parts and score", "largest difference"),
        Column("ablation_error", "claim and loss", "largest difference"),
        Column("turned", "turned by the strongest concept", "% of samples"),
        Column("stability", "the same when asked again", "% of samples"),
        *(Column(f"concept_accuracy_{name}", "concept accuracy", f"{name}, %") for name in right),
    )
    rows = []
    for one in found:
        worst = [_worst(experiment, one, key) for key in ("additivity_error", "ablation_error")]
        keys = ("turned", "stability.top", *(f"concept_accuracy.{name}" for name in right))
        cells = [mean_cell(experiment, one.stage, one.values(key)) for key in keys]
        count = Cell(str(len(one.measured)), len(one.measured))
        rows.append(Row((Cell(one.stage, one.stage), count, *worst, *cells)))
    samples = [v for one in found for v in one.values("samples").values()]
    many = f" On at most {max(samples):.0f} validation samples of a run." if samples else ""
    caption = (
        "Are the explanations true? Mean over folds of the mean over seeds ± pooled seed SD; differences: the "
        "largest of any run. Parts and score: what all concepts add, beside the score. Claim and loss: what a "
        "concept adds, beside what the score loses without it. Turned: another class is predicted without the "
        "concept that did most for it. Concept accuracy: where the data annotate concepts, the one that is "
        f"attended to most is an annotated one.{many}"
    )
    return Table("faithfulness", caption, columns, tuple(rows))


def _worst(experiment: Experiment, one: Explained, key: str) -> Cell:
    values = one.values(key)
    if not values:
        return EMPTY
    largest = max(values.values())
    behind = evidence(experiment, one.stage, values, significant)
    return Cell(tiny(largest), largest, evidence=behind)


def area_table(experiment: Experiment, found: Sequence[Explained]) -> Table:
    """Areas under deletion and insertion curves, by the order in which places or concepts go."""
    orders = [name for name in RANKINGS
              if any(one.values(f"{m}.{name}") for one in found for m in concept_words.MEASURES)]  # fmt: skip
    columns = (
        Column("stage", "network", left=True),
        Column("measure", "what is done", left=True),
        *(Column(name, RANKINGS[name], "area") for name in orders),
    )
    rows = []
    for measure, (done, good, _) in concept_words.MEASURES.items():
        for one in found:
            cells = [
                mean_cell(experiment, one.stage, one.values(f"{measure}.{name}"), _area)
                for name in orders
            ]
            if any(cell is not EMPTY for cell in cells):
                named = Cell(one.stage, one.stage), Cell(done, measure, tone="quiet")
                rows.append(Row((*named, *cells), good))
    told = " ".join(concept_words.areas(found))
    caption = (
        "Area under the probability of the predicted class as places of the input, or concepts, are taken away or "
        f"put in, the highest first; at random is the control. {told}"
    )
    return Table("areas", caption, columns, tuple(rows))


def _area(value: float) -> str:
    return minus(value, 3)
