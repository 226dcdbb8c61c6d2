"""One run trained by several processes of this machine, each with its part of every batch."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from tutelage.errors import UserError
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener, Quiet, Remote, relay
from tutelage.ranks import Ranks
from tutelage.recipe.keys import Train
from tutelage.recipe.resolve import RunSpec
from tutelage.train import DivergedError
from tutelage.training.single import Context, train_one

__all__ = ["train_on_ranks"]


def train_on_ranks(
    context: Context, spec: RunSpec, home: Path | None, path: Path, listener: Listener
) -> dict[str, Any]:
    """Train a run in ``context.devices`` processes; the first of them writes, all others only compute.

    Args:
        context: of the experiment.
        spec: the run.
        home: root of data sets; None for the user's default.
        path: of the run folder.
        listener: who is told.

    Returns:
        The evaluation, by split.

    Raises:
        UserError: the run cannot be divided, or something does not fit.
        DivergedError: the run was stopped; the folder says why.
    """
    from lightning_fabric import Fabric

    _refuse_indivisible(spec.train, context, f"{spec.place}.train")
    fabric = Fabric(
        accelerator=context.accelerator,
        devices=context.devices,
        strategy="ddp_spawn",
        precision=spec.train.precision,
    )
    with _heard(listener) as said:
        # Bound, not given: Fabric looks into arguments for tensors, and refuses frozen dataclasses.
        found = fabric.launch(
            partial(_work, context=context, spec=spec, home=home, path=path, said=said)
        )
    error = found.get("error")
    if error is None:
        return dict(found["evaluation"])
    raise DivergedError(*error) if len(error) > 1 else UserError(*error)


def _refuse_indivisible(train: Train, context: Context, place: str) -> None:
    devices = context.devices
    if train.compile:
        raise UserError(
            f"{place}.compile: true, but a network whose batches are divided is not compiled (allowed: false, "
            "or --devices 1)"
        )
    if train.batch_size < devices:
        raise UserError(
            f"{place}.batch_size: {train.batch_size} samples cannot be divided among {devices} processes"
        )
    if context.accelerator != "cpu" and 0 < torch.cuda.device_count() < devices:
        raise UserError(
            f"--devices: found {devices}; allowed: 1 to {torch.cuda.device_count()}, the GPUs of this machine, "
            "or --device cpu"
        )


def _work(
    fabric: Any, context: Context, spec: RunSpec, home: Path | None, path: Path, said: Connection
) -> dict[str, Any]:
    """Do one process' part; return the evaluation, or what a run was stopped for."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # of Ctrl-C, or of a command that is there no more
    ranks = Ranks(fabric)
    listener: Listener = Quiet() if ranks.rank else Remote(said.send)
    kept = DataCache(home, context.cache, listener.progress)
    # The command holds the run's lock. When it is killed, its processes may live a little longer than the lock.
    lock = FileLock(context.cache / "locks" / f"{spec.fingerprint}.spread")
    with nullcontext() if ranks.rank else lock:
        ranks.wait()
        try:
            evaluation = train_one(
                spec, kept.fold(spec.data, spec.fold), context, path,
                lambda row: listener.epoch(spec, row, spec.train.epochs), listener.progress, ranks,
            )  # fmt: skip
        except DivergedError as error:
            return {"error": (error.kind, error.objective, error.epoch, str(error))}
        except ValueError as error:  # also of an objective, in its first step
            return {"error": (str(error),)}
    return {"evaluation": evaluation}


@contextmanager
def _heard(listener: Listener) -> Iterator[Connection]:
    """Provide a pipe for what the first process says; the listener is told while this one waits."""
    ours, theirs = get_context("spawn").Pipe(duplex=False)
    over = threading.Event()

    def hear() -> None:
        while ours.poll(0.1) or not over.is_set():
            if ours.poll():
                kind, content = ours.recv()
                relay(listener, (kind, content))

    thread = threading.Thread(target=hear, daemon=True)
    thread.start()
    try:
        yield theirs
    finally:
        over.set()
        thread.join()
        ours.close()
        theirs.close()
