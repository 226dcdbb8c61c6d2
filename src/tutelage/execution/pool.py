"""Worker processes: each does one piece of work at a time, and is replaced when it dies."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener
from tutelage.recipe.resolve import Job

__all__ = ["Pool", "Remote", "WorkerDiedError", "portable"]


class WorkerDiedError(Exception):
    """The process was killed in the middle of its work, by a person or for lack of memory."""


class Pool:
    """Processes of this machine; what they say comes through pipes.

    Args:
        size: number of processes; they are started when they are needed.
        threads: of each, for tensors.
        home: root of data sets; None for the user's default.
        cache: root of representations.
        listener: is told here what is said there.
    """

    def __init__(
        self, size: int, threads: int, home: Path | None, cache: Path, listener: Listener
    ) -> None:
        self.size, self.listener = size, listener
        self._given = (threads, home, cache)
        self._idle: list[_Worker] = []
        self._busy: dict[Future[Any], _Worker] = {}

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a piece of work: ``work(*arguments, kept, listener)``, in a process of its own."""
        worker = self._idle.pop() if self._idle else _Worker(self._given)
        future: Future[Any] = Future()
        self._busy[future] = worker
        try:
            worker.pipe.send((work, arguments))
        except OSError:  # it died while nobody looked
            self._lost(future)
        return future

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None
    ) -> list[Future[Any]]:
        """Return those that are done, as soon as there is one, or none after ``timeout`` seconds."""
        wanted = list(futures)
        end = None if timeout is None else time.monotonic() + timeout
        while not any(future.done() for future in wanted):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            pipes = {worker.pipe: future for future, worker in self._busy.items()}
            for pipe in wait(list(pipes), left):
                self._hear(pipes[pipe])  # type: ignore[index]  # only pipes were given
        return [future for future in wanted if future.done()]

    def close(self) -> None:
        """End all processes, busy or not; between two epochs nothing is lost."""
        for worker in [*self._idle, *self._busy.values()]:
            worker.end()
        self._idle, self._busy = [], {}

    def _hear(self, future: Future[Any]) -> None:
        worker = self._busy[future]
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            self._lost(future)
            return
        if kind in ("result", "error"):
            self._idle.append(self._busy.pop(future))
            (future.set_result if kind == "result" else future.set_exception)(content)
        else:
            getattr(self.listener, kind)(*content)

    def _lost(self, future: Future[Any]) -> None:
        worker = self._busy.pop(future)
        worker.end()
        code = worker.process.exitcode
        what = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        future.set_exception(WorkerDiedError(f"its process died ({what}; is memory short?)"))


class _Worker:
    def __init__(self, given: tuple[int, Path | None, Path]) -> None:
        # spawn: a forked child would inherit the threads of torch and numba in an unknown state.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, *given), daemon=True
        )
        self.process.start()
        theirs.close()  # so that the pipe ends with the process

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, threads: int, home: Path | None, cache: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it stops us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(threads)

    def send(message: Any) -> None:
        try:
            pipe.send(message)
        except OSError:  # the command was killed: nothing may be recorded, least of all a failure
            os._exit(1)

    listener = Remote(send)
    kept = DataCache(home, cache, listener.progress)
    while True:
        try:
            work, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            send(("result", work(*arguments, kept, listener)))
        except Exception as error:
            send(("error", portable(error)))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a worker process"
    parent.join()
    os._exit(1)  # the command was killed; a new one may be waiting for this run's lock


def portable(error: Exception) -> Exception:
    """Return an error as it can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class Remote:
    """The listener of a worker: sends everything home.

    Args:
        send: takes ``(name of the method, arguments)``.
    """

    def __init__(self, send: Callable[[Any], None]) -> None:
        self.send = send

    def progress(self, what: str, fraction: float) -> None:
        """Send that long work is this far."""
        self.send(("progress", (what, fraction)))

    def begin(self, job: Job, number: int, total: int, cell: str) -> None:
        """Send that a run starts."""
        self.send(("begin", (job, number, total, cell)))

    def epoch(self, job: Job, row: Mapping[str, Any], epochs: int) -> None:
        """Send that a run has finished an epoch."""
        self.send(("epoch", (job, row, epochs)))

    def end(self, job: Job, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Send that a run is over."""
        self.send(("end", (job, outcome, evaluation)))
