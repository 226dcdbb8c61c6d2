from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tutelage.data.windows import cut, runs, starts_within_runs

labels_of = st.lists(st.sampled_from([-1, 1, 2, 7]), min_size=0, max_size=60)


def slow_starts(labels, allowed, window, stride):
    """Walk over every run, row by row."""
    found, first = [], 0
    while first < len(labels):
        end = first
        while end < len(labels) and labels[end] == labels[first]:
            end += 1
        start = first
        while labels[first] in allowed and start + window <= end:
            found.append(start)
            start += stride
        first = end
    return found


@given(labels_of, st.integers(1, 9), st.integers(1, 9))
def test_starts_equal_the_slow_walk(labels, window, stride):
    found = starts_within_runs(np.array(labels, np.int64), {1, 2}, window, stride)
    assert found.tolist() == slow_starts(labels, {1, 2}, window, stride)
    assert found.dtype == np.int64


@given(labels_of)
def test_runs_tile_the_rows(labels):
    found = runs(np.array(labels, np.int64)).tolist()
    assert [row for first, end in found for row in range(first, end)] == list(range(len(labels)))
    for first, end in found:
        assert len(set(labels[first:end])) == 1
    for (first, _), (after, _) in pairwise(found):
        assert labels[first] != labels[after]


def test_cut_takes_channels_by_time():
    rows = np.arange(20.0).reshape(10, 2)
    found = cut(rows, np.array([0, 7]), 3)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.tolist() == [[[0, 2, 4], [1, 3, 5]], [[14, 16, 18], [15, 17, 19]]]
