"""What is said of embeddings."""

from collections.abc import Sequence

from tutelage.report.panels.embedding.data import StageMap, maps, mean_score, score_values
from tutelage.report.panels.embedding.figures import DOTS
from tutelage.report.wording import listed, minus
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import PairedDifference, paired_difference

__all__ = ["NAMES", "TABLE", "caption", "intro", "notes"]

NAMES = {"v_score": "V-score", "homogeneity": "homogeneity", "completeness": "completeness"}
TABLE = (
    "Clusters of k-means on the last features against the classes, mean over folds of the mean over seeds. "
    "Homogeneity: a cluster holds one class; completeness: a class lies in one cluster; V-score: their harmonic "
    "mean. 95 % interval over folds (new people), or the seeds of a single one (this split)."
)


def intro(experiment: Experiment, stages: Sequence[str]) -> str:
    """Say what was done."""
    shown = maps(experiment, stages)
    kinds = dict[str, list[str]]()
    for one in shown:
        header = one.found.header
        kinds.setdefault(f"{header.feature} of {header.width} numbers", []).append(one.stage)
    what = "".join(f" {kind}: {listed(names)}." for kind, names in kinds.items())
    count = f"{len(shown[0].found.index):,} test samples" if shown else "test samples"
    return (
        f"The last features of trained networks on the same {count}, which nobody was trained on.{what} The "
        "scores are of all these numbers, not of the maps."
    )


def caption(experiment: Experiment, shown: Sequence[StageMap]) -> str:
    """Say what the maps are."""
    fold = experiment.fold_names[shown[0].fold]
    seeds = listed([str(seed) for seed in sorted({one.seed for one in shown})])
    few = (
        f" {DOTS} of {len(shown[0].found.index):,} samples are drawn."
        if len(shown[0].found.index) > DOTS
        else ""
    )
    return (
        f"One run of each stage, {fold}, seed {seeds}; colour and shape: the true class. t-SNE keeps "
        f"neighbours, not distances: sizes of groups and gaps between them mean nothing. V: V-score of this "
        f"run.{few}"
    )


def notes(experiment: Experiment, stages: Sequence[str], best: str | None) -> tuple[str, ...]:
    """Say which stage falls into classes best, and whether the best student does more so than the baseline."""
    values = {stage: score_values(experiment, stage, "v_score") for stage in stages}
    top = max(stages, key=lambda stage: mean_score(values[stage]).mean)
    said = [f"Highest mean V-score: {top}, {minus(mean_score(values[top]).mean, 3)}."]
    baseline = experiment.record.baseline
    if best in values and baseline in values and best != baseline:
        difference = paired_difference(values[best], values[baseline])
        if difference.pairs:
            said.append(_difference(best, baseline, difference))
    return tuple(said)


def _difference(best: str, baseline: str, difference: PairedDifference) -> str:
    ends = difference.interval
    between = (
        ""
        if ends is None
        else f" (95 % {minus(ends.low, 3)} to {minus(ends.high, 3)}, {ends.about})"
    )
    return (
        f"V-score of {best} minus {baseline}: {minus(difference.mean, 3)}{between}, {difference.verdict}. "
        "This says how the features lie, not how often the network is right."
    )
