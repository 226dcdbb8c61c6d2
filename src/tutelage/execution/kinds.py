"""Which runs cost the same: they differ in seed, fold and coefficients, but not in what is computed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tutelage.recipe.resolve import RunSpec

__all__ = ["kind_of"]

_FREE = {
    "coefficient", "labelled", "learning_rate", "published", "seed", "shots", "shown", "temperature", "weights"
}  # fmt: skip
"""Keys whose value does not change what is computed, only the numbers that come out."""


def kind_of(spec: RunSpec) -> str:
    """Return the hash of everything the time of a step depends on, but the machine."""
    parts = [
        spec.data.data, spec.data.split, spec.data.protocol, _network(spec),
        [_network(teacher) for teacher in spec.teachers.values()], spec.start is not None,
        spec.distiller, spec.train.model_dump(exclude={"epochs", "epoch_samples", "learning_rate"}), spec.crop,
        list(spec.classes), spec.options(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(_plain(parts), sort_keys=True).encode()).hexdigest()[:16]


def _network(spec: RunSpec) -> list[Any]:
    return [spec.network, spec.data.modalities.get(spec.modality, spec.modality)]


def _plain(value: Any) -> Any:
    """Return a description without what is only a number of the method."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key not in _FREE}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return 0.0 if isinstance(value, float) else value
