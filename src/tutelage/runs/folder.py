"""The record of one run and whether its folder is whole; nothing here trains, so nothing here needs torch."""

import importlib.metadata
import json
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tutelage.errors import UserError
from tutelage.runs.logs import EPOCH
from tutelage.runs.records import (
    EVALUATIONS,
    RUN,
    RUN_KEYS,
    Evaluation,
    Failure,
    RunRecord,
    Split,
)
from tutelage.runs.schema import content_of, parse, read, read_lines, write

__all__ = [
    "checkpoint_of",
    "code_version",
    "evaluation_of",
    "fail_run",
    "is_usable",
    "known_record",
    "lost_files",
    "now",
    "read_evaluations",
    "read_record",
    "write_record",
]


def read_record(folder: Path) -> RunRecord | None:
    """Return ``run.json`` of a run folder, or None where there is none.

    Raises:
        UserError: the file is cut, or a field of it is missing or wrong.
    """
    path = folder / "run.json"
    if not path.is_file():
        return None
    text = content_of(path)
    record = parse(RUN, text, str(path))
    every = json.loads(text)
    return replace(record, unknown={key: every[key] for key in every if key not in RUN_KEYS})


def known_record(folder: Path) -> RunRecord | None:
    """Return ``run.json``, or None where there is none that can be read: such a run is run again."""
    try:
        return read_record(folder)
    except UserError:
        return None


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json``."""
    write(RUN, folder / "run.json", record.content)


def fail_run(folder: Path, message: str) -> None:
    """Record that a run stopped for another reason than its numbers; nothing happens where none has begun."""
    record = known_record(folder)
    if record is not None:
        failure = Failure("error", message)
        write_record(folder, replace(record, status="failed", failure=failure, finished=now()))


def read_evaluations(folder: Path) -> dict[Split, Evaluation]:
    """Return ``evaluation.json`` of a run folder.

    Raises:
        UserError: it is missing, cut, or a field of it is missing or wrong.
    """
    return read(EVALUATIONS, folder / "evaluation.json")


def evaluation_of(folder: Path) -> dict[str, Any]:
    """Return ``evaluation.json`` by split as it is written, after every check of it.

    Raises:
        UserError: it is missing, cut, or a field of it is missing or wrong.
    """
    plain: dict[str, Any] = EVALUATIONS.dump_python(read_evaluations(folder), mode="json")
    return plain


def checkpoint_of(folder: Path, split: str = "validation") -> Path:
    """Return the file of the network that was selected on a split."""
    return folder / ("best.safetensors" if split == "validation" else f"best-{split}.safetensors")


def lost_files(folder: Path, record: RunRecord) -> tuple[str, ...]:
    """Say what a complete run has lost; each is one sentence that names the file."""
    return tuple(filter(None, (_lost_evaluation(folder), _lost_network(folder, record),
                               _lost_log(folder, record))))  # fmt: skip


def is_usable(folder: Path, record: RunRecord) -> bool:
    """Return whether a complete run still has its evaluation and its network; else it is run again."""
    return not _lost_evaluation(folder) and not _lost_network(folder, record)


def _lost_evaluation(folder: Path) -> str:
    try:
        read_evaluations(folder)
    except UserError as error:
        return str(error)
    return ""


def _lost_network(folder: Path, record: RunRecord) -> str:
    path = checkpoint_of(folder)
    if not record.data.n_validation and not path.is_file():  # what was never validated on
        path = checkpoint_of(folder, "test") if checkpoint_of(folder, "test").is_file() else path
    if path.is_file() and path.stat().st_size:
        return ""
    return f"{path.name} is {'empty' if path.is_file() else 'missing'}"


def _lost_log(folder: Path, record: RunRecord) -> str:
    """Say how ``metrics.jsonl`` is not one line for each epoch."""
    epochs = record.epochs
    if epochs is None:
        return ""
    try:
        logged = [epoch.epoch for epoch in read_lines(EPOCH, folder / "metrics.jsonl")]
    except UserError as error:
        return str(error)
    if logged == list(range(epochs)):
        return ""
    missing = sorted(set(range(epochs)) - set(logged))
    if missing:
        return f"metrics.jsonl has {len(set(logged))} of {epochs} epochs (epoch {missing[0] + 1} is missing)"
    return f"metrics.jsonl has {len(logged)} lines for {epochs} epochs, or they are out of order"


def code_version() -> dict[str, Any]:
    """Return version, and commit where the package is run from a checkout of its repository."""
    here = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here), *words],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--", str(here.parent)) if commit else None
    return {
        "version": importlib.metadata.version("tutelage"),
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
    }


def now() -> str:
    """Return the time in UTC, as records have it."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
