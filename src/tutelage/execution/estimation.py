"""What a study will take: runs, time, disk and memory, before its first step."""

import heapq
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.execution.costs import Costs, measure
from tutelage.execution.kinds import kind_of
from tutelage.execution.listener import Listener
from tutelage.execution.probe import Cost
from tutelage.execution.queue import Key, Task
from tutelage.execution.run import Plan
from tutelage.execution.workers import side_by_side
from tutelage.files import bytes_in_words
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import RunSpec
from tutelage.training.settings import make_distiller
from tutelage.training.student import sides_of
from tutelage.training.subset import training_subset

__all__ = ["Estimate", "KindEstimate", "estimate", "refuse_unfit"]

_WINDOWS = 64  # that are represented to measure a modality
_EPOCH_BYTES = 1500  # of the logs, and of the curves for TensorBoard


@dataclass(frozen=True)
class KindEstimate:
    """Runs that cost the same.

    Args:
        stages: names of their stages.
        cells: names of their cells.
        runs: how many are missing.
        seconds: of one, on average; None where it could not be measured.
        why: it could not be measured.
    """

    stages: str
    cells: str
    runs: int
    seconds: float | None
    why: str = ""


@dataclass(frozen=True)
class Estimate:
    """What is there, and what the rest will take.

    Args:
        asked: runs that the cells ask for, each counted in every cell.
        shared: of these, asked for by an earlier stage or cell as well.
        found: different runs that are complete.
        missing: different runs to train.
        kinds: what the missing ones cost.
        size: runs side by side.
        seconds: until everything is done.
        disk: bytes that will be written.
        free_disk: bytes that are free where the runs lie.
        memory: bytes that all processes need.
        free_memory: bytes that are free.
    """

    asked: int
    shared: int
    found: int
    missing: int
    kinds: tuple[KindEstimate, ...]
    size: int
    seconds: float
    disk: int
    free_disk: int
    memory: int
    free_memory: int


def estimate(planned: Plan, listener: Listener, *, well: bool, spent: float = 0.0) -> Estimate:
    """Measure a few steps of each kind of run, and add up what is missing.

    Args:
        planned: what there is to do.
        listener: who is told.
        well: measure for seconds, also what was measured before on this machine; else only what is not known, by
            a few steps, which is enough for disk and memory, and a first guess of the time.
        spent: seconds that planning took; running a study begins with it, too.
    """
    missing, config = planned.missing, planned.config
    size = side_by_side(config, len(missing))
    costs = measure(missing, config, planned.kept, listener, well=well)
    kinds = {id(task): kind_of(task.spec) for task in missing}
    known = [task for task in missing if kinds[id(task)] in costs]
    runs = {id(task): _Run(task, costs[kinds[id(task)]], planned) for task in known}
    caches = {c: cost for run in runs.values() for c, cost in run.caches.items()}
    images = _representations(planned, missing)
    seconds = _simulate(known, runs, planned, size) + costs.start if missing else 0.0
    keys = {task.key for task in planned.tasks}
    return Estimate(
        len(planned.tasks), len(planned.tasks) - len(keys), len(keys) - len(missing), len(missing),
        _kinds(missing, kinds, runs, costs), size,
        spent + seconds + sum(second for second, _ in images.values()),
        int(
            sum(run.disk for run in runs.values()) + sum(b for _, b in caches.values())
            + sum(b for _, b in images.values())
        ),
        shutil.disk_usage(_existing(config.runs)).free,
        size * max((cost.memory for cost in costs.values()), default=0), _free_memory(),
    )  # fmt: skip


def refuse_unfit(found: Estimate, runs: Path) -> None:
    """Refuse a study that does not fit on this machine.

    Raises:
        UserError: the disk has no room for it, or the memory none for so many processes.
    """
    if found.disk > found.free_disk:
        raise UserError(
            f"{runs}: the study writes about {bytes_in_words(found.disk)}, and {bytes_in_words(found.free_disk)} "
            "are free; free some room, or name another disk with --runs"
        )
    if found.memory > found.free_memory:
        one = found.memory // max(1, found.size)
        fit = max(1, found.free_memory // max(1, one))
        raise UserError(
            f"--jobs: {found.size} processes need about {bytes_in_words(found.memory)} of memory, and "
            f"{bytes_in_words(found.free_memory)} are free (allowed: --jobs {fit}, or a smaller batch)"
        )


class _Run:
    """What one missing run will take.

    Args:
        task: the run.
        cost: of its kind.
        planned: what it is part of.
    """

    def __init__(self, task: Task, cost: Cost, planned: Plan) -> None:
        self.cost = cost
        spec, train = task.spec, task.spec.train
        data = planned.kept.fold(spec.data, spec.fold)
        taught, watched, tested = _sizes(spec, data)
        done = _epochs_done(task.folder / spec.folder)
        left = max(0, train.epochs - done)
        monitored = watched + (tested if spec.data.protocol == "legacy" else 0)
        epoch = (
            cost.step * ((train.epoch_samples or taught) // train.batch_size)
            + cost.predict * monitored
            + cost.epoch
        )
        self.seconds = cost.run + left * epoch + cost.predict * (watched + tested)
        classes = len(data.dataset.class_names)
        self.disk = int(
            cost.folder + (watched + tested) * (4 * classes + 64) + cost.traces * taught
            + _EPOCH_BYTES * train.epochs
        )  # fmt: skip
        # Teacher and features -> seconds and bytes; whoever comes first pays.
        self.caches: dict[tuple[Any, ...], tuple[float, float]] = {}
        needs = make_distiller(spec).needs() if cost.teachers else None
        for teacher, of_teacher in cost.teachers.items():
            assert needs is not None
            key = (spec.teachers[teacher].key, spec.fold, taught, needs.features, needs.grams)
            self.caches[key] = (
                of_teacher.sample * taught + of_teacher.pair * taught**2,
                of_teacher.bytes_per_sample * taught + of_teacher.bytes_per_pair * taught**2,
            )


def _sizes(spec: RunSpec, data: Fold) -> tuple[int, int, int]:
    """Return the numbers of samples that a run is taught, chosen and tested by."""
    dataset = data.dataset
    samples = Samples(
        {}, torch.from_numpy(dataset.labels), dataset.class_names, dataset.subjects, listed=dataset.listed
    )  # fmt: skip
    sides = sides_of(spec, data, samples)
    subset = training_subset(spec, samples, sides)
    return len(subset.index), len(subset.validation), len(sides["test"])


def _epochs_done(path: Path) -> int:
    log = path / "metrics.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def _simulate(tasks: Sequence[Task], runs: dict[int, _Run], planned: Plan, size: int) -> float:
    """Return when the last run ends, if each starts in its turn as soon as a process is free.

    A run that waits for outputs of a teacher which another is caching waits with its process, as in truth.
    """
    wanted = {task.key for task in tasks}
    waiting, running = list(tasks), list[tuple[float, int, Key]]()
    done = set(planned.complete)
    ready: dict[tuple[Any, ...], float] = {}  # when the outputs of a teacher are there
    now, number = 0.0, 0
    while waiting or running:
        for task in list(waiting):
            # What could not be measured is left out, also where others need it.
            if len(running) >= size or any(spec.key in wanted - done for spec in task.spec.needs):
                continue
            waiting.remove(task)
            end = now
            for key, (seconds, _) in runs[id(task)].caches.items():
                end = max(end, ready[key]) if key in ready else end + seconds
                ready[key] = end
            number += 1
            heapq.heappush(running, (end + runs[id(task)].seconds, number, task.key))
        now, _, key_done = heapq.heappop(running)
        done.add(key_done)
    return now


def _kinds(
    missing: Sequence[Task], kinds: dict[int, str], runs: dict[int, _Run], costs: Costs
) -> tuple[KindEstimate, ...]:
    counts = Counter(kinds[id(task)] for task in missing)
    found = []
    for kind, count in counts.items():
        tasks = [task for task in missing if kinds[id(task)] == kind]
        seconds = None
        if kind in costs:
            own = [runs[id(task)] for task in tasks]
            seconds = sum(run.seconds for run in own) / len(own)
        stages, cells = (list(dict.fromkeys(names)) for names in zip(
            *((task.spec.stage, task.cell) for task in tasks), strict=True))  # fmt: skip
        why = costs.refused.get(kind, "")
        found.append(KindEstimate(_some(stages), _some(cells), count, seconds, why))
    return tuple(found)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _representations(planned: Plan, missing: Sequence[Task]) -> dict[str, tuple[float, float]]:
    """Return seconds and bytes of each representation that is not made yet."""
    found: dict[str, tuple[float, float]] = {}
    for task in missing:
        data = planned.kept.fold(task.spec.data, task.spec.fold)
        name = task.spec.modality
        key = data.key(name)
        if key in found or data.has(name):
            continue
        small = data.small(_WINDOWS)
        small.values(name)  # once to compile
        started = time.perf_counter()
        values = small.values(name)
        share = (time.perf_counter() - started) / len(values)
        count = len(data.dataset)
        found[key] = share * count, values.nbytes / len(values) * count
    return found


def _existing(path: Path) -> Path:
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)


def _free_memory() -> int:
    """Return the bytes that are free, also inside a container with a limit of its own."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or "max"
        return free
    return min(free, limit - int(stat["anon"]))  # what files occupy is given back
