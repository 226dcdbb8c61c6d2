"""Which runs cost the same: they differ in seed, fold and coefficients, but not in what is computed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tutelage.execution.queue import Task
from tutelage.recipe.config import Recipe

__all__ = ["kind_of"]

_FREE = {"coefficient", "learning_rate", "published", "seed", "temperature", "weights"}
"""Keys whose value does not change what is computed, only the numbers that come out."""


def kind_of(task: Task) -> str:
    """Return the hash of everything the time of a step depends on, but the machine."""
    recipe, name = task.recipe, task.job.stage
    stage = recipe.stages[name]
    train = recipe.train_of(name).model_dump(exclude={"epochs", "learning_rate"})
    parts = [
        recipe.data, recipe.split, recipe.protocol, _network(recipe, name),
        [_network(recipe, teacher) for teacher in stage.teachers], stage.start_from is not None,
        recipe.distiller_of(name), train, recipe.crop_of(name),
        stage.model_dump(include={"classes", "train_classes", "shots", "unlabelled"}),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(_plain(parts), sort_keys=True).encode()).hexdigest()[:16]


def _network(recipe: Recipe, name: str) -> list[Any]:
    own = recipe.stages[name].input
    return [recipe.network_of(name), own and recipe.modalities.get(own, own)]


def _plain(value: Any) -> Any:
    """Return a description without what is only a number of the method."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key not in _FREE}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return 0.0 if isinstance(value, float) else value
