"""Threads of tensors: as many as a run began with, and none that burns a core while it waits.

The last bits of a sum depend on how many threads made it. So a run fixes its own number, records it, and goes on
with it after an interruption, whatever the process around it has set.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

__all__ = ["cores", "fixed_threads", "rest_when_idle", "threads_of"]


def cores() -> int:
    """Return how many cores this process may use."""
    there = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):  # a container or a batch system may give fewer
        there = min(there, len(os.sched_getaffinity(0)))
    return there


def threads_of(jobs: int) -> int:
    """Return the threads of each of ``jobs`` runs side by side; ``OMP_NUM_THREADS`` may lower it."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, cores() // jobs)
    return min(share, max(1, int(told))) if told.isdecimal() else share


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads inside; afterwards with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def rest_when_idle() -> None:
    """Let threads sleep while they wait for work; for this process and those it starts, before torch is imported.

    OpenMP's threads spin otherwise. Beside another program, or beside each other, two spinning threads on two
    cores take several times as long as one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # GNU's and LLVM's runtime
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # Intel's and LLVM's, in milliseconds
