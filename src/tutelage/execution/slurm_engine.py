"""Runs as jobs of a Slurm cluster, whose machines share the folder of runs."""

import os
import pickle
import shutil
import stat
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from tutelage.errors import UserError, library, one_line
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener, relay
from tutelage.execution.pool import WorkerDiedError
from tutelage.execution.slurm_job import SlurmWork
from tutelage.execution.slurm_options import JobOptions
from tutelage.execution.threads import rest_when_idle
from tutelage.execution.workers import Engine, RunConfig, Workers, refuse_for_cluster

__all__ = ["SlurmWorkers", "exchange", "slurm_engine"]

_POLL = 1.0  # seconds between two looks at what jobs have written
_LOOK = 15.0  # seconds between two questions to Slurm
_MOST = 1000  # jobs at once; an array has 1001 places unless an administrator says otherwise
_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "REVOKED", "TIMEOUT",
}  # fmt: skip


def slurm_engine(options: JobOptions) -> Engine:
    """Return an engine that submits each piece of work as a job, those that can begin together as an array.

    Args:
        options: of every job.

    Raises:
        UserError: submitit is not installed, or this machine submits nothing to Slurm.
    """
    submitit = library("submitit", "--engine slurm", "slurm")
    if any(shutil.which(command) is None for command in ("sbatch", "srun", "squeue")):
        raise UserError(
            "--engine slurm: found no sbatch, srun and squeue here; run it where jobs are submitted to Slurm"
        )

    @contextmanager
    def slurm_workers(
        config: RunConfig, missing: int, kept: DataCache, listener: Listener
    ) -> Iterator[Workers]:
        refuse_for_cluster(config, "slurm")
        size = max(1, min(missing, config.jobs or _MOST))
        executor = submitit.SlurmExecutor(exchange(config.cache), max_num_timeout=10**6)
        executor.update_parameters(**options.parameters, array_parallelism=size)
        workers = SlurmWorkers(executor, states, config, options.threads, size, listener, _LOOK)
        try:
            yield workers
        finally:
            workers.close()

    return slurm_workers


def exchange(cache: Path) -> Path:
    """Return a new folder of this user alone: submitit exchanges pickles with its jobs there.

    Args:
        cache: beside the runs.

    Raises:
        UserError: everybody may replace folders there.
    """
    place = cache / "slurm"
    place.mkdir(parents=True, exist_ok=True)
    for parent in (place, cache, cache.parent):
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise UserError(
                f"--runs: everybody may write into {parent}, where --engine slurm exchanges programs "
                f"with its jobs; run: chmod o-w {parent}"
            )
    return Path(tempfile.mkdtemp(dir=place))


class SlurmWorkers:
    """Jobs of one piece of work each.

    Args:
        executor: of submitit; submits jobs.
        states: asks for the state of jobs by their ids, or None where nobody answers; a job that it does not name
            has ended.
        config: where things lie.
        threads: for tensors, of each job.
        size: largest number of jobs that wait or run.
        listener: is told here what is said there.
        look: seconds between two questions to ``states``.
    """

    def __init__(
        self,
        executor: Any,
        states: Callable[[], Mapping[str, str] | None],
        config: RunConfig,
        threads: int,
        size: int,
        listener: Listener,
        look: float,
    ) -> None:
        self.executor, self.states, self.size, self.listener = executor, states, size, listener
        self.folder = Path(executor.folder)
        home = config.data and config.data.absolute()
        self._given = (home, config.cache, threads)
        self._waiting: list[tuple[Future[Any], SlurmWork]] = []
        self._jobs: dict[Future[Any], _Job] = {}
        self._logs: set[str] = set()  # of those that died
        self._pause, self._looked = look, time.monotonic()
        rest_when_idle()  # jobs have this environment

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Take a piece of work; what is taken before somebody waits is submitted together."""
        said = self.folder / f"{uuid4().hex}.said"
        future: Future[Any] = Future()
        self._waiting.append((future, SlurmWork(work, arguments, *self._given, said)))
        return future

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None
    ) -> list[Future[Any]]:
        """Return those that are done, as soon as there is one, or none after ``timeout`` seconds.

        Raises:
            UserError: Slurm refuses the jobs.
        """
        wanted = list(futures)
        end = float("inf") if timeout is None else time.monotonic() + timeout
        self._send()
        while True:
            self._read()
            self._bury()
            left = end - time.monotonic()
            if left <= 0 or any(future.done() for future in wanted):
                return [future for future in wanted if future.done()]
            time.sleep(min(_POLL, self._pause, left))

    def close(self) -> None:
        """End all jobs; between two epochs nothing is lost. Of what was exchanged, logs of deaths stay."""
        for job in self._jobs.values():
            job.job.cancel(check=False)
        self._jobs, self._waiting = {}, []
        for path in self.folder.iterdir():
            if path.name not in self._logs:
                path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _send(self) -> None:
        """Submit what waits, as one array."""
        if not self._waiting:
            return
        try:
            with (
                _outside(),
                redirect_stderr(StringIO()),
            ):  # what sbatch says is in the error as well
                jobs = self.executor.submit_array([work for _, work in self._waiting])
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"--engine slurm: sbatch refused the jobs: {one_line(error)}"
            ) from error
        for (future, work), job in zip(self._waiting, jobs, strict=True):
            self._jobs[future] = _Job(job, work.said)
        self._waiting = []

    def _read(self) -> None:
        """Pass on what jobs have said, and the results that are there."""
        there = {path.name for path in self.folder.iterdir()}  # one request, also over a network
        for future, job in list(self._jobs.items()):
            done = job.job.paths.result_pickle.name in there
            if job.said.name in there:
                for message in job.words():
                    relay(self.listener, message)
            if done:
                del self._jobs[future]
                self._finish(future, job.job)

    def _finish(self, future: Future[Any], job: Any) -> None:
        try:
            kind, content = job.result()
        except Exception:  # it could not even begin: its machine lacks a package, or a disk
            self._died(future, job, "it could not begin")
            return
        (future.set_result if kind == "result" else future.set_exception)(content)

    def _bury(self) -> None:
        """Find jobs that ended without a result, now and then."""
        if time.monotonic() - self._looked < self._pause or not self._jobs:
            return
        found, self._looked = self.states(), time.monotonic()
        if found is None:
            return
        for future, job in list(self._jobs.items()):
            state = found.get(job.job.job_id, "unknown to Slurm")
            ended = state in _ENDED or job.job.job_id not in found
            if ended and job.ended:  # twice: what it wrote last has arrived, even over a network
                del self._jobs[future]
                self._died(future, job.job, state)
            job.ended = ended

    def _died(self, future: Future[Any], job: Any, why: str) -> None:
        log = job.paths.stderr
        self._logs |= {log.name, job.paths.stdout.name}
        future.set_exception(WorkerDiedError(f"Slurm job {job.job_id} died ({why}; log: {log})"))


@contextmanager
def _outside() -> Iterator[None]:
    """Hide inside that this process is a job itself: its size and place are not those of what it submits."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    from submitit.helpers import clean_env

    where = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        os.environ.update(where)
        yield


@dataclass
class _Job:
    """A job of submitit and the file of what it says."""

    job: Any
    said: Path
    ended: bool = False
    read: int = 0

    def words(self) -> list[Any]:
        """Return what it has said since the last time."""
        with self.said.open("rb") as file:
            file.seek(self.read)
            whole = file.read().rpartition(b"\n")[0]  # the last line may be half written
        self.read += len(whole) + bool(whole)
        return [pickle.loads(b64decode(line)) for line in whole.splitlines()]


def states() -> dict[str, str] | None:
    """Return the state of every job of this user that Slurm remembers, by its id; None if it does not answer.

    ``squeue`` and not ``sacct``: it also answers where nothing is accounted.
    """
    command = ["squeue", "--all", "--array", "--noheader", "--states=all", "--format=%i %T"]
    try:
        found = subprocess.run(
            [*command, f"--user={os.getuid()}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (line.split() for line in found.stdout.splitlines())
    return {line[0]: line[1] for line in lines if len(line) == 2}
