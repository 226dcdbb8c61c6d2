"""Cutting labelled recordings into windows."""

import numpy as np

from tutelage.data.dataset import Ints


def runs(labels: np.ndarray) -> Ints:
    """Return first and last-plus-one row of every stretch of one label, [runs, 2].

    Examples:
        >>> runs(np.array([5, 5, 7, 5])).tolist()
        [[0, 2], [2, 3], [3, 4]]
    """
    edges = np.flatnonzero(np.diff(labels)) + 1
    bounds = np.concatenate([[0], edges, [len(labels)]]).astype(np.int64)
    return np.stack([bounds[:-1], bounds[1:]], axis=1)[: len(labels)]


def starts_within_runs(labels: np.ndarray, allowed: set[int], window: int, stride: int) -> Ints:
    """Return the first rows of all windows that lie inside one run of an allowed label.

    The first window of a run starts where the run starts.

    Args:
        labels: one per row, [rows].
        allowed: labels that give windows.
        window: length in rows.
        stride: rows from one start to the next.

    Returns:
        [windows] int64, increasing.
    """
    parts = [
        np.arange(first, end - window + 1, stride, dtype=np.int64)
        for first, end in runs(labels).tolist()
        if int(labels[first]) in allowed
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def cut(rows: np.ndarray, starts: Ints, window: int) -> np.ndarray:
    """Return windows [len(starts), channels, window] float32 of a recording [rows, channels]."""
    view = np.lib.stride_tricks.sliding_window_view(rows, window, axis=0)
    return np.ascontiguousarray(view[starts], dtype=np.float32)
