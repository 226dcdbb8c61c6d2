"""Data sets and folds that a process has read, kept for every run that asks for the same ones."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tutelage.data import DataSet
from tutelage.recipe.data_spec import DataSpec, Progress, load_data
from tutelage.recipe.fold import Fold

__all__ = ["DataCache"]


class DataCache:
    """Data sets and folds, each read once for all runs that describe it alike.

    Args:
        home: root of data sets; None for the user's default.
        cache: root of representations.
        progress: called during long preparations.
    """

    def __init__(self, home: Path | None, cache: Path, progress: Progress | None = None) -> None:
        self.home, self.cache, self.progress = home, cache, progress
        self.datasets: dict[str, DataSet] = {}
        self.folds: dict[str, Fold] = {}

    def dataset(self, spec: DataSpec) -> DataSet:
        """Return a data set."""
        key = _key(spec.data)
        if key not in self.datasets:
            self.datasets[key] = load_data(spec.data, self.home, self.progress)
        return self.datasets[key]

    def fold(self, spec: DataSpec, number: int) -> Fold:
        """Return one fold of a data set."""
        key = _key(asdict(spec), number)
        if key not in self.folds:
            dataset = self.dataset(spec)
            self.folds[key] = Fold.of(spec, dataset, number, self.cache / "modalities")
        return self.folds[key]


def _key(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True)
