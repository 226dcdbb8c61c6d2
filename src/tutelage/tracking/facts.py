"""Run folders -> what trackers are told."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from typing import Any

from tutelage.runs.logs import Epoch
from tutelage.runs.records import RunRecord
from tutelage.runs.run import Run
from tutelage.tracking.base import TrackedRun

__all__ = ["FILES", "facts_of", "flat", "key_of"]

FILES = ("run.json", "metrics.jsonl", "evaluation.json", "best.safetensors")
"""What is stored of a run folder where files are asked for."""
SCORES = ("accuracy", "macro_f1", "nll", "brier", "ece", "classwise_ece", "harmonic_mean")


def flat(content: Mapping[str, Any], above: str = "") -> dict[str, str | int | float | bool]:
    """Return nested settings with dotted names; lists as JSON, and nothing where nothing was set.

    Examples:
        >>> flat({"train": {"epochs": 5, "clip": None}, "teachers": ["wide"]})
        {'train.epochs': 5, 'teachers': '["wide"]'}
    """
    found: dict[str, str | int | float | bool] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{name}.")
        elif isinstance(value, str | int | float | bool):
            found[f"{above}{name}"] = value
        elif value is not None:
            found[f"{above}{name}"] = json.dumps(value, default=str)
    return found


def key_of(record: RunRecord) -> str:
    """Return what a tracker knows a run by; an honest run has the fingerprint of its blind copy."""
    return f"{record.fingerprint}-blind" if record.blind else record.fingerprint


def facts_of(run: Run, experiment: str, *, files: bool) -> TrackedRun:
    """Return what a tracker is told of a run.

    Args:
        run: complete.
        experiment: name of the experiment, or of study and cell, that asked for it.
        files: name its files, too.

    Raises:
        UserError: a line of ``metrics.jsonl`` is damaged.
    """
    record = run.record
    short = f"{run.fingerprint[:10]}{'-blind' if record.blind else ''}"
    return TrackedRun(
        key_of(record), f"{experiment}: {run.stage}, fold {run.fold}, seed {run.seed}, {short}",
        _parameters(record), {epoch.epoch + 1: _values(epoch) for epoch in run.curve()}, _scores(run),
        _tags(run, experiment), _milliseconds(record.started), _milliseconds(record.finished),
        tuple(path for name in FILES if (path := run.folder / name).is_file()) if files else (),
    )  # fmt: skip


def _parameters(record: RunRecord) -> dict[str, str | int | float | bool]:
    data = asdict(record.data)
    told = ("name", "modality", "input_shape", "n_train", "n_validation", "n_test", "n_labelled")
    return flat({
        **(record.config if isinstance(record.config, dict) else {"config": record.config}),
        "seed": record.seed,
        "data": {name: data[name] for name in told},
        "exported": {"network": record.network.type, "parameters": record.network.parameters,
                     "macs": record.network.macs},
    })  # fmt: skip


def _values(epoch: Epoch) -> dict[str, float]:
    """Return the finite numbers of an epoch; those of a split under its name."""
    return dict(_finite(_every(epoch)))


def _every(epoch: Epoch) -> Iterator[tuple[str, float | None]]:
    for split in ("train", "validation", "test"):
        for name, value in getattr(epoch, split).items():
            yield f"{split}/{name}", value
    yield "train/learning_rate", epoch.learning_rate
    for name, trace in epoch.traces.items():
        yield f"traces/{name}", trace.mean
    for name, part in epoch.gradients.items():
        for what, value in asdict(part).items():
            yield f"gradients/{name}/{what}", value


def _scores(run: Run) -> dict[str, float]:
    found = {
        f"final/{split}/{name}": getattr(evaluation, name)
        for split, evaluation in run.evaluations.items()
        for name in SCORES
    }
    record = run.record
    found["final/seconds"] = record.seconds
    found["final/selected_epoch"] = None if record.selected is None else record.selected.epoch + 1
    return dict(_finite(found.items()))


def _finite(values: Any) -> Iterator[tuple[str, float]]:
    for name, value in values:
        if value is not None and isfinite(value):
            yield name, float(value)


def _tags(run: Run, experiment: str) -> dict[str, str]:
    record = run.record
    said = {
        "experiment": experiment, "stage": run.stage, "fold": run.fold, "seed": run.seed,
        "fingerprint": run.fingerprint, "split": record.data.split, "data": record.data.name,
        "synthetic": record.data.synthetic, "teachers": ", ".join(record.teachers),
        "version": record.code.get("version"), "commit": record.code.get("commit"),
        "dirty": record.code.get("dirty"), "folder": run.folder.name,
    }  # fmt: skip
    return {name: str(value) for name, value in said.items() if value not in (None, "")}


def _milliseconds(moment: str | None) -> int:
    return 0 if moment is None else int(1000 * datetime.fromisoformat(moment).timestamp())
