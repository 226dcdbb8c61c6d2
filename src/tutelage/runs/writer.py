"""The folder of a run that is being trained: opened, resumed, filled and closed."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.files import replacing
from tutelage.models import On
from tutelage.models.layout import LAYOUT, Layout
from tutelage.recipe.networks import save_network
from tutelage.runs.folder import checkpoint_of, known_record, now, write_record
from tutelage.runs.logs import EPOCH, SECONDS, Epoch, EpochSeconds
from tutelage.runs.predictions import SampleTraces
from tutelage.runs.records import (
    EVALUATIONS,
    Failure,
    RunRecord,
    Selected,
)
from tutelage.runs.schema import append, parse, read_lines, write
from tutelage.train import State

Line = TypeVar("Line", Epoch, EpochSeconds)

__all__ = ["RunFolder", "Unrecorded", "environment", "layout_of", "read_state"]


class RunFolder:
    """One run: its record, logs, checkpoints and predictions (``docs/run-folder.md``).

    Args:
        path: the folder; made if it is not there.
        spec: what :func:`~tutelage.recipe.networks.save_network` needs to rebuild the student.
        listen: called with each epoch's row.
    """

    def __init__(
        self,
        path: Path,
        spec: Mapping[str, Any],
        listen: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.path, self.spec, self.listen = path, spec, listen
        path.mkdir(parents=True, exist_ok=True)
        self._events: Any = None
        self._record: RunRecord | None = None

    def begin(self, asked: RunRecord) -> State:
        """Write the record of a starting run; return where an earlier sitting stopped, or a fresh state.

        Args:
            asked: what the run is; an earlier sitting's record that can be read is kept.
        """
        record = known_record(self.path) or asked
        if record.blind and not asked.blind:  # a copy: the test split is there now
            record = replace(record, blind=False, data=asked.data, teachers=asked.teachers,
                             start_from=asked.start_from)  # fmt: skip
        self._record = replace(record, status="running", failure=None)
        write_record(self.path, self._record)
        state = read_state(self.path)
        for name in ("metrics.jsonl", "timing.jsonl"):
            self._cut(name, state.epoch)
        from torch.utils.tensorboard import SummaryWriter

        self._events = SummaryWriter(str(self.path), purge_step=state.epoch + 1)
        return state

    def settled(self, coefficients: Mapping[str, float]) -> None:
        """Write down what coefficients that are shares of the gradient became."""
        assert self._record is not None, "the run has begun"
        self._record = replace(self._record, coefficients=dict(coefficients))
        write_record(self.path, self._record)

    def stacked(self, students: int) -> None:
        """Write down that it is trained as one network with others: sums have another order then."""
        assert self._record is not None, "the run has begun"
        known = self._record.environment
        most = max(students, known.get("stacked", 1))
        self._record = replace(self._record, environment={**known, "stacked": most})
        write_record(self.path, self._record)

    def epoch(self, row: dict[str, Any], seconds: float) -> None:
        """Append one epoch to the logs."""
        append(EPOCH, self.path / "metrics.jsonl", row)
        took = {"epoch": row["epoch"], "seconds": round(seconds, 3)}
        append(SECONDS, self.path / "timing.jsonl", took)
        for split in ("train", "validation", "test"):
            for name, value in row.get(split, {}).items():
                self._events.add_scalar(f"{name}/{split}", value, row["epoch"] + 1)
        for name, part in row.get("gradients", {}).items():
            for key in [key for key, value in part.items() if value is not None]:
                self._events.add_scalar(f"gradient.{name}/{key}", part[key], row["epoch"] + 1)
        if self.listen is not None:
            self.listen(row)

    def traces(self, index: Tensor, traces: Mapping[str, Tensor]) -> None:
        """Keep what objectives recorded of each sample; the latest epoch replaces the one before."""
        values = {name: value.numpy() for name, value in traces.items()}
        SampleTraces(index.numpy(), values).save(self.path / "traces.npz")

    def best(
        self, split: str, student: nn.Module, epoch: int, value: float | None, on: str
    ) -> None:
        """Keep the student that is best so far on this split, or the one that training ends with."""
        assert isinstance(student, On)
        chosen = {"epoch": epoch, "on": on, "value": value}
        path = checkpoint_of(self.path, split)
        save_network(path, student, dict(self.spec) | {"selected": chosen})

    def last(self, state: State) -> None:
        """Keep everything needed to go on."""
        checkpoint.write(self.path / "last.safetensors", vars(state))

    def complete(self, evaluation: Mapping[str, Any], selected: Selected) -> None:
        """Write the evaluation, then the record: from now on the run is immutable."""
        write(EVALUATIONS, self.path / "evaluation.json", evaluation)
        self._close(status="complete", selected=selected)

    def fail(self, failure: Failure) -> None:
        """Record why the run stopped; it will never be averaged."""
        self._close(status="failed", failure=failure)

    def _close(self, **change: Any) -> None:
        self._events.close()
        seconds = sum(line.seconds for line in read_lines(SECONDS, self.path / "timing.jsonl"))
        assert self._record is not None, "the run has begun"
        ended = replace(self._record, finished=now(), seconds=round(seconds, 3), **change)
        write_record(self.path, ended)

    def _cut(self, name: str, epochs: int) -> None:
        """Drop log lines of epochs that the checkpoint does not have, also a half-written last line."""
        path = self.path / name
        if not path.exists():
            return
        kept = path.read_bytes().splitlines(keepends=True)[:epochs]
        with replacing(path) as unfinished:
            unfinished.write_bytes(b"".join(kept))


class Unrecorded:
    """Keeps nothing: of several processes that train one network, the first keeps everything."""

    def settled(self, coefficients: Mapping[str, float]) -> None:
        """Keep nothing."""

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


def read_state(path: Path) -> State:
    """Return where a run stopped; a fresh state where it left nothing, or nothing that is whole.

    A run goes on only with the log of every epoch behind it and with each network that it has selected: else it is
    trained again from its first epoch, which gives the same numbers.
    """
    try:
        state = State(**checkpoint.read(path / "last.safetensors"))
    except (UserError, TypeError):
        return State()
    networks = [checkpoint_of(path, split) for split in state.best]
    whole = all(file.is_file() and file.stat().st_size for file in networks)
    return state if whole and _is_logged(path, state.epoch) else State()


def _is_logged(path: Path, epochs: int) -> bool:
    """Return whether both logs begin with one line for each epoch; what follows is cut."""
    wanted = list(range(epochs))
    return (
        wanted
        == _logged(path / "metrics.jsonl", EPOCH, epochs)
        == _logged(path / "timing.jsonl", SECONDS, epochs)
    )


def _logged(file: Path, adapter: TypeAdapter[Line], epochs: int) -> list[int]:
    """Return the epochs that the first lines of a log are of; none where one of them is damaged."""
    lines = file.read_bytes().splitlines()[:epochs] if file.is_file() else []
    try:
        return [parse(adapter, line, str(file)).epoch for line in lines]
    except UserError:
        return []


def environment(precision: str) -> dict[str, Any]:
    """Return what the numbers of a run may depend on besides code and data."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "layout": LAYOUT,
    }


def layout_of(path: Path) -> Layout:
    """Return the memory order of a run's networks: that which it began with, or that of new ones."""
    record = known_record(path)
    if record is None:
        return LAYOUT
    return "channels_last" if record.environment.get("layout") == "channels_last" else "contiguous"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
