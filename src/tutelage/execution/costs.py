"""What each kind of run costs: measured in the processes that will do the work, and remembered beside the runs."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence, Sized
from concurrent.futures import Future
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tutelage import seals
from tutelage.execution.data_cache import DataCache
from tutelage.execution.kinds import kind_of
from tutelage.execution.listener import Listener
from tutelage.execution.probe import Cost, TeacherCost, probe
from tutelage.execution.queue import Task
from tutelage.execution.workers import RunConfig, make_workers, side_by_side
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.writer import environment

__all__ = ["Costs", "measure"]

_TOGETHER = 12.0  # seconds of steps in each worker, shared among all kinds, however many there are
_LEAST, _MOST = 0.4, 3.0  # of one kind
_COPIES = 2  # probes side by side: as in the study, they compete for memory and caches


class Costs(dict[str, Cost]):
    """Kind -> its cost.

    Args:
        found: the costs.
        start: seconds until a worker is ready.
        refused: kind -> why it could not be measured.
    """

    def __init__(
        self,
        found: Mapping[str, Cost],
        start: float = 0.0,
        refused: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(found)
        self.start = start
        self.refused = dict(refused or {})


def measure(
    tasks: Sequence[Task], config: RunConfig, kept: DataCache, listener: Listener, *, well: bool
) -> Costs:
    """Measure what runs of these kinds cost, each by a few real steps.

    Args:
        tasks: the runs that are missing.
        config: where things lie, and how many runs go side by side.
        kept: data that this process has read.
        listener: who is told.
        well: measure each kind for seconds, in as many processes as the study will use, also what was measured
            before on this machine; else only what is not known, by a few steps in this process.
    """
    kinds: dict[str, Task] = {}
    for task in tasks:
        kinds.setdefault(kind_of(task.spec), task)
    size = side_by_side(config, len(tasks))
    folder = config.cache / "costs"
    known = {} if well else {kind: seals.recall(_place(folder, kind, size)) for kind in kinds}
    found = {kind: Cost.from_json(c["cost"]) for kind, c in known.items() if c}
    start = max((c["start"] for c in known.values() if c), default=0.0)
    wanted = {kind: task for kind, task in kinds.items() if kind not in found}
    if not wanted:
        return Costs(found, start)
    if not well:
        new = _measure(wanted, replace(config, jobs=1), kept, listener, 0.0)
        return Costs(found | new, start, new.refused)
    seconds = min(_MOST, max(_LEAST, _TOGETHER * size / (len(wanted) * _copies(wanted, size))))
    new = _measure(wanted, replace(config, jobs=size), kept, listener, seconds)
    for kind, cost in new.items():
        content = {"cost": cost.to_json(), "start": new.start}
        seals.remember(_place(folder, kind, size), content)
    return Costs(found | new, max(start, new.start), new.refused)


def _measure(
    wanted: Mapping[str, Task],
    config: RunConfig,
    kept: DataCache,
    listener: Listener,
    seconds: float,
) -> Costs:
    copies = _copies(wanted, config.jobs)
    pending = [(kind, task) for kind, task in wanted.items() for _ in range(copies)]
    total, running, found = len(pending), dict[Future[Any], str](), dict[str, list[Cost]]()
    refused: dict[str, str] = {}
    with make_workers(config, config.jobs, kept, listener) as workers:
        began = time.perf_counter()
        hello = [workers.submit(_ready, task.spec) for _, task in pending[: workers.size]]
        while not all(future.done() for future in hello):
            workers.wait([future for future in hello if not future.done()])
        start = time.perf_counter() - began
        while pending or running:
            while pending and len(running) < workers.size:
                kind, task = pending.pop(0)
                running[workers.submit(probe, task.spec, config.accelerator, seconds)] = kind
            for future in workers.wait(running):
                kind = running.pop(future)
                try:
                    cost = future.result()
                    found[kind] = [*found.get(kind, []), cost]
                except (
                    Exception
                ) as error:  # the study may still be run, without an estimate of this kind
                    refused[kind] = f"{type(error).__name__}: {error}"
                done = total - len(pending) - len(running)
                listener.progress("measuring a few steps of each kind of run", done / total)
    return Costs({kind: _mean(costs) for kind, costs in found.items()}, start, refused)


def _copies(wanted: Sized, jobs: int) -> int:
    """Return how often each kind is measured: several kinds compete with one another, a single one with itself."""
    return 1 if len(wanted) >= 2 * jobs else min(jobs, _COPIES)


def _ready(spec: RunSpec, kept: DataCache, listener: Listener) -> None:
    """Do what a worker does before its first run: read the data."""
    kept.fold(spec.data, spec.fold)


def _mean(costs: Sequence[Cost]) -> Cost:
    """Return the mean of several measurements of one kind, and the largest memory."""
    first = costs[0]
    teachers = {
        name: TeacherCost(**_means([vars(cost.teachers[name]) for cost in costs]))
        for name in first.teachers
    }
    names = [field.name for field in fields(Cost) if field.name not in ("teachers", "memory")]
    means = _means([{name: getattr(cost, name) for name in names} for cost in costs])
    means["folder"] = int(means["folder"])
    return Cost(**means, teachers=teachers, memory=max(cost.memory for cost in costs))


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def _place(folder: Path, kind: str, size: int) -> Path:
    machine = environment("")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    parts = [
        kind,
        size,
        machine["processor"],
        machine["torch"],
        machine["layout"],
        gpu,
        version("tutelage"),
    ]
    return folder / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]}.json"
