"""What a split is: sample numbers of three sides; and who makes one."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tutelage.data.dataset import DataSet, Ints
from tutelage.errors import UserError


@dataclass(frozen=True, eq=False)
class Split:
    """Sample numbers of the three sides; every choice is made on ``validation``.

    Args:
        name: fit for a folder name, for example ``subject-101``.
        train: sample numbers, increasing, int64.
        validation: the same; empty only when a splitter was told ``validation=0``.
        test: the same; read once, at the end.
        transductive: training sees the inputs of the test side, and none of their labels.
        within_subjects: the same people are on several sides, on other occasions.
    """

    name: str
    train: Ints
    validation: Ints
    test: Ints
    transductive: bool = False
    within_subjects: bool = False

    def sides(self) -> dict[str, Ints]:
        """Return the sample numbers by the name of the side."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@runtime_checkable
class Splitter(Protocol):
    """What makes splits: the classes of :mod:`tutelage.data.splits`."""

    def count(self, dataset: DataSet) -> int:
        """Return how many folds there are."""
        ...

    def split(self, dataset: DataSet, fold: int) -> Split:
        """Return one fold, counted from 0."""
        ...


def unseen_classes(dataset: DataSet, split: Split) -> tuple[str, ...]:
    """Return the classes of the test side that training never sees."""
    missing = np.setdiff1d(dataset.labels[split.test], dataset.labels[split.train])
    return tuple(dataset.class_names[number] for number in missing)


def refuse_one_class(dataset: DataSet, split: Split) -> None:
    """Do nothing when there is something to tell apart.

    Raises:
        UserError: the training side has one class only.
    """
    labels = dataset.labels[split.train]
    classes = np.unique(labels[labels >= 0])
    if len(classes) == 1:
        raise UserError(
            f"split {split.name!r} of data set {dataset.name!r}: found one class on the training side, "
            f"{dataset.class_names[classes[0]]!r}, allowed are two or more"
        )
