"""Ordering names as people do, and numbering them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tutelage.data.dataset import Ints

NONE = -1  # no name; of labels, unlabelled


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sorting key that puts S2 before S10.

    Examples:
        >>> sorted(["S10", "S2", "S1"], key=natural)
        ['S1', 'S2', 'S10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def numbered(names: Sequence[str]) -> tuple[Ints, list[str]]:
    """Return a number for each name, and the different names in natural order.

    Examples:
        >>> numbered(["cat", "ant", "cat"])
        (array([1, 0, 1]), ['ant', 'cat'])
    """
    tokens = sorted(set(names), key=natural)
    numbers = {token: number for number, token in enumerate(tokens)}
    return np.array([numbers[name] for name in names], np.int64), tokens


@dataclass
class ColumnNames:
    """The different names of a column, in the order in which they were met.

    Args:
        known: name -> number.
        order: names of ordered categories, where a table has them.
    """

    known: dict[str, int] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def number(self, name: str) -> int:
        """Return the number of a name."""
        return self.known.setdefault(name, len(self.known))

    def numbers(self, column: Any) -> Ints:
        """Return a number for every row of a pandas column, [rows]; -1 where it is empty."""
        import pandas as pd

        if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
            self.order = tuple(map(_text, column.cat.categories))
        codes, values = pd.factorize(column, use_na_sentinel=True)
        lookup = np.array(
            [NONE if (text := _text(value)) == "" else self.number(text) for value in values]
            + [NONE],
            np.int64,
        )
        return lookup[codes]

    def sorted(self) -> list[str]:
        """Return all names: as a table orders its categories, else in natural order."""
        if set(self.known) <= set(self.order):
            return [name for name in self.order if name in self.known]
        return sorted(self.known, key=natural)


def _text(value: Any) -> str:
    """Return a name as text; whole numbers that a table holds as 1.0 are 1."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def text_labels(values: Any) -> tuple[Ints, list[str]]:
    """Return the number of each label, -1 where it is empty, and the different labels in order.

    The order is that of ordered categories, else natural. Whole numbers that a table holds as 1.0 are "1".

    Args:
        values: [N] texts, or a column of pandas.

    Examples:
        >>> text_labels(np.array(["walk", "", "rest"]))
        (array([ 1, -1,  0]), ['rest', 'walk'])
    """
    import pandas as pd

    names = ColumnNames()
    met = names.numbers(pd.Series(values))
    ordered = names.sorted()
    lookup = np.array([*(ordered.index(name) for name in names.known), NONE], np.int64)
    return lookup[met], ordered
