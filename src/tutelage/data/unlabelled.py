"""Samples without a label: they can be trained on by who reads none, and nobody is chosen or tested by them."""

from dataclasses import replace

import numpy as np

from tutelage.data.choosing import sessions_of
from tutelage.data.dataset import DataSet, Ints
from tutelage.data.split import Split, Splitter

__all__ = ["count_labelled", "split_labelled"]


def split_labelled(splitter: Splitter, dataset: DataSet, fold: int) -> Split:
    """Return one fold of the labelled samples; the others train.

    Left out are those without a label of a person, a recording or an official part that decides or is tested (of
    an occasion, where a split is within people).

    Args:
        splitter: who splits.
        dataset: the data; labels of -1 are none.
        fold: counted from 0.
    """
    known = dataset.labels >= 0
    if known.all():
        return splitter.split(dataset, fold)
    ids = np.flatnonzero(known)
    split = splitter.split(dataset.take(ids), fold)
    train, validation, test = (ids[side] for side in split.sides().values())
    split = replace(split, train=train, validation=validation, test=test)
    free = _free(dataset, split, np.flatnonzero(~known))
    return replace(split, train=np.sort(np.concatenate([train, free])))


def count_labelled(splitter: Splitter, dataset: DataSet) -> int:
    """Return how many folds there are of the labelled samples."""
    known = dataset.labels >= 0
    return splitter.count(dataset if known.all() else dataset.take(np.flatnonzero(known)))


def _free(dataset: DataSet, split: Split, index: Ints) -> Ints:
    """Return those of these samples that belong to nobody and nothing on the other sides."""
    held = np.concatenate([split.validation, split.test])
    for part in (dataset.official_test, dataset.official_validation):
        index = index if part is None else index[~part[index]]
    people = _occasions(dataset) if split.within_subjects else dataset.subjects
    for column in (people, dataset.recordings):
        if column is not None:
            index = index[~np.isin(column[index], column[held])]
    return index


def _occasions(dataset: DataSet) -> np.ndarray:
    """Return a name for each person's session, [N]."""
    assert dataset.subjects is not None
    return np.char.add(np.char.add(dataset.subjects, "\n"), sessions_of(dataset, "SessionOut"))
