"""Runs that are there already: found by their fingerprints, below the root of all experiments."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from tutelage.recipe.resolve import Job
from tutelage.runs.folder import read_record

__all__ = ["answers", "find_run", "run_folders", "take_over"]


def find_run(job: Job, folder: Path, root: Path) -> Path | None:
    """Return a complete run with this fingerprint: the job's own folder, or any other below ``root``.

    Two stages that ask for the same network share one run: the signal teacher of a three-teacher recipe
    may be the very student that was trained alone.
    """
    others = run_folders(root, job.fingerprint[:10])
    return next(
        (p for p in chain([folder / job.folder], others) if answers(read_record(p), job)), None
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


def answers(record: Mapping[str, Any] | None, job: Job) -> bool:
    """Return whether a record is that of the job's network, complete; of a blind run only for a blind job."""
    return (
        record is not None
        and record["fingerprint"] == job.fingerprint
        and record["status"] == "complete"
        and (job.blind or not record.get("blind", False))
    )


def take_over(job: Job, path: Path, root: Path) -> None:
    """Begin a run with a copy of a blind one of the same network: only its test split is left to evaluate.

    The blind run stays as it is: whoever chose by it can prove what was not known.

    Args:
        job: the run, not blind.
        path: its folder; nothing happens if it exists.
        root: of all experiments.
    """
    blind = find_run(replace(job, blind=True), root, root)
    if job.blind or blind is None or path.exists():
        return
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(blind, part)
    part.rename(path)
