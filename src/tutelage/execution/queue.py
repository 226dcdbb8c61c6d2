"""One queue of runs over any number of experiments: each starts as soon as those it needs are done."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tutelage.execution.claim import Outcome, evaluation_for, is_claimed, run_outcome
from tutelage.execution.listener import Listener
from tutelage.execution.pool import WorkerDiedError
from tutelage.execution.workers import RunConfig, Workers
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.folder import known_record
from tutelage.training.single import Context

__all__ = ["Complete", "Key", "Queue", "Task"]

_LOOK = 1.0  # seconds between two looks at runs that another process is training
_DEATHS = 3  # of the process of one run, after which the run has failed

Key = tuple[str, bool]
Complete = dict[Key, Path]


@dataclass(frozen=True, eq=False)
class Task:
    """A run that an experiment asks for.

    Args:
        spec: the run.
        folder: of its experiment.
        cell: name of the experiment in a study, or empty.
    """

    spec: RunSpec
    folder: Path
    cell: str

    @property
    def key(self) -> Key:
        """Identity of the network; two tasks with one key are one run."""
        return self.spec.key


@dataclass
class Queue:
    """Carries out tasks, also beside other processes that carry out the same ones.

    Args:
        tasks: in the order in which they are wanted; each after those it needs.
        complete: run folders of what is complete; grows.
        config: where things lie.
        code: version and commit.
        listener: who is told.
        changed: called with a task that has ended, after ``complete`` knows.
    """

    tasks: Sequence[Task]
    complete: Complete
    config: RunConfig
    code: Mapping[str, Any]
    listener: Listener
    changed: Callable[[Task], None] = lambda _: None
    failed: dict[Key, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note when this command began: failures before that are tried again."""
        self._began = datetime.now(UTC).replace(microsecond=0)
        self._running: dict[Future[Outcome], Task] = {}
        self._elsewhere: dict[Key, float] = {}
        self._deaths: dict[Key, int] = {}
        self._numbers = {id(task): number for number, task in enumerate(self.tasks)}

    def carry_out(self, workers: Workers) -> None:
        """Go on until every task is done or has failed."""
        waiting = list(self.tasks)
        while waiting or self._running:
            left = [task for task in waiting if not self._begin(task, workers)]
            moved, waiting = len(left) < len(waiting), left
            if self._running:
                for future in workers.wait(self._running, _LOOK if self._elsewhere else None):
                    waiting += self._end(future)
                waiting.sort(key=lambda task: self._numbers[id(task)])
            elif waiting and not moved:
                assert self._elsewhere, "runs need each other in an order"
                time.sleep(_LOOK)

    def _begin(self, task: Task, workers: Workers) -> bool:
        """Return whether a task has left the queue: begun, or settled without work."""
        known = self.complete.keys() | self.failed.keys()
        broken = [spec for spec in task.spec.needs if spec.key in self.failed]
        if task.key in known:
            self._settle(task)
        elif broken:
            ended = self.failed[broken[0].key].partition(":")[0]
            self.failed[task.key] = f"{ended}: it needs {broken[0].stage}, which {ended}"
            self._settle(task)
        elif any(spec.key not in known for spec in task.spec.needs) or task.key in self._busy():
            return False
        elif len(self._running) >= workers.size or self._is_elsewhere(task):
            return False
        elif task.key in self.failed:  # as the other process found: it would fail here as well
            self._settle(task)
        else:
            self._tell(task)
            self._running[workers.submit(run_outcome, self._context(task), task.spec)] = task
        return True

    def _busy(self) -> set[Key]:
        return {task.key for task in self._running.values()}

    def _settle(self, task: Task) -> None:
        self._tell(task)
        if task.key in self.failed:
            self.listener.end(task.spec, self.failed[task.key], None)
        else:
            evaluation = evaluation_for(task.spec, self.complete[task.key])
            self.listener.end(task.spec, "found", evaluation)

    def _is_elsewhere(self, task: Task) -> bool:
        """Return whether another process is training this run; look only now and then."""
        seen = self._elsewhere.get(task.key)
        if seen is not None and time.monotonic() - seen < _LOOK:
            return True
        if is_claimed(self.config.cache, task.spec):
            self._elsewhere[task.key] = time.monotonic()
            return True
        if self._elsewhere.pop(task.key, None) is not None:
            why = self._failed_since(task)
            if why is not None:
                self.failed[task.key] = why
        return False

    def _failed_since(self, task: Task) -> str | None:
        record = known_record(task.folder / task.spec.folder)
        if record is None or record.status != "failed" or not record.finished:
            return None
        late = datetime.fromisoformat(record.finished) >= self._began
        return f"failed: {record.failure.message}" if late and record.failure else None

    def _tell(self, task: Task) -> None:
        self.listener.begin(task.spec, self._numbers[id(task)], len(self.tasks), task.cell)

    def _context(self, task: Task) -> Context:
        needed = {spec.fingerprint: self.complete[spec.key] for spec in task.spec.needs}
        return Context(
            task.folder, self.config.cache, self.config.accelerator, self.code, needed,
            self.config.devices,
        )  # fmt: skip

    def _end(self, future: Future[Outcome]) -> list[Task]:
        """Note how a run ended; return it if it must be looked at again."""
        task = self._running.pop(future)
        try:
            outcome = future.result()
        except WorkerDiedError as error:
            deaths = self._deaths[task.key] = self._deaths.get(task.key, 0) + 1
            if deaths < _DEATHS:  # it goes on from its last epoch
                self.listener.end(task.spec, f"again: {error}", {})
                return [task]
            outcome = Outcome(f"failed: {error}")
        if outcome.elsewhere:
            self._elsewhere[task.key] = time.monotonic()
            self.listener.end(task.spec, outcome.text, {})
            return [task]
        if outcome.path is None:
            self.failed[task.key] = outcome.text
        else:
            self.complete[task.key] = outcome.path
        self.listener.end(task.spec, outcome.text, outcome.evaluation)
        self.changed(task)
        return []
