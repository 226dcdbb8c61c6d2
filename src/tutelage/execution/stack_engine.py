"""Workers that train runs in stacks: all that may start, of one kind, as one piece of work.

Whether a stack is faster than the same process training one run after the other depends on the machine and the
network, so it is measured once and remembered beside the other caches.
"""

import hashlib
import json
import math
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from tutelage import seals
from tutelage.errors import unknown
from tutelage.execution.claim import run_outcome
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener
from tutelage.execution.run import Plan
from tutelage.execution.stack import Seconds, measure_stack, stack_outcomes, why_alone
from tutelage.execution.workers import Engine, RunConfig, Workers, make_workers
from tutelage.recipe.resolve import RunSpec
from tutelage.training.assemble import Context

__all__ = ["WAYS", "known_seconds", "stacking", "ways_of"]

MOST = 16  # students of one stack: more gain little, and a killed stack loses an epoch of each
_WORTH = 4  # runs of a kind that wait: for fewer, a measurement would take longer than it saves
_PROBED = 8  # students of the stack that is measured
_VERSION = 1  # of what is remembered; raise it when stacks become faster

WAYS = ("processes", "stacked", "auto")


def stacking(way: str, engine: Engine = make_workers) -> Engine:
    """Return an engine whose workers train runs in stacks.

    Args:
        way: ``processes``: as the engine does it, one run at a time; ``stacked``: in stacks wherever that is
            possible; ``auto``: where it was measured to be faster, too.
        engine: provides the workers.

    Raises:
        UserError: there is no such way.
    """
    if way not in WAYS:
        raise unknown("--way", "way", way, WAYS)
    if way == "processes":
        return engine

    @contextmanager
    def stacked_workers(
        config: RunConfig, missing: int, kept: DataCache, listener: Listener
    ) -> Iterator[Workers]:
        with engine(config, missing, kept, listener) as workers:
            yield workers if config.devices > 1 else _Stacking(workers, way)

    def provide(
        config: RunConfig, missing: int, kept: DataCache, listener: Listener
    ) -> AbstractContextManager[Workers]:
        return stacked_workers(config, missing, kept, listener)

    return provide


def known_seconds(spec: RunSpec, cache: Path, accelerator: str) -> Seconds | None:
    """Return what was measured of such runs on this machine, or None where nothing was."""
    known = seals.recall(_memory(_kind(spec, accelerator), cache))
    return Seconds(**known["seconds"]) if known else None


def ways_of(planned: Plan) -> list[str]:
    """Say which missing runs can be trained in stacks, how fast that was here, and why others cannot be."""
    stacked, alone = dict[str, set[str]](), dict[str, set[str]]()
    for task in planned.missing:
        stage, config = task.spec.stage, planned.config
        why = why_alone(task.spec)
        if why is not None:
            alone.setdefault(why, set()).add(stage)
            continue
        known = known_seconds(task.spec, config.cache, config.accelerator)
        speed = "not measured here yet"
        if known is not None and known.members:
            speed = (
                f"a step takes {1000 * known.alone:.1f} ms alone and {1000 * known.stacked:.1f} ms in a stack "
                f"of {known.members}, so {'stacks' if known.pays else 'one by one'}"
            )
        stacked.setdefault(speed, set()).add(stage)
    lines = [f"can be stacked: {_listed(names)} ({speed})" for speed, names in stacked.items()]
    return lines + [f"one by one: {_listed(names)} ({why})" for why, names in alone.items()]


@dataclass(frozen=True, eq=False)
class _Item:
    """A run that waits for a worker; ``kind`` is None where it cannot be part of a stack."""

    future: Future[Any]
    context: Context
    spec: RunSpec
    kind: str | None

    @property
    def asked(self) -> tuple[Context, RunSpec]:
        return self.context, self.spec


class _Stacking:
    """Collects runs that are submitted, and passes them on in groups when somebody waits for them."""

    def __init__(self, workers: Workers, way: str) -> None:
        self.workers, self.way = workers, way
        self.size = workers.size * MOST
        self._waiting: list[_Item] = []
        self._running: dict[Future[Any], list[_Item]] = {}
        self._measuring: dict[Path, Future[Any]] = {}

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Take a run; anything else is no business of stacks."""
        if work is not run_outcome:
            return self.workers.submit(work, *arguments)
        context, spec = arguments
        kind = None
        if why_alone(spec) is None:
            kind = _kind(spec, context.accelerator)
        self._waiting.append(_Item(Future(), context, spec, kind))
        return self._waiting[-1].future

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None
    ) -> list[Future[Any]]:
        """Return those that are done, as soon as there is one, or none after ``timeout`` seconds."""
        wanted = list(futures)
        while True:
            self._begin()
            pending = [*self._running, *self._measuring.values()]
            ended = self.workers.wait(pending, timeout)
            for future in ended:
                self._end(future)
            done = [future for future in wanted if future.done()]
            if done or not pending or (timeout is not None and not ended):
                return done

    @property
    def _free(self) -> int:
        return self.workers.size - len(self._running) - len(self._measuring)

    def _begin(self) -> None:
        """Give work to the workers that are free."""
        kinds: dict[Any, list[_Item]] = {}
        for item in self._waiting:
            kinds.setdefault(item.kind or item, []).append(item)
        for items in kinds.values():
            while items and self._free:
                count = self._count(items)
                if not count:
                    break
                group, items[:] = items[:count], items[count:]
                self._start(group)

    def _count(self, items: Sequence[_Item]) -> int:
        """Return how many of these runs of one kind begin together; 0 where that is being measured."""
        first = items[0]
        if first.kind is None or len(items) == 1:
            return 1
        if self.way == "auto":
            path = _memory(first.kind, first.context.cache)
            if path in self._measuring:
                return 1 if len(items) < _WORTH else 0
            known = seals.recall(path)
            if not known:
                if len(items) < _WORTH:
                    return 1
                asked = [item.asked for item in items[:_PROBED]]
                self._measuring[path] = self.workers.submit(measure_stack, asked)
                return 0
            if not Seconds(**known["seconds"]).pays:
                return 1
        return min(MOST, math.ceil(len(items) / self._free))  # evenly among free workers

    def _start(self, group: Sequence[_Item]) -> None:
        for item in group:
            self._waiting.remove(item)
        if len(group) == 1:
            future = self.workers.submit(run_outcome, *group[0].asked)
        else:
            future = self.workers.submit(stack_outcomes, [item.asked for item in group])
        self._running[future] = list(group)

    def _end(self, future: Future[Any]) -> None:
        """Pass on what a piece of work came to."""
        path = next((p for p, own in self._measuring.items() if own is future), None)
        if path is not None:
            del self._measuring[path]
            # What went wrong with it goes wrong with the runs as well, and is told there.
            seconds = Seconds(0.0, 0.0, 0) if future.exception() else future.result()
            seals.remember(path, {"machine": _machine(), "seconds": asdict(seconds)})
            return
        items, error = self._running.pop(future), future.exception()
        for place, item in enumerate(items):
            if error is not None:
                item.future.set_exception(error)
            else:
                item.future.set_result(
                    future.result()[place] if len(items) > 1 else future.result()
                )


def _kind(spec: RunSpec, accelerator: str) -> str:
    """Return what runs that may share a stack have in common, as far as their descriptions tell."""
    parts = [
        spec.data.data, spec.data.modalities.get(spec.modality), spec.network, spec.crop,
        spec.train.batch_size, spec.train.precision, accelerator,
    ]  # fmt: skip
    return json.dumps(parts, sort_keys=True)


def _memory(kind: str, cache: Path) -> Path:
    """Return the file that remembers how fast stacks of a kind are on this machine."""
    text = json.dumps([_VERSION, kind, _machine()], sort_keys=True)
    return cache / "ways" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False) or 1,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
    }


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
