"""Runs that are there already: found by their fingerprints, below the root of all experiments."""

import os
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.files import replacing_folder
from tutelage.runs.folder import is_usable, known_record

if TYPE_CHECKING:
    from tutelage.recipe.resolve import RunSpec

__all__ = ["answers", "find_run", "run_folders", "take_over"]


def find_run(spec: "RunSpec", folder: Path, root: Path) -> Path | None:
    """Return a complete run with this fingerprint: its own folder, or any other below ``root``.

    Two stages that ask for the same network share one run: the signal teacher of a three-teacher recipe
    may be the very student that was trained alone.
    """
    others = run_folders(root, spec.fingerprint[:10])
    return next(
        (path for path in chain([folder / spec.folder], others) if answers(path, spec)), None
    )


def run_folders(root: Path, end: str = "") -> Iterator[Path]:
    """Yield the run folders below ``root``, at any depth, whose names end so."""
    try:
        names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):  # taken away meanwhile
        return
    for name in names:
        if name.startswith("seed-"):
            if name.endswith(end):
                yield root / name
        elif not name.startswith("."):
            yield from run_folders(root / name, end)


def answers(path: Path, spec: "RunSpec") -> bool:
    """Return whether a folder has the network of a run, complete and whole; a blind one only for a blind run."""
    record = known_record(path)
    return (
        record is not None
        and record.fingerprint == spec.fingerprint
        and record.status == "complete"
        and (spec.blind or not record.blind)
        and is_usable(path, record)
    )


def take_over(spec: "RunSpec", path: Path, root: Path) -> None:
    """Begin a run with a copy of a blind one of the same network: only its test split is left to evaluate.

    The blind run stays as it is: whoever chose by it can prove what was not known.

    Args:
        spec: the run, not blind.
        path: its folder; nothing happens if it exists.
        root: of all experiments.
    """
    blind = find_run(spec.blinded(), root, root)
    if spec.blind or blind is None or path.exists():
        return
    with replacing_folder(path) as unfinished:
        shutil.copytree(blind, unfinished, dirs_exist_ok=True)
