"""The folder of one run: written here, read back by the ledger and the report."""

import importlib.metadata
import json
import platform
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tutelage import checkpoint
from tutelage.models import On
from tutelage.recipe.networks import save_network
from tutelage.train import State

__all__ = [
    "RunFolder",
    "Unrecorded",
    "code_version",
    "environment",
    "fail_run",
    "now",
    "read_state",
]


class RunFolder:
    """One run: its record, logs, checkpoints and predictions (``docs/run-folder.md``).

    Args:
        path: the folder; made if it is not there.
        spec: what :func:`~tutelage.recipe.networks.save_network` needs to rebuild the student.
        listen: called with each epoch's row.
    """

    def __init__(self, path: Path, spec: Mapping[str, Any], listen: Any = None) -> None:
        self.path, self.spec, self.listen = path, spec, listen
        path.mkdir(parents=True, exist_ok=True)
        self._events: Any = None

    def begin(self, facts: Mapping[str, Any]) -> State:
        """Write the record of a starting run; return where an earlier sitting stopped, or a fresh state."""
        record = read_record(self.path) or dict(facts) | {
            "status": "running", "failure": None, "finished": None, "seconds": 0.0,
            "selected": None,
        }  # fmt: skip
        if record.get("blind") and not facts.get("blind"):  # a copy: the test split is there now
            record |= {key: facts[key] for key in ("blind", "data", "teachers", "start_from")}
        record |= {"status": "running", "failure": None}
        checkpoint.write_json(self.path / "run.json", record)
        state = read_state(self.path)
        for name in ("metrics.jsonl", "timing.jsonl"):
            self._cut(name, state.epoch)
        from torch.utils.tensorboard import SummaryWriter

        self._events = SummaryWriter(str(self.path), purge_step=state.epoch)
        return state

    def epoch(self, row: dict[str, Any], seconds: float) -> None:
        """Append one epoch to the logs."""
        _append(self.path / "metrics.jsonl", row)
        _append(self.path / "timing.jsonl", {"epoch": row["epoch"], "seconds": round(seconds, 3)})
        for split in ("train", "validation", "test"):
            for name, value in row.get(split, {}).items():
                self._events.add_scalar(f"{name}/{split}", value, row["epoch"])
        if self.listen is not None:
            self.listen(row)

    def traces(self, index: Tensor, traces: Mapping[str, Tensor]) -> None:
        """Keep what objectives recorded of each sample; the latest epoch replaces the one before."""
        part = self.path / "traces.part.npz"
        arrays: dict[str, Any] = {name: values.numpy() for name, values in traces.items()}
        np.savez(part, index=index.numpy(), **arrays)
        part.replace(self.path / "traces.npz")

    def best(
        self, split: str, student: nn.Module, epoch: int, value: float | None, on: str
    ) -> None:
        """Keep the student that is best so far on this split, or the one that training ends with."""
        assert isinstance(student, On)
        chosen = {"epoch": epoch, "on": on, "value": value}
        save_network(self.best_path(split), student, dict(self.spec) | {"selected": chosen})

    def last(self, state: State) -> None:
        """Keep everything needed to go on."""
        checkpoint.write(self.path / "last.safetensors", vars(state))

    def best_path(self, split: str = "validation") -> Path:
        """Return the checkpoint of the student selected on a split."""
        return self.path / (
            "best.safetensors" if split == "validation" else f"best-{split}.safetensors"
        )

    def predictions(
        self, name: str, index: Tensor, labels: Tensor, logits: Tensor, subjects: Any
    ) -> None:
        """Keep what the selected student says of every sample of a split."""
        part = self.path / f"predictions-{name}.part.npz"
        who = np.full(len(index), "", dtype=np.str_) if subjects is None else subjects
        np.savez(
            part, index=index.numpy(), labels=labels.numpy(), logits=logits.numpy(), subjects=who
        )
        part.replace(self.path / f"predictions-{name}.npz")

    def inspection(
        self,
        index: Tensor,
        labels: Tensor,
        examples: Tensor,
        inputs: Tensor,
        found: Mapping[str, Tensor],
    ) -> None:
        """Keep what objectives show of some validation samples.

        Args:
            index: sample ids, [n].
            labels: their classes, [n].
            examples: positions in ``index`` of the samples whose inputs are kept, [m].
            inputs: of these, as the student reads them, [m, ...].
            found: ``<objective>.<name>`` -> [n, ...].
        """
        part = self.path / "inspection.part.npz"
        own = {"index": index, "labels": labels, "examples": examples, "inputs": inputs}
        arrays: dict[str, Any] = {
            name: values.numpy() for name, values in (own | dict(found)).items()
        }
        np.savez_compressed(part, **arrays)
        part.replace(self.path / "inspection.npz")

    def explanations(self, found: Mapping[str, Tensor]) -> None:
        """Keep what the selected student says of its own predictions (``docs/run-folder.md``)."""
        part = self.path / "explanations.part.npz"
        arrays: dict[str, Any] = {name: values.numpy() for name, values in found.items()}
        np.savez_compressed(part, **arrays)
        part.replace(self.path / "explanations.npz")

    def complete(self, evaluation: Mapping[str, Any], selected: Mapping[str, Any]) -> None:
        """Write the evaluation, then the record: from now on the run is immutable."""
        checkpoint.write_json(self.path / "evaluation.json", evaluation)
        self._close({"status": "complete", "selected": selected})

    def fail(self, failure: Mapping[str, Any]) -> None:
        """Record why the run stopped; it will never be averaged."""
        self._close({"status": "failed", "failure": failure})

    def _close(self, change: Mapping[str, Any]) -> None:
        self._events.close()
        times = (self.path / "timing.jsonl").read_text().splitlines() if (
            self.path / "timing.jsonl").exists() else []  # fmt: skip
        seconds = sum(json.loads(line)["seconds"] for line in times)
        record = read_record(self.path) or {}
        record |= {"finished": now(), "seconds": round(seconds, 3)} | dict(change)
        checkpoint.write_json(self.path / "run.json", record)

    def _cut(self, name: str, epochs: int) -> None:
        """Drop log lines of epochs that the checkpoint does not have, also a half-written last line."""
        path = self.path / name
        if not path.exists():
            return
        lines = path.read_text().splitlines(keepends=True)[:epochs]
        part = path.with_suffix(".part")
        part.write_text("".join(lines))
        part.replace(path)


class Unrecorded:
    """Keeps nothing: of several processes that train one network, the first keeps everything."""

    def epoch(self, row: dict[str, Any], seconds: float) -> None:
        """Keep nothing."""

    def traces(self, index: Tensor, traces: Mapping[str, Tensor]) -> None:
        """Keep nothing."""

    def best(
        self, split: str, student: nn.Module, epoch: int, value: float | None, on: str
    ) -> None:
        """Keep nothing."""

    def last(self, state: State) -> None:
        """Keep nothing."""


def fail_run(path: Path, message: str) -> None:
    """Record that a run stopped for another reason than its numbers; nothing happens where none has begun."""
    record = read_record(path)
    if record is not None:
        failure = {"kind": "error", "message": message, "epoch": None, "objective": None}
        record |= {"status": "failed", "failure": failure, "finished": now()}
        checkpoint.write_json(path / "run.json", record)


def read_state(path: Path) -> State:
    """Return where a run stopped, or a fresh state."""
    last = path / "last.safetensors"
    return State(**checkpoint.read(last)) if last.exists() else State()


def read_record(path: Path) -> dict[str, Any] | None:
    """Return ``run.json`` of a run folder, or None where there is none."""
    file = path / "run.json"
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def environment(precision: str) -> dict[str, Any]:
    """Return what the numbers of a run may depend on besides code and data."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "precision": precision,
    }


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


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")
        file.flush()


def now() -> str:
    """Return the time in UTC, as records have it."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
