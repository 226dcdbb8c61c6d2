"""One run, trained by one process only: whoever holds its lock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.execution.data_cache import DataCache
from tutelage.execution.distributed import train_spread
from tutelage.execution.listener import Listener
from tutelage.recipe.resolve import Job
from tutelage.runs.folder import fail_run
from tutelage.runs.search import find_run, take_over
from tutelage.train import DivergedError
from tutelage.training.single import Context, train_one

__all__ = ["Outcome", "claimed", "locked", "outcome_of", "train_once"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        text: for the screen: ``trained``, ``found`` or ``failed: ...``.
        evaluation: if it is complete.
        path: of the run folder, if it is complete.
        elsewhere: another process is training it, so nothing was done.
    """

    text: str
    evaluation: Mapping[str, Any] | None = None
    path: Path | None = None
    elsewhere: bool = False


def train_once(context: Context, job: Job, kept: DataCache, listener: Listener) -> Outcome:
    """Train a run, go on with it, or find it; whatever goes wrong with it is its outcome.

    Args:
        context: of the experiment.
        job: the run.
        kept: data that this process has read.
        listener: who is told.
    """
    with claimed(context, job) as settled:
        return settled or _train(context, job, kept, listener)


@contextmanager
def claimed(context: Context, job: Job) -> Iterator[Outcome | None]:
    """Hold the lock of a run; give its outcome where there is nothing to train, or another process is training it.

    The system frees the lock when a process dies, however it dies.
    """
    lock = _lock(context.cache, job)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield Outcome("trained by another process", elsewhere=True)
        return
    try:
        runs = context.cache.parent
        found = find_run(job, context.folder, runs)
        if found is not None:
            yield Outcome("found", checkpoint.read_json(found / "evaluation.json"), found)
        else:
            take_over(job, context.folder / job.folder, runs)
            yield None
    finally:
        lock.release()


def outcome_of(path: Path, train: Callable[[], Mapping[str, Any]]) -> Outcome:
    """Return the outcome of a run; whatever goes wrong with it is its outcome.

    Args:
        path: of the run folder.
        train: returns the evaluation.
    """
    try:
        return Outcome("trained", train(), path)
    except DivergedError as error:
        return Outcome(f"failed: {error}")
    except UserError as error:
        fail_run(path, str(error))
        return Outcome(f"failed: {error}")
    except Exception as error:  # one run must not stop the others; the sentence says what it was
        fail_run(path, f"{type(error).__name__}: {error}")
        return Outcome(f"failed: {type(error).__name__}: {error}")


def locked(cache: Path, job: Job) -> bool:
    """Return whether a process is training a run at this moment."""
    lock = _lock(cache, job)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def _lock(cache: Path, job: Job) -> FileLock:
    locks = cache / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / job.fingerprint)


def _train(context: Context, job: Job, kept: DataCache, listener: Listener) -> Outcome:
    path = context.folder / job.folder
    epochs = context.recipe.train_of(job.stage).epochs

    def train() -> Mapping[str, Any]:
        if context.devices > 1:
            return train_spread(context, job, kept.home, path, listener)
        return train_one(
            context, job, kept.fold(context.recipe, job.fold), path,
            lambda row: listener.epoch(job, row, epochs), listener.progress,
        )  # fmt: skip

    return outcome_of(path, train)
