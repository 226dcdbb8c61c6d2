"""Where runs are kept: writable before anything is prepared, and cleared of what was left half-written."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.files import remove_abandoned, remove_leftovers

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


def own_name(
    record: Path, name: str, content: Mapping[str, Any], read: Callable[[Any], object]
) -> str:
    """Return the name of the folder of a file: an edited file does not take that of the file it was.

    Args:
        record: what stands in the folder of the name that the file suggests; its ``resolved`` says of what.
        name: that the file suggests.
        content: what will be carried out, as JSON has it.
        read: makes of such content what is compared, with what it does not state.
    """
    if not record.is_file():
        return name
    try:
        if read(checkpoint.read_json(record)["resolved"]) == read(content):
            return name
    except (UserError, KeyError, TypeError):  # of another version, or damaged: it stays as it is
        pass
    text = json.dumps(content, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
