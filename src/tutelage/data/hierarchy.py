"""Tasks above finer classes: the classes of a data set put into groups, and kept as concepts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tutelage.data.dataset import Ints


def grouped(
    labels: Ints, names: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return what :class:`~tutelage.data.DataSet` needs when groups of classes become the classes.

    Args:
        labels: fine classes, [N].
        names: of the fine classes, by number.
        groups: name of each group -> names of its fine classes; every class is in one group.

    Returns:
        ``labels``, ``class_names``, ``concepts`` and ``concept_names`` as keyword arguments.

    Examples:
        >>> found = grouped(np.array([2, 0]), ("cat", "dog", "ship"), {"ship": ["ship"], "pet": ["cat", "dog"]})
        >>> found["labels"], found["concepts"]["global"]
        (array([0, 1]), array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32))
    """
    table = np.full(len(names), -1, np.int64)
    for number, members in enumerate(groups.values()):
        for name in members:
            table[list(names).index(name)] = number
    assert (table >= 0).all(), "a class is in no group"
    return {"labels": table[labels], "class_names": tuple(groups)} | as_concepts(labels, names)


def as_concepts(labels: Ints, names: Sequence[str]) -> dict[str, Any]:
    """Return fine classes as concepts of the whole sample, as keyword arguments of a data set.

    Args:
        labels: fine classes, [N].
        names: of the fine classes, by number.

    Returns:
        ``concepts`` and ``concept_names``; in each row of ``concepts`` one 1.
    """
    rows = np.zeros((len(labels), len(names)), np.float32)
    rows[np.arange(len(labels)), labels] = 1
    return {"concepts": {"global": rows}, "concept_names": {"global": tuple(names)}}
