"""Similarity maps of an experiment that somebody has looked at, and their distances to the merged one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.runs.ledger import Experiment
from tutelage.runs.schema import UnreadableError
from tutelage.runs.similarity import SimilarityMaps, read_similarity
from tutelage.statistics.paired import Interval, paired_difference
from tutelage.statistics.spreads import mean_of_folds

__all__ = ["MeanDistance", "NamedMap", "columns_of", "distance", "known_maps"]


@dataclass(frozen=True)
class NamedMap:
    """A column of the figure: row-normalised maps, [taps, n, n]; ``stage`` None is the merged one."""

    stage: str | None
    maps: NDArray[np.float64]


@dataclass(frozen=True)
class MeanDistance:
    """A mean over folds of the mean over seeds, with its interval; None of a single unit."""

    mean: float
    interval: Interval | None
    runs: int


def known_maps(experiment: Experiment) -> SimilarityMaps | None:
    """Return the maps, or None where nobody has looked.

    Raises:
        UnreadableError: the file is damaged, or of runs that the experiment no longer has.
    """
    found = read_similarity(experiment.folder)
    if found is None:
        return None
    current = {run.fingerprint for run in experiment.runs}
    if not all(one.run in current for one in found.header.distances):
        raise UnreadableError(
            f"{experiment.folder / 'similarity.npz'}: is of other runs; tutelage look makes it anew"
        )
    return found


def columns_of(
    experiment: Experiment, found: SimilarityMaps, shown: tuple[str, ...]
) -> list[NamedMap]:
    """Return what is drawn: teachers, their merged map, students; of the stages that are shown."""
    each = [
        NamedMap(stage, maps)
        for stage, maps in zip(found.header.stages, found.maps, strict=True)
        if stage in shown
    ]
    teachers = [one for one in each if one.stage in found.header.weights]
    rest = [one for one in each if one.stage not in found.header.weights]
    return [*teachers, NamedMap(None, found.merged), *rest]


def distance(found: SimilarityMaps, stage: str, tap: str) -> MeanDistance | None:
    """Return how far the maps of a stage are from the merged ones, over folds and seeds; None where unknown."""
    values = {
        (one.fold, one.seed): one.distance
        for one in found.header.distances
        if (one.stage, one.tap) == (stage, tap)
    }
    if not values:
        return None
    interval = paired_difference(values, dict.fromkeys(values, 0.0)).interval
    return MeanDistance(mean_of_folds(values), interval, len(values))
