"""A process does not keep what it has freed."""

import platform

import numpy as np
import psutil
import pytest

from tutelage.execution.memory import give_back

MEGABYTE = 2**20


def resident():
    return psutil.Process().memory_info().rss / MEGABYTE


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc")
def test_freed_blocks_leave_the_process():
    del (large := [np.ones(30 * MEGABYTE, np.uint8)])[0]  # from now on smaller ones share a heap
    blocks = [np.ones(MEGABYTE, np.uint8) for _ in range(200)]
    above = np.ones(MEGABYTE, np.uint8)  # so that the heap cannot shrink by itself
    blocks.clear()
    before = resident()
    give_back()
    assert before - resident() > 150 and above.all() and not large
