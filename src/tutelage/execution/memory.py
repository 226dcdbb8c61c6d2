"""Memory of a process that does one piece of work after the other."""

import ctypes
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """Return freed memory to the system, where its allocator would keep it.

    Once it has freed a large block, glibc takes all blocks up to that size, of at most 32 MB, from a heap that
    shrinks only at its end: a process that trains networks of many shapes grows, though nothing in it is alive.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # another libc has none
        if trim is not None:
            trim(0)
