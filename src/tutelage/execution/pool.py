"""Worker processes: each does one piece of work at a time, and is replaced when it dies or hangs.

Executors of the standard library and of loky give up all their work when one process is killed. Here a death is
the outcome of the one run that died, the others go on, and what they say comes home while they work.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from tutelage.execution.listener import Listener, relay
from tutelage.execution.threads import rest_when_idle
from tutelage.execution.worker import BEAT, serve

__all__ = ["Pool", "WorkerDiedError"]

SILENCE = 24 * BEAT  # seconds without a sign of life, after which a worker hangs


class WorkerDiedError(Exception):
    """The process died in the middle of its work, or hung: by a person, or for lack of memory."""


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
        self._idle: list[_WorkerProcess] = []
        self._busy: dict[Future[Any], _WorkerProcess] = {}

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a piece of work: ``work(*arguments, kept, listener)``, in a process of its own."""
        worker = self._idle.pop() if self._idle else _WorkerProcess(self._given)
        future: Future[Any] = Future()
        self._busy[future] = worker
        worker.silence = 0.0
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
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while not any(future.done() for future in wanted):
            left = min(BEAT, end - time.monotonic())
            if left <= 0:
                break
            self._listen(left)
        return [future for future in wanted if future.done()]

    def close(self) -> None:
        """End all processes, busy or not; between two epochs nothing is lost."""
        for worker in [*self._idle, *self._busy.values()]:
            worker.end()
        self._idle, self._busy = [], {}

    def _listen(self, seconds: float) -> None:
        pipes = {worker.pipe: future for future, worker in self._busy.items()}
        started = time.monotonic()
        speaking = wait(list(pipes), seconds)
        # While this process itself was stopped, nobody could be heard.
        waited = min(seconds, time.monotonic() - started)
        for pipe, future in pipes.items():
            worker = self._busy[future]
            worker.silence = 0.0 if pipe in speaking else worker.silence + waited
            if pipe in speaking:
                self._hear(future)
            elif worker.silence > SILENCE:
                self._lost(future, f"its process gave no sign of life for {SILENCE:.0f} s")

    def _hear(self, future: Future[Any]) -> None:
        try:
            kind, content = message = self._busy[future].pipe.recv()
        except (EOFError, OSError):
            self._lost(future)
            return
        if kind in ("result", "error"):
            self._idle.append(self._busy.pop(future))
            (future.set_result if kind == "result" else future.set_exception)(content)
        elif kind != "beat":
            relay(self.listener, message)

    def _lost(self, future: Future[Any], why: str = "") -> None:
        worker = self._busy.pop(future)
        code = worker.end()
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        why = why or f"its process died ({how}; is memory short?)"
        future.set_exception(WorkerDiedError(why))


class _WorkerProcess:
    """A process, and the pipe to it."""

    def __init__(self, given: tuple[int, Path | None, Path]) -> None:
        rest_when_idle()
        # spawn: a forked child would inherit the threads of torch and numba in an unknown state.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.silence = 0.0
        self.process = context.Process(target=serve, args=(theirs, *given), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends with the process

    def end(self) -> int | None:
        """End the process, if it has not ended; return how it ended."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode
