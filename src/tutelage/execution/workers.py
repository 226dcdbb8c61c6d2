"""Where runs are trained: in this process, or side by side in several.

Networks as small as these do not fill two cores: two processes of one thread finish more runs per hour than one
process of two threads, and another program on the machine slows them down less.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from tutelage.errors import UserError, unknown
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener
from tutelage.execution.pool import Pool
from tutelage.execution.threads import cores, fixed_threads, threads_of

__all__ = ["Engine", "RunConfig", "Workers", "make_workers", "refuse_for_cluster", "side_by_side"]

ACCELERATORS = ("cpu", "cuda", "auto")
_MOST = 8  # processes at once; more would need a look at the memory first


@dataclass(frozen=True)
class RunConfig:
    """Where things lie and run.

    Args:
        runs: root of all experiments.
        data: root of data sets; None for the user's default.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        jobs: runs side by side; 0 takes one per core on a CPU, and one on a GPU.
        devices: processes of one training, each with its part of every batch; more than one train one run after
            the other.
        trust: checkpoints of runs given by path may name classes of other packages, which are imported.

    Raises:
        UserError: this machine has no such device, or a number is too small.
    """

    runs: Path = Path("runs")
    data: Path | None = None
    accelerator: str = "auto"
    jobs: int = 1
    devices: int = 1
    trust: bool = False

    def __post_init__(self) -> None:
        """Refuse what this machine does not have, before anything is prepared."""
        if self.accelerator not in ACCELERATORS:
            raise unknown("--device", "device", self.accelerator, ACCELERATORS)
        if self.accelerator == "cuda" and not torch.cuda.is_available():
            raise UserError("--device cuda: found no GPU that PyTorch can use; allowed: cpu, auto")
        for option, number, least in (("jobs", self.jobs, 0), ("devices", self.devices, 1)):
            if number < least:
                raise UserError(f"--{option}: found {number}; allowed: {least} or more")

    @property
    def cache(self) -> Path:
        """Root of representations and teacher outputs."""
        return self.runs / ".cache"


class Workers(Protocol):
    """Does pieces of work: ``work(*arguments, kept, listener)``, by a function of a module."""

    size: int

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a piece of work; at most ``size`` at a time.

        Its future raises what the work raised, or :class:`~tutelage.execution.pool.WorkerDiedError`.
        """
        ...

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None
    ) -> list[Future[Any]]:
        """Return those that are done, as soon as there is one, or none after ``timeout`` seconds."""
        ...


Engine = Callable[[RunConfig, int, DataCache, Listener], AbstractContextManager[Workers]]
"""Provides workers for so many missing runs; :func:`make_workers` on this machine, others on many."""


def refuse_for_cluster(config: RunConfig, engine: str) -> None:
    """Refuse what cannot be carried out by workers of several machines.

    Raises:
        UserError: the path of the runs is relative, or one training wants several processes.
    """
    if not config.runs.is_absolute():
        raise UserError(
            f"--runs: found {config.runs}; allowed with --engine {engine}: a path from the root, "
            "alike on all machines"
        )
    if config.devices > 1:
        raise UserError(
            f"--devices: found {config.devices}; allowed with --engine {engine}: 1, for whole runs are divided"
        )


def side_by_side(config: RunConfig, missing: int) -> int:
    """Return how many of ``missing`` runs go side by side on this machine."""
    if config.devices > 1:
        return 1
    gpu = config.accelerator != "cpu" and torch.cuda.is_available()
    jobs = config.jobs or (1 if gpu else min(cores(), _MOST))
    return max(1, min(jobs, missing))


@contextmanager
def make_workers(
    config: RunConfig, missing: int, kept: DataCache, listener: Listener
) -> Iterator[Workers]:
    """Provide workers of this machine for ``missing`` runs."""
    jobs = side_by_side(config, missing)
    if jobs == 1:
        with fixed_threads(threads_of(1)):
            yield _Here(kept, listener)
        return
    pool = Pool(jobs, threads_of(jobs), config.data, config.cache, listener)
    try:
        yield pool
    finally:
        pool.close()


class _Here:
    """One piece of work after the other in this process."""

    size = 1

    def __init__(self, kept: DataCache, listener: Listener) -> None:
        self.kept, self.listener = kept, listener

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*arguments, self.kept, self.listener))
        except Exception as error:
            done.set_exception(error)
        return done

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None
    ) -> list[Future[Any]]:
        return list(futures)
