"""Ordering names as people do, and numbering them."""

import re
from collections.abc import Sequence

import numpy as np

from tutelage.data.dataset import Ints


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sorting key that puts S2 before S10.

    Example:
        >>> sorted(["S10", "S2", "S1"], key=natural)
        ['S1', 'S2', 'S10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def numbered(names: Sequence[str]) -> tuple[Ints, list[str]]:
    """Return a number for each name, and the different names in natural order.

    Example:
        >>> numbered(["cat", "ant", "cat"])
        (array([1, 0, 1]), ['ant', 'cat'])
    """
    tokens = sorted(set(names), key=natural)
    numbers = {token: number for number, token in enumerate(tokens)}
    return np.array([numbers[name] for name in names], np.int64), tokens
