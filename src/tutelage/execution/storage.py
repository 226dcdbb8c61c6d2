"""Where runs are kept: writable before anything is prepared, and cleared of what was left half-written."""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.files import remove_abandoned, remove_leftovers
from tutelage.recipe.config import Recipe, parse

__all__ = ["clear_leftovers", "own_name", "refuse_unwritable"]

_OLD = 3600.0  # seconds after which a half-written file of a cache is nobody's


def refuse_unwritable(runs: Path) -> None:
    """Refuse a folder that cannot keep runs.

    Raises:
        UserError: it is a file, a link that leads nowhere, or may not be written.
    """
    if runs.is_symlink() and not runs.exists():
        raise UserError(f"--runs {runs}: found a link that leads nowhere; allowed: a folder")
    there = next(path for path in (runs, *runs.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--runs {runs}: {there} is a file; allowed: a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"--runs {runs}: {there} may not be written; allowed: a folder of yours")


def clear_leftovers(cache: Path, folders: Iterable[Path]) -> None:
    """Remove what killed commands have left half-written in the caches and beside the records of experiments.

    Only what a dead process of this machine was writing, or what nobody has touched for an hour: another command
    may be at work there. The folder of a run is cleared by whoever holds the run.
    """
    before = time.time() - _OLD
    caches = [Path(path) for path, _, _ in os.walk(cache)]
    for folder in [*caches, *folders]:
        remove_abandoned(folder)
        remove_leftovers(folder, before)


def own_name(runs: Path, name: str, recipe: Recipe) -> str:
    """Return the name of an experiment's folder: an edited recipe does not take that of the recipe it was.

    Args:
        runs: root of all experiments.
        name: that the file suggests.
        recipe: what will be carried out.
    """
    path = runs / name / "experiment.json"
    if not path.is_file():
        return name
    try:
        if parse(Recipe, checkpoint.read_json(path)["resolved"], "") == recipe:
            return name
    except (UserError, KeyError, TypeError):  # of another version, or damaged: it stays as it is
        pass
    content = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"
