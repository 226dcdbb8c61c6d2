import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.data import DataSet, SyntheticImages, SyntheticWearable
from tutelage.data import dataset as module
from tutelage.data.leakage import refuse_leakage, scan
from tutelage.data.splits import GroupedFolds, OfficialSplit, Split
from tutelage.errors import UserError


def split(train, validation, test):
    return Split("s", *(np.array(side, np.int64) for side in (train, validation, test)))


def data(count=6, **parts):
    whole = {
        "name": "tiny", "modality": "signal",
        "inputs": np.random.default_rng(0).normal(size=(count, 1, 4)).astype(np.float32),
        "labels": np.zeros(count, np.int64), "subjects": None, "class_names": ("a",),
        "channel_names": ("x",),
    }  # fmt: skip
    return DataSet(**{**whole, **parts})


def kinds(dataset, parts):
    return [(one.kind, one.sides, one.count) for one in scan(dataset, parts)]


def test_clean_splits_pass(hapt):
    for fold in range(5):
        assert scan(hapt, GroupedFolds().split(hapt, fold)) == []
    wearable = SyntheticWearable(windows=6, stride=40).load()
    refuse_leakage(wearable, GroupedFolds(3, 1).split(wearable, 0))
    images = SyntheticImages(samples=10).load()
    refuse_leakage(images, OfficialSplit().split(images, 0))
    refuse_leakage(images, OfficialSplit(0.0).split(images, 0))


def test_same_sample():
    found = scan(data(), split([0, 1, 2], [2, 3], [3, 4, 0, 1]))
    assert [(one.kind, one.sides, one.count) for one in found] == [
        ("sample", ("train", "validation"), 1),
        ("sample", ("train", "test"), 2),
        ("sample", ("validation", "test"), 1),
    ]
    assert "2 samples are in train and in test (numbers 0, 1)" in found[1].text


def test_same_subject_is_named():
    owners = np.array(["Ann", "Bob", "Ann", "Cid", "Bob", "Dan"])
    dataset = data(subjects=owners)
    assert kinds(dataset, split([0, 1], [3], [2, 4, 5])) == [("subject", ("train", "test"), 2)]
    with pytest.raises(UserError, match=r"leaks: 2 subjects are in train and in test \(Ann, Bob\)"):
        refuse_leakage(dataset, split([0, 1], [3], [2, 4, 5]))
    many = data(20, subjects=np.array([f"S{n % 10}" for n in range(20)]))
    with pytest.raises(UserError, match=r"10 subjects .* \(S0, S1, S2, S3, S4, \.\.\.\)"):
        refuse_leakage(many, split(range(10), [], range(10, 20)))


def test_copies():
    dataset = data()
    inputs = dataset.inputs.copy()
    inputs[5] = inputs[0]
    inputs[4] = inputs[0]
    assert kinds(data(inputs=inputs), split([0, 1], [2], [3, 4, 5])) == [
        ("copy", ("train", "test"), 2)
    ]
    assert kinds(data(inputs=inputs), split([1], [2], [0, 3, 4, 5])) == []
    inputs[5, 0, 3] = np.nextafter(inputs[5, 0, 3], np.float32(9))
    assert kinds(data(inputs=inputs), split([0], [4], [5])) == [
        ("copy", ("train", "validation"), 1)
    ]


def test_copies_are_found_in_any_block_of_a_large_file(monkeypatch):
    inputs = data(40).inputs.copy()
    inputs[33] = inputs[2]
    parts = split(range(20), [], range(20, 40))
    for chunk in (16, 48, 1 << 20):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        (found,) = scan(data(40, inputs=inputs), parts)
        assert "(numbers 33)" in found.text


def test_constant_signals_are_no_copies_but_constant_images_are():
    inputs = data().inputs.copy()
    inputs[0] = inputs[5] = 0
    inputs[1] = inputs[4] = 0.5
    inputs[1, 0, 2] = inputs[4, 0, 2] = 0
    assert kinds(data(inputs=inputs), split([0, 1], [], [4, 5])) == [("copy", ("train", "test"), 1)]
    images = DataSet(
        name="i", modality="image", inputs=np.zeros((2, 3, 4, 4), np.uint8),
        labels=np.zeros(2, np.int64), subjects=None, class_names=("a",),
        channel_names=("r", "g", "b"),
    )  # fmt: skip
    assert kinds(images, split([0], [], [1])) == [("copy", ("train", "test"), 1)]


def test_one_moving_channel_is_enough_to_be_a_copy():
    inputs = np.zeros((2, 3, 4), np.float32)
    inputs[:, 1, 3] = 1
    dataset = data(2, inputs=inputs, channel_names=("x", "y", "z"))
    assert kinds(dataset, split([0], [], [1])) == [("copy", ("train", "test"), 1)]


def slow_overlap(dataset, a, b):
    window = dataset.inputs.shape[-1]
    return sum(
        any(
            dataset.recordings[i] == dataset.recordings[j]
            and abs(dataset.starts[i] - dataset.starts[j]) < window
            for j in a
        )
        for i in b
    )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-2, 2), st.integers(-30, 30), st.integers(0, 2)),
        min_size=1,
        max_size=25,
    )
)
def test_overlap_equals_the_slow_comparison_of_all_pairs(rows):
    count = len(rows)
    dataset = data(
        count,
        recordings=np.array([row[0] for row in rows], np.int64),
        starts=np.array([row[1] for row in rows], np.int64),
    )
    sides = [[i for i, row in enumerate(rows) if row[2] == side] for side in range(3)]
    found = {one.sides: one.count for one in scan(dataset, split(*sides)) if one.kind == "overlap"}
    names = ("train", "validation", "test")
    for first, second in ((0, 1), (0, 2), (1, 2)):
        wanted = slow_overlap(dataset, sides[first], sides[second])
        assert found.get((names[first], names[second]), 0) == wanted


def test_windows_that_touch_do_not_overlap():
    here = {"recordings": np.zeros(3, np.int64)}
    parts = split([0], [], [1, 2])
    assert kinds(data(3, starts=np.array([0, 4, 8]), **here), parts) == []
    assert kinds(data(3, starts=np.array([0, 3, 8]), **here), parts) == [
        ("overlap", ("train", "test"), 1)
    ]
    other = np.array([0, 1, 1])
    assert kinds(data(3, starts=np.array([0, 0, 3]), recordings=other), parts) == []


def test_a_shared_sample_is_not_told_twice_as_an_overlap():
    zero = np.zeros(2, np.int64)
    dataset = data(2, recordings=zero, starts=np.array([0, 100]))
    assert kinds(dataset, split([0, 1], [], [1])) == [("sample", ("train", "test"), 1)]


def test_everything_at_once_is_one_sentence():
    wearable = SyntheticWearable(windows=6, stride=40, subjects=3).load()
    order = np.random.default_rng(0).permutation(len(wearable))
    with pytest.raises(UserError, match=r"subjects .*; .* overlap in time") as caught:
        refuse_leakage(wearable, split(order[:40], order[40:60], order[60:]))
    assert "\n" not in str(caught.value)


def test_empty_sides():
    assert scan(data(), split([], [], [])) == []
    assert scan(data(), split([0], [], [])) == []


def test_ten_thousand_windows_take_less_than_a_second(hapt):
    order = np.random.default_rng(0).permutation(len(hapt))
    begin = time.perf_counter()
    found = scan(hapt, split(order[:7000], order[7000:8000], order[8000:]))
    assert time.perf_counter() - begin < 1
    assert {one.kind for one in found} == {"subject", "overlap"}
