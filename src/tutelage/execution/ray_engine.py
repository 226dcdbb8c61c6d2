"""Runs on many machines: workers of a Ray cluster that share the folder of runs."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tutelage.errors import UserError
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener, Remote, relay
from tutelage.execution.pool import WorkerDiedError
from tutelage.execution.threads import fixed_threads
from tutelage.execution.worker import portable
from tutelage.execution.workers import RunConfig, Workers, refuse_for_cluster

__all__ = ["connect", "ray_workers"]


def connect() -> Any:
    """Return Ray, connected to the cluster of ``RAY_ADDRESS`` or of this machine, or to one of its own.

    Raises:
        UserError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "--engine ray: Ray is not installed; run: pip install 'tutelage[ray]'"
        ) from error
    if not ray.is_initialized():
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:  # no cluster runs: this machine alone
            ray.init(include_dashboard=False, **quiet)
    return ray


@contextmanager
def ray_workers(
    config: RunConfig, missing: int, kept: DataCache, listener: Listener
) -> Iterator[Workers]:
    """Provide workers of a Ray cluster for ``missing`` runs, one for each of its cores or GPUs.

    Every machine must see the folder of runs under the same path; data sets too, unless each machine is to fetch
    its own copy.

    Args:
        config: where things lie; ``jobs`` is the largest number of runs side by side, 0 for as many as fit.
        missing: number of runs.
        kept: data of this process; workers keep their own.
        listener: is told here what is said there.

    Raises:
        UserError: Ray is not installed, the path of the runs is relative, or one training wants several processes.
    """
    refuse_for_cluster(config, "ray")
    cluster = _Cluster(connect(), config, missing, listener)
    try:
        yield cluster
    finally:
        cluster.close()


class _Cluster:
    """Actors of one run at a time; what they say is asked for."""

    def __init__(self, ray: Any, config: RunConfig, missing: int, listener: Listener) -> None:
        self.ray, self.listener = ray, listener
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if config.accelerator != "cpu" else 0
        self.size = max(1, min(missing, config.jobs or gpus or int(there.get("CPU", 1))))
        options = {"num_cpus": 1, "num_gpus": 1 if gpus else 0, "max_concurrency": 2}
        self._actor = ray.remote(RayWorker).options(**options)
        self._given = (config.data, config.cache)
        self._idle: list[Any] = []
        self._busy: dict[Future[Any], Any] = {}
        self._refs: dict[Any, Future[Any]] = {}  # of what a worker does or says next

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a piece of work: ``work(*arguments, kept, listener)``, somewhere."""
        worker = self._idle.pop() if self._idle else self._actor.remote(*self._given)
        future: Future[Any] = Future()
        self._busy[future] = worker
        self._refs[worker.do.remote(work, arguments)] = future
        self._refs[worker.say.remote()] = future
        return future

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None
    ) -> list[Future[Any]]:
        """Return those that are done, as soon as there is one, or none after ``timeout`` seconds."""
        wanted = list(futures)
        end = None if timeout is None else time.monotonic() + timeout
        while not any(future.done() for future in wanted):
            left = None if end is None else max(0.0, end - time.monotonic())
            ready, _ = self.ray.wait(list(self._refs), timeout=left)
            for ref in ready:
                self._take(ref)
            if not ready:
                break
        return [future for future in wanted if future.done()]

    def close(self) -> None:
        """End all workers, busy or not; between two epochs nothing is lost."""
        for worker in [*self._idle, *self._busy.values()]:
            self.ray.kill(worker)
        self._idle, self._busy, self._refs = [], {}, {}

    def _take(self, ref: Any) -> None:
        future = self._refs.pop(ref)
        if future.done():
            return
        try:
            events = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            self.ray.kill(self._busy.pop(future))
            died = isinstance(error, self.ray.exceptions.RayActorError)
            why = str(error).partition("\n")[0]
            future.set_exception((WorkerDiedError if died else RuntimeError)(f"Ray: {why}"))
            return
        for kind, content in events or ():
            if kind in ("result", "error"):
                self._idle.append(self._busy.pop(future))
                (future.set_result if kind == "result" else future.set_exception)(content)
                return
            relay(self.listener, (kind, content))
        if events is not None:  # a word, not the end of the work, whose result is said as well
            self._refs[self._busy[future].say.remote()] = future


class RayWorker:
    """What runs on a machine of the cluster: one call works, another brings home what it says."""

    def __init__(self, home: Path | None, cache: Path) -> None:
        self.said: SimpleQueue[Any] = SimpleQueue()
        self.listener = Remote(self.said.put)
        self.kept = DataCache(home, cache, self.listener.progress)

    def do(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Do a piece of work."""
        try:
            with fixed_threads(1):
                self.said.put(("result", work(*arguments, self.kept, self.listener)))
        except Exception as error:
            self.said.put(("error", portable(error)))

    def say(self) -> list[Any]:
        """Return what has been said since the last time; wait for the first word."""
        words = [self.said.get()]
        while not self.said.empty():
            words.append(self.said.get())
        return words
