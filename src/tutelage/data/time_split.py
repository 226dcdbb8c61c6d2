"""Splits by time: earlier windows train, later ones decide, the last are tested."""

from dataclasses import dataclass

import numpy as np

from tutelage.data.choosing import check_fold, check_fraction
from tutelage.data.dataset import DataSet, Ints
from tutelage.data.split import Split, unseen_classes
from tutelage.errors import UserError


@dataclass(frozen=True)
class TimeSplit:
    """The last part of each person's recordings is tested, the part before decides: the same people, later.

    Windows that overlap in time with a later side are left out, so sides share no sample. People are on all sides,
    so this says nothing about new people.

    Args:
        test: fraction of each person's windows, in (0, 1).
        validation: fraction of each person's windows, in [0, 1).
    """

    test: float = 0.2
    validation: float = 0.1

    def count(self, dataset: DataSet) -> int:
        """Return 1."""
        return 1

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the split.

        Raises:
            UserError: the data set does not tell when its windows were taken, or a class is only tested.
        """
        check_fold("TimeSplit", fold, 1)
        for name in ("test", "validation"):
            check_fraction(f"TimeSplit.{name}", getattr(self, name))
        check_fraction("TimeSplit.test + validation", self.test + self.validation)
        if dataset.recordings is None or dataset.starts is None:
            raise UserError(
                f"TimeSplit: data set {dataset.name!r} does not tell when its windows were taken; use "
                "OfficialSplit or "
                "RandomSplit"
            )
        people = np.zeros(len(dataset), np.int64)
        if dataset.subjects is not None:
            people = np.unique(dataset.subjects, return_inverse=True)[1]
        parts = [
            self._sides(dataset, np.flatnonzero(people == one)) for one in range(people.max() + 1)
        ]
        train, validation, test = (
            np.sort(np.concatenate(side)) for side in zip(*parts, strict=True)
        )
        known = dataset.subjects is not None
        split = Split("later", train, validation, test, within_subjects=known)
        unseen = unseen_classes(dataset, split)
        if unseen:
            raise UserError(
                f"TimeSplit: the last part of {dataset.name!r} has {', '.join(unseen)}, which no earlier part "
                "has; use "
                "SessionOut or a split by subjects"
            )
        return split

    def _sides(self, dataset: DataSet, mine: Ints) -> list[Ints]:
        """Return training, validation and test windows of one person."""
        assert dataset.recordings is not None
        assert dataset.starts is not None
        order = mine[np.lexsort((dataset.starts[mine], dataset.recordings[mine]))]
        tested = max(1, round(self.test * len(order))) if self.test else 0
        chosen = round(self.validation * len(order))
        first, second = len(order) - tested - chosen, len(order) - tested
        train, validation, test = order[:first], order[first:second], order[second:]
        return [_before(dataset, train, order[first:]), _before(dataset, validation, test), test]


def _before(dataset: DataSet, side: Ints, later: Ints) -> Ints:
    """Return the windows of a side that end before the first window of a later side begins."""
    assert dataset.recordings is not None
    assert dataset.starts is not None
    if not len(later):
        return side
    here = dataset.recordings[side] == dataset.recordings[later[0]]
    end = dataset.starts[side] + dataset.inputs.shape[-1]
    return np.asarray(side[~here | (end <= dataset.starts[later[0]])])
