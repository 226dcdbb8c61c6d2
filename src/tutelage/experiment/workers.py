"""Where runs are trained: in this process, or side by side in several.

Networks as small as these do not fill two cores: two processes of one thread finish more runs per hour than one
process of two threads, and another program on the machine slows them down less.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch
from filelock import FileLock

from tutelage.experiment import checkpoint
from tutelage.experiment.listener import Listener
from tutelage.experiment.plan import Job
from tutelage.experiment.prepare import Fold, load_data
from tutelage.experiment.record import read_record
from tutelage.experiment.single import Context, train_one
from tutelage.train import DivergedError

__all__ = ["Outcome", "Places", "Workers", "make_workers"]

_MOST = 8  # processes at once; more would need a look at the memory first


@dataclass(frozen=True)
class Places:
    """Where things lie and run.

    Args:
        runs: root of all experiments.
        data: root of data sets; None for the user's default.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        jobs: runs side by side; 0 takes one per core on a CPU, and one on a GPU.
    """

    runs: Path = Path("runs")
    data: Path | None = None
    accelerator: str = "auto"
    jobs: int = 1

    @property
    def cache(self) -> Path:
        """Root of representations and teacher outputs."""
        return self.runs / ".cache"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a word for the screen, and the evaluation if it is complete."""

    text: str
    evaluation: Mapping[str, Any] | None


class Workers(Protocol):
    """Trains jobs."""

    size: int

    def submit(self, context: Context, job: Job) -> Future[Outcome]:
        """Start a job."""
        ...

    def wait(self, futures: Iterable[Future[Outcome]]) -> list[Future[Outcome]]:
        """Return those that are done, as soon as there is one."""
        ...


@contextmanager
def make_workers(
    places: Places, missing: int, data: Mapping[int, Fold], listener: Listener
) -> Iterator[Workers]:
    """Provide workers for ``missing`` runs."""
    gpu = places.accelerator != "cpu" and torch.cuda.is_available()
    cores = psutil.cpu_count(logical=False) or 1
    jobs = places.jobs or (1 if gpu else min(cores, _MOST))
    jobs = max(1, min(jobs, missing))
    if jobs == 1:
        yield _Here(data, listener)
        return
    # spawn: a forked child would inherit the threads of torch and numba in an unknown state.
    context = multiprocessing.get_context("spawn")
    # A simple queue is written at once: a run's last epoch is heard before its result.
    events = context.SimpleQueue()
    threads = max(1, cores // jobs)
    pool = ProcessPoolExecutor(
        jobs, context, initializer=_begin, initargs=(events, threads, places.data, os.getpid())
    )
    try:
        yield _Pool(jobs, pool, events, listener)
    except BaseException:
        for process in list(pool._processes.values()):
            process.kill()  # between two epochs nothing is lost; the same command goes on from there
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Here:
    """One run after the other in this process."""

    size = 1

    def __init__(self, data: Mapping[int, Fold], listener: Listener) -> None:
        self.data, self.listener = data, listener

    def submit(self, context: Context, job: Job) -> Future[Outcome]:
        done: Future[Outcome] = Future()
        done.set_result(_train(context, job, self.data[job.fold], self.listener))
        return done

    def wait(self, futures: Iterable[Future[Outcome]]) -> list[Future[Outcome]]:
        return list(futures)


class _Pool:
    """Several processes; what they say comes through a queue."""

    def __init__(
        self, size: int, pool: ProcessPoolExecutor, events: Any, listener: Listener
    ) -> None:
        self.size, self.pool, self.events, self.listener = size, pool, events, listener

    def submit(self, context: Context, job: Job) -> Future[Outcome]:
        return self.pool.submit(_remote, context, job)

    def wait(self, futures: Iterable[Future[Outcome]]) -> list[Future[Outcome]]:
        pending = list(futures)
        while True:
            done, _ = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
            self._drain()
            if done or not pending:
                return list(done)

    def _drain(self) -> None:
        while not self.events.empty():
            kind, *content = self.events.get()
            getattr(self.listener, kind)(*content)


def _train(context: Context, job: Job, data: Fold, listener: Listener) -> Outcome:
    epochs = context.recipe.train_of(job.stage).epochs
    path = context.folder / job.folder
    locks = context.cache / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    # One process trains a run; another command waits, and the system frees the lock when a process dies.
    with FileLock(locks / job.fingerprint):
        record = read_record(path)
        if record and record["status"] == "complete":
            return Outcome("trained", checkpoint.read_json(path / "evaluation.json"))
        try:
            evaluation = train_one(
                context,
                job,
                data,
                path,
                lambda row: listener.epoch(job, row, epochs),
                listener.progress,
            )
        except DivergedError as error:
            return Outcome(f"failed: {error}", None)
    return Outcome("trained", evaluation)


class _Remote:
    """The listener of a worker: sends everything home, and stops when nobody is there any more."""

    def __init__(self, events: Any, parent: int) -> None:
        self.events, self.parent = events, parent

    def _send(self, *event: Any) -> None:
        if os.getppid() != self.parent:
            os._exit(1)  # the command was killed; a new one may be waiting for this run's lock
        self.events.put(event)

    def progress(self, what: str, fraction: float) -> None:
        self._send("progress", what, fraction)

    def begin(self, job: Job, number: int, total: int) -> None:
        self._send("begin", job, number, total)

    def epoch(self, job: Job, row: Mapping[str, Any], epochs: int) -> None:
        self._send("epoch", job, row, epochs)

    def end(self, job: Job, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        self._send("end", job, outcome, evaluation)


_worker: dict[str, Any] = {}  # of a worker process: its listener, and the data it has read already


def _begin(events: Any, threads: int, home: Path | None, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it stops us
    torch.set_num_threads(threads)
    _worker.update(listener=_Remote(events, parent), home=home, folds={})


def _remote(context: Context, job: Job) -> Outcome:
    if "dataset" not in _worker:
        _worker["dataset"] = load_data(context.recipe, _worker["home"], None)
    if job.fold not in _worker["folds"]:
        _worker["folds"][job.fold] = Fold.of(
            context.recipe, _worker["dataset"], job.fold, context.cache / "modalities"
        )
    return _train(context, job, _worker["folds"][job.fold], _worker["listener"])
