"""What the method of a run is, whatever its numbers: two cells of one method may be averaged, others never."""

import json
from collections.abc import Mapping

from tutelage.runs.run import Run

__all__ = ["method_of"]


def method_of(run: Run) -> str:
    """Return what a run's method is: objectives, their parts and its teachers, whatever their numbers."""
    config = run.record.config if isinstance(run.record.config, dict) else {}
    shape = {"distiller": _types(config.get("distiller")), "teachers": sorted(run.record.teachers)}
    return json.dumps(shape, sort_keys=True)


def _types(content: object) -> object:
    """Return a description with everything but names of classes and keys taken out."""
    if isinstance(content, Mapping):
        return {key: value if key == "type" else _types(value) for key, value in content.items()}
    return [_types(item) for item in content] if isinstance(content, list) else None
