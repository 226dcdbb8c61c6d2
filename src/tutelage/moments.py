"""Mean and standard deviation of values that arrive piece by piece, whatever their scale and offset."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Moments", "resolution"]

Array = npt.NDArray[Any]


class Moments:
    """Mean and standard deviation per row, of pieces.

    Everything is counted from the mean of the first piece, and pieces are joined by their own means: nothing is
    lost where the mean is far larger than the deviations, as it is in E[x^2] - E[x]^2.

    Attributes:
        count: values per row.
        largest: largest absolute value, [rows].

    Source:
        Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance".
    """

    def __init__(self) -> None:
        self.count = 0
        self.origin = self.offset = self.squares = self.largest = np.zeros(1)

    def add(self, values: Array) -> None:
        """Take in a piece, [rows, n], float64, n > 0."""
        count = values.shape[1]
        if not self.count:
            self.origin = values.mean(axis=1)
        moved = values - self.origin[:, None]
        offset = moved.mean(axis=1)
        squares = np.square(moved - offset[:, None]).sum(axis=1)
        step, total = offset - self.offset, self.count + count
        self.offset = self.offset + step * (count / total)
        self.squares = self.squares + squares + step**2 * (self.count * count / total)
        self.largest = np.maximum(self.largest, np.abs(values).max(axis=1))
        self.count = total

    @property
    def mean(self) -> Array:
        """Mean, [rows]."""
        return self.origin + self.offset

    @property
    def std(self) -> Array:
        """Standard deviation, [rows]."""
        deviation: Array = np.sqrt(self.squares / self.count)
        return deviation


def resolution(dtype: npt.DTypeLike) -> float:
    """Return how far apart values may lie that are equal but for rounding, relative to their size.

    Args:
        dtype: in which they were stored; means of them are taken in float64.
    """
    kind = np.dtype(dtype)
    stored = float(np.finfo(kind).eps) if kind.kind == "f" else 0.0
    return max(stored, 8 * float(np.finfo(np.float64).eps))
