"""Data sets and folds that a process has read, kept for every recipe that asks for the same ones."""

import json
from pathlib import Path
from typing import Any

from tutelage.data import DataSet
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import Fold, Progress, choosing, load_data

__all__ = ["DataCache"]


class DataCache:
    """Data sets and folds, each read once for all recipes that describe it alike.

    Args:
        home: root of data sets; None for the user's default.
        cache: root of representations.
        progress: called during long preparations.
    """

    def __init__(self, home: Path | None, cache: Path, progress: Progress | None = None) -> None:
        self.home, self.cache, self.progress = home, cache, progress
        self.datasets: dict[str, DataSet] = {}
        self.folds: dict[str, Fold] = {}

    def dataset(self, recipe: Recipe) -> DataSet:
        """Return the data set of a recipe."""
        key = _key(recipe.data)
        if key not in self.datasets:
            self.datasets[key] = load_data(recipe, self.home, self.progress)
        return self.datasets[key]

    def fold(self, recipe: Recipe, number: int) -> Fold:
        """Return one fold of a recipe."""
        # All that decides a fold, or whether it is refused.
        key = _key(
            recipe.data, recipe.split, recipe.modalities, recipe.standardise, recipe.protocol,
            bool(choosing(recipe)), number,
        )  # fmt: skip
        if key not in self.folds:
            dataset = self.dataset(recipe)
            self.folds[key] = Fold.of(recipe, dataset, number, self.cache / "modalities")
        return self.folds[key]


def _key(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True)
