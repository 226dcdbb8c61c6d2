"""What is said of similarity maps."""

from tutelage.report.panels.similarity.data import distance
from tutelage.report.wording import listed, significant
from tutelage.runs.ledger import Experiment
from tutelage.runs.similarity import SimilarityMaps

__all__ = ["TABLE", "caption", "intro", "notes"]

TABLE = (
    "Distance of a network's similarity map from the teachers' merged one: mean squared difference of the row-"
    "normalised maps, mean over folds of the mean over seeds; 95 % interval over folds (new people), or "
    "the seeds of a single one."
)


def intro(found: SimilarityMaps) -> str:
    """Say what the maps are."""
    header = found.header
    shares = listed([f"{name} {100 * weight:.3g} %" for name, weight in header.weights.items()])
    whose = f"as {header.source} does" if header.source else "alike, for no stage merges maps"
    first = (
        "normalised and then mixed"
        if header.order == "normalise_then_merge"
        else "mixed and then normalised"
    )
    return (
        f"Rows and columns are the same {len(found.index)} test samples, sorted by class; dark: the network finds "
        "both alike (inner product of their features, rows of unit length). "
        f"Merged: {shares}, weighed {whose}; {first}."
    )


def caption(experiment: Experiment, found: SimilarityMaps) -> str:
    """Say which runs are drawn."""
    header = found.header
    return (
        f"One run of each stage, {experiment.fold_names[header.fold]}, seed {header.seed}; ticks divide the "
        "classes. Below a map: its distance from the merged one. One scale for each row, up to its "
        "99th percentile."
    )


def notes(found: SimilarityMaps) -> tuple[str, ...]:
    """Say which stage that is not merged lies nearest to the merged map."""
    said = []
    for tap in found.header.taps:
        means = {
            stage: mean.mean
            for stage in found.header.stages
            if stage not in found.header.weights and (mean := distance(found, stage, tap))
        }
        if means:
            near = min(means, key=lambda stage: means[stage])
            said.append(f"{tap}: nearest to the merged map is {near}, {significant(means[near])}.")
    return tuple(said)
