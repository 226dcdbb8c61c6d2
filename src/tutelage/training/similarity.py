"""Similarity maps of trained networks on the same test samples, and of their teachers merged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tutelage import losses
from tutelage.data.choosing import classes_in_turn
from tutelage.errors import UserError, unknown
from tutelage.losses.similarity import MergeOrder
from tutelage.objectives import MergedSimilarity
from tutelage.recipe.config import Recipe
from tutelage.recipe.data_spec import Progress
from tutelage.recipe.fold import Fold
from tutelage.recipe.instantiate import build
from tutelage.runs.similarity import MapDistance, SimilarityHeader, SimilarityMaps
from tutelage.seeds import derive
from tutelage.training.looking import LookedAt, hear, test_samples
from tutelage.types import Output

__all__ = ["MAPPED", "Merging", "Trio", "merging_of", "ordered_samples", "similarity_of"]

MAPPED = 60
"""Test samples of a map, sorted by class."""


@dataclass(frozen=True)
class Merging:
    """How teachers' maps are merged.

    Args:
        weights: teacher -> weight.
        taps: features; none where the networks decide.
        order: of merging and normalising.
        source: stage that says so; empty where none does.
    """

    weights: Mapping[str, float]
    taps: tuple[str, ...]
    order: MergeOrder
    source: str


@dataclass(frozen=True)
class Trio:
    """The networks of one fold and seed: teachers and students by stage."""

    fold: str
    seed: int
    networks: Mapping[str, LookedAt]


def merging_of(recipe: Recipe, teachers: Sequence[str]) -> Merging:
    """Return how the first student with ``MergedSimilarity`` merges maps; else all teachers weigh the same.

    Raises:
        UserError: nobody teaches.
    """
    for name in recipe.stages:
        for key, description in recipe.objectives(name).items():
            if description.get("type") == "MergedSimilarity":
                arguments = {k: v for k, v in description.items() if k != "coefficient"}
                made = build("tutelage.objectives", arguments, f"stages.{name}.distiller.{key}",
                             base=MergedSimilarity)  # fmt: skip
                return Merging(made.weights, tuple(made.taps), made.order, name)
    if not teachers:
        raise UserError(
            "look: similarity: no teacher is among the stages (allowed: --stages with one)"
        )
    return Merging(dict.fromkeys(teachers, 1 / len(teachers)), (), "normalise_then_merge", "")


def ordered_samples(data: Fold, most: int) -> NDArray[np.int64]:
    """Return ids of test samples sorted by class, of all classes alike; the same for every network."""
    index = test_samples(data, len(data.split.test))
    rng = np.random.default_rng(derive(0, "look", "similarity", data.split.name))
    chosen = np.sort(classes_in_turn(data.dataset.labels, index, most, rng))
    return chosen[np.argsort(data.dataset.labels[chosen], kind="stable")]


def similarity_of(
    trios: Sequence[Trio], merging: Merging, data: Mapping[str, Fold], progress: Progress
) -> SimilarityMaps:
    """Return the maps of the first fold and seed, and the distances of all.

    Args:
        trios: at least one; each has every teacher that is merged.
        merging: how.
        data: by fold.
        progress: called with a text and the fraction done.
    """
    looked = []
    for number, trio in enumerate(trios, 1):
        looked.append(_look(trio, merging, data[trio.fold]))
        progress("looking at similarity maps", number / len(trios))
    distances = tuple(distance for _, some in looked for distance in some)
    first = looked[0][0]
    return replace(first, header=replace(first.header, distances=distances))


def _look(trio: Trio, merging: Merging, data: Fold) -> tuple[SimilarityMaps, list[MapDistance]]:
    index = ordered_samples(data, MAPPED)
    said = {stage: Output(torch.empty(0), hear(one, index)) for stage, one in trio.networks.items()}
    taps = _taps(said, merging)
    raw = {stage: [losses.gram(one, tap) for tap in taps] for stage, one in said.items()}
    merged = [
        losses.merged_gram(
            [raw[name][t] for name in merging.weights],
            list(merging.weights.values()),
            merging.order,
        )
        for t in range(len(taps))
    ]
    header = SimilarityHeader(1, tuple(said), trio.fold, trio.seed, taps, dict(merging.weights),
                              merging.order, merging.source, ())  # fmt: skip
    labels = data.dataset.labels[index].astype(np.int64)
    maps = np.stack([_directed(some) for some in raw.values()])
    found = SimilarityMaps(header, index, labels, maps, _directed(merged))
    distances = [
        MapDistance(stage, trio.fold, trio.seed, trio.networks[stage].run.fingerprint, tap,
                    float(losses.similarity_maps(own, target).mean()))
        for stage, some in raw.items()
        for tap, own, target in zip(taps, some, merged, strict=True)
    ]  # fmt: skip
    return found, distances


def _directed(grams: Sequence[Tensor]) -> NDArray[np.float64]:
    return losses.row_normalise(torch.stack(list(grams))).double().numpy()


def _taps(said: Mapping[str, Output], merging: Merging) -> tuple[str, ...]:
    """Return the features that are compared: the recipe's, else the stages that all networks have."""
    first = next(iter(said.values())).features
    shared = [name for name in first if all(name in one.features for one in said.values())]
    taps = merging.taps or tuple(name for name in shared if name.startswith("stage"))
    taps = taps or tuple(shared[-1:])
    for stage, one in said.items():
        for tap in taps:
            if tap not in one.features:
                raise unknown(f"look: similarity: {stage}", "feature", tap, one.features)
    if not taps:
        raise UserError(
            "look: similarity: the networks share no feature (--stages leaves some out)"
        )
    return taps
