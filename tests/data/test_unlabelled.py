"""Samples without a label train, and neither decide nor are tested."""

import numpy as np
import pytest

from tests.data.test_splits import data
from tutelage.data import Arrays
from tutelage.data.prepare import describe
from tutelage.data.splits import GroupedFolds, LeaveOneSubjectOut, SessionOut
from tutelage.data.unlabelled import count_labelled, split_labelled
from tutelage.errors import UserError


def test_they_train_but_for_those_of_people_on_the_other_sides():
    owners = np.repeat(["a", "b", "c", "d", "new"], 4)
    labels = np.tile([0, 1, -1, -1], 5)
    labels[16:] = -1  # of this person nothing is labelled, so nobody tests them
    dataset, splitter = data(owners, labels), LeaveOneSubjectOut(validation=1)
    assert count_labelled(splitter, dataset) == 4
    for fold in range(4):
        split = split_labelled(splitter, dataset, fold)
        test, chosen = set(owners[split.test]), set(owners[split.validation])
        assert test == {"abcd"[fold]}
        assert (labels[split.test] >= 0).all()
        assert (labels[split.validation] >= 0).all()
        rest = [i for i, who in enumerate(owners) if who not in test | chosen]
        assert split.train.tolist() == rest
        assert "new" in owners[split.train]


def test_official_parts_and_sessions_keep_theirs():
    owners = np.repeat(["a", "b"], 6)
    labels = np.tile([0, 1, -1], 4)
    sessions = np.tile(np.repeat(["s1", "s2"], 3), 2)
    split = split_labelled(SessionOut(validation=0), data(owners, labels, sessions=sessions), 0)
    assert split.test.tolist() == [0, 1, 6, 7]
    assert split.train.tolist() == [3, 4, 5, 9, 10, 11]


def test_data_with_all_labels_are_split_as_ever():
    dataset, splitter = data(np.repeat(["a", "b", "c"], 4)), GroupedFolds(3, validation=1)
    for fold in range(3):
        one, other = splitter.split(dataset, fold), split_labelled(splitter, dataset, fold)
        assert all(np.array_equal(one.sides()[name], other.sides()[name]) for name in one.sides())


def arrays(folder, labels):
    np.save(folder / "X.npy", np.random.default_rng(0).normal(size=(len(labels), 2, 8)))
    np.save(folder / "y.npy", np.array(labels))
    return Arrays(str(folder)).load()


def test_own_arrays_say_so_with_a_minus_one(tmp_path):
    dataset = arrays(tmp_path, [0, 1, -1, 1, -1, 0])
    assert dataset.class_names == ("class 0", "class 1")
    assert dataset.summary()["classes"] == {"class 0": 2, "class 1": 2}
    assert dataset.summary()["unlabelled"] == 2
    assert "note: 2 samples without a label: on the training side only" in str(describe(dataset))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([-1, -1, -1], "found -1 everywhere, allowed are some samples with a label"),
        ([0, -2, 1], "labels: found -2, allowed are class numbers from 0"),
        ([-1, 1, 2], "found labels from 1 to 2"),
    ],
)
def test_other_numbers_are_refused(tmp_path, labels, sentence):
    with pytest.raises(UserError, match=sentence):
        arrays(tmp_path, labels)
