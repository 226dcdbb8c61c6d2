"""Fingerprints and splits, as they were when the first runs were made: runs of then must be found now."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tutelage.data import (
    Digits,
    Hapt,
    SyntheticEvents,
    SyntheticImages,
    SyntheticScenes,
    SyntheticWearable,
)
from tutelage.data.splits import (
    FewShot,
    GroupedFolds,
    LeaveOneSubjectOut,
    NamedSubjects,
    OfficialSplit,
    RandomSplit,
    Thinned,
    Transductive,
)

PINNED = json.loads((Path(__file__).parent / "pinned.json").read_text())
GENERATED = {
    "wearable": SyntheticWearable(),
    "wearable overlapping": SyntheticWearable("pamap2", subjects=5, windows=6, stride=40, seed=3),
    "images": SyntheticImages(),
    "scenes": SyntheticScenes(samples=20),
    "scenes both": SyntheticScenes(samples=10, scope="both"),
    "events": SyntheticEvents(samples=20),
    "digits": Digits(),
    "digits ten": Digits(labels="digits", size=16),
}


def mark(split):
    state = hashlib.sha256()
    for name, index in split.sides().items():
        state.update(name.encode())
        state.update(np.ascontiguousarray(index, "<i8").tobytes())
    return [split.name, state.hexdigest()[:16]]


def by_subject(name, dataset):
    """Return the marks of splits by subject, under the names they were pinned with."""
    first, second = sorted(set(dataset.subjects.tolist()))[:2]
    marks = {}
    for splitter in (
        LeaveOneSubjectOut(),
        LeaveOneSubjectOut(validation=2, seed=5),
        GroupedFolds(folds=3, validation=1, seed=2),
    ):
        for fold in (0, 2):
            marks[f"{name}: {splitter} {fold}"] = mark(splitter.split(dataset, fold))
    for splitter, fold in (
        (Thinned(LeaveOneSubjectOut(), keep={dataset.class_names[0]: 0.1}, seed=4), 1),
        (FewShot(GroupedFolds(folds=2, validation=1), shots=3), 1),
    ):
        marks[f"{name}: {splitter} {fold}"] = mark(splitter.split(dataset, fold))
    named = NamedSubjects(test=(first,), validation=(second,))
    marks[f"{name}: {named}"] = mark(named.split(dataset))
    return marks


def pinned(name):
    return {key: value for key, value in PINNED["splits"].items() if key.startswith(f"{name}: ")}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_data_have_the_fingerprints_of_then(name):
    assert GENERATED[name].load().fingerprint == PINNED["data"][name]


def test_hapt_has_the_fingerprints_and_splits_of_then(hapt_root, hapt):
    assert hapt.fingerprint == PINNED["data"]["hapt"]
    whole = Hapt(window=100, stride=50, activities="all").load(hapt_root)
    assert whole.fingerprint == PINNED["data"]["hapt all"]
    assert by_subject("hapt", hapt) == pinned("hapt")


@pytest.mark.parametrize("name", ["wearable", "wearable overlapping"])
def test_splits_by_subject_are_those_of_then(name):
    assert by_subject(name, GENERATED[name].load()) == pinned(name)


@pytest.mark.parametrize("name", ["images", "scenes", "events"])
def test_splits_of_images_are_those_of_then(name):
    dataset = GENERATED[name].load()
    splitters = (
        OfficialSplit(), OfficialSplit(validation=0.3, seed=7), OfficialSplit(drop_copies=True),
        RandomSplit(), RandomSplit(0.3, 0.0, 9), Transductive(),
    )  # fmt: skip
    assert {f"{name}: {s}": mark(s.split(dataset)) for s in splitters} == pinned(name)


def test_splits_of_digits_are_those_of_then():
    dataset = GENERATED["digits"].load()
    splitters = (RandomSplit(), RandomSplit(0.3, 0.2, 9), FewShot(RandomSplit(), shots=5, seed=2))
    assert {f"digits: {s}": mark(s.split(dataset)) for s in splitters} == pinned("digits")
