"""One run, trained by one process only: whoever holds its lock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from tutelage.errors import UserError, is_storage, system_sentence
from tutelage.execution.data_cache import DataCache
from tutelage.execution.distributed import train_on_ranks
from tutelage.execution.listener import Listener
from tutelage.execution.threads import fixed_threads
from tutelage.files import remove_leftovers
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.folder import evaluation_of, fail_run, known_record
from tutelage.runs.search import find_run, take_over
from tutelage.train import DivergedError
from tutelage.training.single import Context, train_one

__all__ = ["Outcome", "claimed", "evaluation_for", "is_claimed", "outcome_of", "run_outcome"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        text: for the screen: ``trained``, ``found``, ``stopped: ...`` or ``failed: ...``.
        evaluation: if it is complete, by split; without the test split for a blind run.
        path: of the run folder, if it is complete.
        elsewhere: another process is training it, so nothing was done.
    """

    text: str
    evaluation: Mapping[str, Any] | None = None
    path: Path | None = None
    elsewhere: bool = False


def run_outcome(context: Context, spec: RunSpec, kept: DataCache, listener: Listener) -> Outcome:
    """Train a run, go on with it, or find it; whatever goes wrong with it is its outcome.

    Args:
        context: of the experiment.
        spec: the run.
        kept: data that this process has read.
        listener: who is told.
    """
    with claimed(context, spec) as settled:
        return settled or _train(context, spec, kept, listener)


@contextmanager
def claimed(context: Context, spec: RunSpec) -> Iterator[Outcome | None]:
    """Hold the lock of a run; give its outcome where there is nothing to train, or another process is training it.

    The system frees the lock when a process dies, however it dies.
    """
    lock = _lock(context.cache, spec)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield Outcome("trained by another process", elsewhere=True)
        return
    except OSError as error:
        yield Outcome(f"stopped: {system_sentence(error)}")
        return
    try:
        runs = context.cache.parent
        found = find_run(spec, context.folder, runs)
        if found is not None:
            yield Outcome("found", evaluation_for(spec, found), found)
        else:
            path = context.folder / spec.folder
            remove_leftovers(path)
            take_over(spec, path, runs)
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
    except DivergedError as error:  # its folder says so
        return Outcome(f"failed: {error}")
    except Exception as error:  # one run must not stop the others; the sentence says what it was
        if isinstance(error, OSError) and is_storage(error):  # it goes on when there is room
            return Outcome(f"stopped: {system_sentence(error)}")
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    with suppress(OSError):  # a disk too full for the record: then the run is to be done again
        fail_run(path, why)
    return Outcome(f"failed: {why}")


def is_claimed(cache: Path, spec: RunSpec) -> bool:
    """Return whether a process is training a run at this moment."""
    return is_held(_lock(cache, spec))


def is_held(lock: FileLock) -> bool:
    """Return whether a process holds a lock at this moment."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def _lock(cache: Path, spec: RunSpec) -> FileLock:
    locks = cache / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / spec.fingerprint)


def evaluation_for(spec: RunSpec, path: Path) -> dict[str, Any]:
    """Return the evaluation of a complete run, as far as a spec may know it: if it is blind, without the test.

    A network that was converted and not trained here (``run:`` of a folder without a record) has none.
    """
    if spec.run is not None and known_record(path) is None:
        return {}
    tested = ("test", "test_legacy") if spec.blind else ()
    return {k: values for k, values in evaluation_of(path).items() if k not in tested}


def _train(context: Context, spec: RunSpec, kept: DataCache, listener: Listener) -> Outcome:
    path = context.folder / spec.folder

    def train() -> Mapping[str, Any]:
        if context.devices > 1:
            return train_on_ranks(context, spec, kept.home, path, listener)
        with fixed_threads(_threads(path)):
            return train_one(
                spec, kept.fold(spec.data, spec.fold), context, path,
                lambda row: listener.epoch(spec, row, spec.train.epochs), listener.progress,
            )  # fmt: skip

    return outcome_of(path, train)


def _threads(path: Path) -> int:
    """Return the threads of a run: those that it began with, or else those of this worker."""
    record = known_record(path)
    began: int | None = record.environment.get("threads") if record else None
    return began or torch.get_num_threads()
