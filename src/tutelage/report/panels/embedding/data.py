"""Where networks put the same test samples, and how well that falls into classes, over folds and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.runs.embedding import EmbeddingMaps
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import Interval, paired_difference
from tutelage.statistics.spreads import mean_of_folds

__all__ = ["SCORES", "MeanScore", "StageMap", "looked_stages", "maps", "mean_score", "score_values"]

SCORES = ("v_score", "homogeneity", "completeness")
Values = dict[tuple[str, int], float]


@dataclass(frozen=True)
class StageMap:
    """The map of one network.

    Args:
        stage: of the network.
        fold, seed: of its run.
        found: what its folder holds.
    """

    stage: str
    fold: str
    seed: int
    found: EmbeddingMaps


@dataclass(frozen=True)
class MeanScore:
    """A mean over folds of the mean over seeds, with its interval; None of a single unit."""

    mean: float
    interval: Interval | None
    runs: int


def looked_stages(experiment: Experiment) -> list[str]:
    """Return the stages that were looked at, teachers first."""
    every = (*experiment.teachers, *experiment.students)
    return [stage for stage in every if score_values(experiment, stage, SCORES[0])]


def score_values(experiment: Experiment, stage: str, score: str) -> Values:
    """Return one of ``SCORES`` of every run of a stage that was looked at.

    Raises:
        UnreadableError: a file is damaged.
    """
    found = ((run.key, run.embedding()) for run in experiment.of(stage))
    return {key: _score(one, score) for key, one in found if one is not None}


def mean_score(values: Values) -> MeanScore:
    """Return the mean with the 95 % interval: over folds, or over the seeds of a single one."""
    interval = paired_difference(values, dict.fromkeys(values, 0.0)).interval
    return MeanScore(mean_of_folds(values), interval, len(values))


def maps(experiment: Experiment, stages: Sequence[str]) -> list[StageMap]:
    """Return one map per stage, all of the same samples: of the first fold that has maps, and its first seeds.

    Raises:
        UnreadableError: a file is damaged.
    """
    every = [
        StageMap(stage, run.fold, run.seed, found)
        for stage in stages
        for run in experiment.of(stage)
        if (found := run.embedding()) is not None and found.tsne is not None
    ]
    folds = [fold for fold in experiment.folds if any(one.fold == fold for one in every)]
    first: dict[str, StageMap] = {}
    for one in every:
        if one.fold == folds[0]:
            first.setdefault(one.stage, one)
    return list(first.values())


def _score(found: EmbeddingMaps, score: str) -> float:
    scores = found.header.scores
    return {"v_score": scores.v_score, "homogeneity": scores.homogeneity,
            "completeness": scores.completeness}[score]  # fmt: skip
