"""How every kernel of this package is compiled, and how a batch is shared among threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from tutelage.errors import UserError

Function = TypeVar("Function", bound=Callable[..., Any])
Float = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[Any]

SOURCE = sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()


def kernel(function: Function, **options: Any) -> Function:
    """Compile a function that releases the interpreter lock.

    numba's own parallelism stays off: its OpenMP layer resets ``torch.set_num_threads`` and slows
    every small torch operation of the same process. ``contract`` allows fused multiply-add and
    nothing else, so NaN, infinities and the order of sums keep their meaning.

    Args:
        function: plain Python over scalars and arrays.
        options: more of ``numba.njit``.

    Returns:
        The compiled function, cached on disk beside the package (or in the user's cache folder
        where the package is read-only).
    """
    compile_it = numba.njit(
        nogil=True, cache=True, error_model="numpy", fastmath={"contract"}, **options
    )
    compiled = compile_it(function)
    # numba recompiles a function when its own file changes, but kernels call those of other files:
    # without this, a change in one file would silently leave its old code inside another's cache
    compiled._cache._cache_file._source_stamp = SOURCE
    return cast(Function, compiled)


def copied(function: Function) -> Function:
    """Compile a function that is copied into every kernel that calls it, with its many arguments."""
    return kernel(function, forceinline=True)


def workers(n_jobs: int | None) -> int:
    """Return the number of threads that ``n_jobs`` asks for, by scikit-learn's convention.

    Args:
        n_jobs: None or 1: this thread; -1: every core this process may use; n: n threads.

    Returns:
        A count >= 1.

    Raises:
        UserError: ``n_jobs`` is 0 or below -1.
    """
    if n_jobs is None:
        return 1
    if n_jobs == -1:
        affinity = getattr(os, "sched_getaffinity", None)  # Linux only
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if n_jobs < 1:
        raise UserError(f"n_jobs: found {n_jobs}, allowed: None, -1 (all cores) or >= 1")
    return n_jobs


def in_threads(work: Callable[[int, int], None], count: int, n_jobs: int | None) -> None:
    """Call ``work(start, stop)`` over consecutive pieces of ``range(count)``.

    Every item is computed by itself, so the result does not depend on the cut.

    Args:
        work: writes its own piece of the output.
        count: number of items.
        n_jobs: see :func:`workers`.
    """
    threads = min(workers(n_jobs), count)
    if threads <= 1:
        if count:
            work(0, count)
        return
    # four pieces per thread: signals differ in cost, and the last piece should be short
    edges = np.linspace(0, count, min(count, 4 * threads) + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work, int(a), int(b)) for a, b in pairwise(edges)]:
            future.result()
