from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.data import DataSet, SyntheticImages, SyntheticWearable
from tutelage.data import splits as module
from tutelage.data.choosing import few_as_coop
from tutelage.data.leakage import refuse_leakage
from tutelage.data.split import Split, refuse_one_class, unseen_classes
from tutelage.data.splits import (
    Everybody,
    FewShot,
    GroupedFolds,
    LeaveOneSubjectOut,
    NamedSubjects,
    OfficialSplit,
    RandomSplit,
    SessionOut,
    Thinned,
    Transductive,
)
from tutelage.errors import UserError


def data(owners, labels=None, **parts):
    """Return a data set of one-sample windows with these subjects."""
    owners = np.array(owners)
    labels = np.arange(len(owners)) % 2 if labels is None else np.array(labels)
    whole = {
        "name": "tiny", "modality": "signal", "inputs": np.ones((len(owners), 1, 1), np.float32),
        "labels": labels, "subjects": owners, "class_names": ("a", "b", "c", "d"),
        "channel_names": ("x",),
    }  # fmt: skip
    return DataSet(**{**whole, **parts})


people = st.lists(st.integers(1, 12), min_size=30, max_size=120).filter(lambda x: len(set(x)) >= 5)


def check_split(dataset, split, tested, validation):
    """Every sample once, subjects apart, the right people tested."""
    sides = list(split.sides().values())
    assert sorted(np.concatenate(sides).tolist()) == list(range(len(dataset)))
    for side in sides:
        assert side.dtype == np.int64
        assert (np.diff(side) > 0).all()
    who = [set(dataset.subjects[side]) for side in sides]
    assert not who[0] & who[1] | who[0] & who[2] | who[1] & who[2]
    assert who[2] == set(tested)
    assert len(who[1]) == validation
    assert who[0]


@given(people, st.integers(0, 3), st.integers(0, 5))
def test_leave_one_subject_out(owners, validation, seed):
    dataset = data([f"S{number}" for number in owners])
    splitter = LeaveOneSubjectOut(validation, seed)
    names = sorted(set(dataset.subjects), key=lambda name: int(name[1:]))
    assert splitter.count(dataset) == len(names)
    for fold, name in enumerate(names):
        split = splitter.split(dataset, fold)
        assert split.name == f"subject-{name}"
        check_split(dataset, split, [name], validation)


@settings(max_examples=60)
@given(people, st.integers(2, 5), st.integers(0, 1), st.integers(0, 5))
def test_grouped_folds_test_everyone_once_in_balanced_groups(owners, folds, validation, seed):
    dataset = data([f"S{number}" for number in owners])
    splitter = GroupedFolds(folds, validation, seed)
    sizes = dict(zip(*np.unique(dataset.subjects, return_counts=True), strict=True))
    if max(len(group) for group in splitter._groups(dataset)) + validation >= len(sizes):
        return
    tested = []
    counts = []
    for fold in range(splitter.count(dataset)):
        split = splitter.split(dataset, fold)
        group = sorted(set(dataset.subjects[split.test]))
        check_split(dataset, split, group, validation)
        tested += group
        counts.append(len(split.test))
        assert split.name == f"fold-{fold + 1}-of-{folds}"
    assert sorted(tested) == sorted(sizes)
    assert max(counts) - min(counts) <= max(sizes.values())  # the bound of the greedy rule


def test_splits_depend_on_the_seed_and_on_nothing_else():
    dataset = data([f"S{number}" for number in range(12)] * 4)
    for kind in (GroupedFolds, LeaveOneSubjectOut):
        tests = {seed: kind(seed=seed).split(dataset, 1) for seed in (0, 1, 2)}
        again = kind(seed=1).split(dataset, 1)
        np.testing.assert_array_equal(again.validation, tests[1].validation)
        assert len({tuple(split.validation) for split in tests.values()}) > 1
    groups = {tuple(GroupedFolds(seed=seed).split(dataset, 1).test) for seed in range(3)}
    assert len(groups) > 1
    folds = {fold: LeaveOneSubjectOut().split(dataset, fold) for fold in range(12)}
    assert len({tuple(split.validation) for split in folds.values()}) > 3


def test_natural_order_of_subjects():
    dataset = data(["S10", "S9", "S1", "S2"] * 2)
    names = [LeaveOneSubjectOut().split(dataset, fold).name for fold in range(4)]
    assert names == ["subject-S1", "subject-S2", "subject-S9", "subject-S10"]


@pytest.mark.parametrize("seed", range(8))
def test_validation_has_every_class_and_leaves_every_class_to_training(seed):
    # B and C have everything; A alone with D has class 2; E has one class only.
    owners = ["A"] * 2 + ["B"] * 3 + ["C"] * 3 + ["D"] * 2 + ["E"]
    labels = [0, 2, *[0, 1, 2] * 2, 0, 1, 0]
    dataset = data(owners, labels)
    split = LeaveOneSubjectOut(seed=seed).split(dataset, 0)
    assert set(dataset.subjects[split.validation]) <= {"B", "C"}
    two = LeaveOneSubjectOut(2, seed=seed).split(dataset, 4)
    assert set(dataset.labels[two.train]) == {0, 1, 2}
    assert set(dataset.labels[two.validation]) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(8))
def test_the_only_owner_of_a_class_stays_in_training(seed):
    dataset = data(["A", "A", "B", "C", "D"], [0, 1, 0, 0, 0])
    for fold in (1, 2, 3):
        split = LeaveOneSubjectOut(seed=seed).split(dataset, fold)
        assert "A" in dataset.subjects[split.train]


@pytest.mark.parametrize("seed", range(8))
def test_several_validation_subjects_complete_each_other(seed):
    owners = ["T", "A", "A", "B", "B", "C", "C", "D", "D", "E", "E"]
    labels = [0, 0, 1, 0, 1, 2, 3, 2, 3, 0, 1]
    dataset = data(owners, labels)
    split = LeaveOneSubjectOut(2, seed=seed).split(dataset, 5)
    assert set(dataset.labels[split.validation]) == {0, 1, 2, 3}
    assert set(dataset.labels[split.train]) == {0, 1, 2, 3}


def test_real_hapt_splits(hapt):
    splitter = GroupedFolds()
    counts = [len(splitter.split(hapt, fold).test) for fold in range(5)]
    assert sum(counts) == len(hapt)
    assert max(counts) - min(counts) < 30
    for fold in range(0, 30, 7):
        split = LeaveOneSubjectOut().split(hapt, fold)
        assert set(hapt.labels[split.validation]) == set(range(6))
        assert unseen_classes(hapt, split) == ()


def test_unseen_classes_are_reported_or_refused():
    dataset = data(["A", "A", "B", "B", "C"], [0, 1, 0, 3, 0])
    found = LeaveOneSubjectOut(0).split(dataset, 1)
    assert unseen_classes(dataset, found) == ("d",)
    with pytest.raises(UserError, match="subject-B: the test side has d, which training never"):
        LeaveOneSubjectOut(0, strict=True).split(dataset, 1)
    assert unseen_classes(dataset, LeaveOneSubjectOut(0, strict=True).split(dataset, 2)) == ()
    for strict in (False, True):
        splitter = NamedSubjects(("B",), strict=strict)
        if strict:
            with pytest.raises(UserError, match="never sees"):
                splitter.split(dataset)
        else:
            splitter.split(dataset)
    with pytest.raises(UserError, match="never sees"):
        for fold in range(3):
            GroupedFolds(3, 0, strict=True).split(dataset, fold)


def test_named_subjects():
    dataset = data(["A", "B", "C", "D"] * 2)
    split = NamedSubjects(("B", "C"), ("D",)).split(dataset, 0)
    check_split(dataset, split, ["B", "C"], 1)
    for wrong, sentence in {
        (("X",), ()): "found subject 'X', allowed are A, B, C, D",
        (("A",), ("A",)): r"found \['A'\] twice",
        (("A",), ("B",), False, ("B",)): r"found \['B'\] twice",
        ((), ("A",)): "0 test subjects",
    }.items():
        with pytest.raises(UserError, match=sentence):
            NamedSubjects(*wrong).split(dataset)


def test_named_subjects_may_leave_some_out():
    dataset = data(["A", "B", "C", "D"] * 2)
    split = NamedSubjects(("B",), ("D",), train=("A",)).split(dataset, 0)
    assert [sorted(set(dataset.subjects[side])) for side in split.sides().values()] == [
        ["A"],
        ["D"],
        ["B"],
    ]


def test_few_shots_are_the_same_of_every_class_and_nested():
    dataset = SyntheticImages(classes=3, samples=50, test=0.2).load()
    whole = OfficialSplit(0.1)
    sides = {n: FewShot(whole, n).split(dataset, 0) for n in (1, 2, 8)}
    for shots, split in sides.items():
        assert np.bincount(dataset.labels[split.train]).tolist() == [shots] * 3
        assert set(split.train) <= set(whole.split(dataset, 0).train)
        for side in ("validation", "test"):
            assert np.array_equal(getattr(split, side), getattr(whole.split(dataset, 0), side))
        assert split.name == f"official-{shots}-shot"
        assert np.array_equal(FewShot(whole, shots).split(dataset, 0).train, split.train)
        assert not np.array_equal(
            FewShot(whole, shots, seed=2).split(dataset, 0).train, split.train
        )
    assert set(sides[1].train) < set(sides[2].train) < set(sides[8].train)
    assert np.array_equal(
        FewShot(whole, None).split(dataset, 0).train, whole.split(dataset, 0).train
    )
    assert FewShot(whole).count(dataset) == 1


def test_too_many_shots_are_refused():
    dataset = SyntheticImages(classes=3, samples=50, test=0.2).load()
    with pytest.raises(UserError, match=r"found 100, but class '.*' has 36 training samples"):
        FewShot(OfficialSplit(0.1), 100).split(dataset, 0)
    with pytest.raises(UserError, match="1 or more"):
        FewShot(OfficialSplit(), 0)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25])
def test_official_split_is_stratified(fraction):
    dataset = SyntheticImages(classes=3, samples=50, test=0.2).load()
    split = OfficialSplit(fraction).split(dataset, 0)
    assert split.test.tolist() == np.flatnonzero(dataset.official_test).tolist()
    assert (
        np.bincount(dataset.labels[split.validation], minlength=3).tolist() == [40 * fraction] * 3
    )
    everyone = np.concatenate(list(split.sides().values()))
    assert sorted(everyone.tolist()) == list(range(150))
    again = OfficialSplit(0.25, seed=3).split(dataset, 0)
    assert not np.array_equal(again.validation, OfficialSplit(0.25).split(dataset, 0).validation)


def test_official_split_keeps_subjects_together():
    owners = [f"S{number // 3}" for number in range(30)]
    dataset = data(owners, official_test=np.arange(30) >= 24)
    split = OfficialSplit(0.2).split(dataset)
    check_split(dataset, split, ["S8", "S9"], 2)
    assert len(OfficialSplit(0).split(dataset).validation) == 0


def test_official_split_does_not_invent_a_validation_subject_from_the_test():
    owners = ["S0", "S0", "S1", "S1", "S2", "S2"]
    test = np.array([False, False, False, False, False, True])
    split = OfficialSplit(0.9).split(data(owners, official_test=test))
    assert 5 not in split.validation


def test_random_split_is_stratified_and_refuses_people():
    dataset = SyntheticImages(classes=4, samples=50).load()
    split = RandomSplit(0.2, 0.1).split(dataset, 0)
    for side, count in (("test", 10), ("validation", 5), ("train", 35)):
        assert np.bincount(dataset.labels[split.sides()[side]]).tolist() == [count] * 4
    everyone = np.concatenate(list(split.sides().values()))
    assert sorted(everyone.tolist()) == list(range(200))
    with pytest.raises(UserError, match="has subjects or recordings"):
        RandomSplit().split(data(["A", "B"]))
    with pytest.raises(UserError, match="has subjects or recordings"):
        zero = np.zeros(2, np.int64)
        RandomSplit().split(data(["A", "B"], subjects=None, recordings=zero, starts=zero))


CASES = [
    (LeaveOneSubjectOut(3), 0, "LeaveOneSubjectOut.validation: found 3, allowed are 0 to 2"),
    (LeaveOneSubjectOut(-1), 0, "found -1"),
    (LeaveOneSubjectOut(), 4, "found fold 4, allowed are 0 to 3"),
    (LeaveOneSubjectOut(), -1, "found fold -1"),
    (GroupedFolds(5), 0, "GroupedFolds.folds: found 5, allowed are 2 to 4"),
    (GroupedFolds(1), 0, "folds: found 1"),
    (GroupedFolds(2, 2), 0, "GroupedFolds.validation: found 2, allowed are 0 to 1"),
    (GroupedFolds(2, 1), 2, "found fold 2, allowed are 0 to 1"),
    (OfficialSplit(), 0, "has no official test part"),
    (OfficialSplit(1.0), 0, "OfficialSplit.validation: found 1.0"),
    (OfficialSplit(), 1, "OfficialSplit: found fold 1"),
    (RandomSplit(1.0), 0, "RandomSplit.test: found 1.0"),
    (RandomSplit(0.6, 0.4), 0, "found 1.0"),
    (RandomSplit(0.5, -0.1), 0, "RandomSplit.validation: found -0.1"),
    (RandomSplit(0.5, float("nan")), 0, "RandomSplit.validation: found nan"),
    (RandomSplit(), 1, "RandomSplit: found fold 1"),
    (NamedSubjects(("A",)), 1, "NamedSubjects: found fold 1"),
]


@pytest.mark.parametrize(("splitter", "fold", "sentence"), CASES)
def test_impossible_wishes_are_refused(splitter, fold, sentence):
    with pytest.raises(UserError, match=sentence):
        splitter.split(data(["A", "B", "C", "D"] * 2), fold)


@pytest.mark.parametrize("cls", [LeaveOneSubjectOut, GroupedFolds, SessionOut, OfficialSplit,
                                 RandomSplit, partial(Thinned, RandomSplit(), {}),
                                 partial(FewShot, RandomSplit())])  # fmt: skip
def test_a_seed_below_zero_is_refused(cls):
    with pytest.raises(UserError, match=r"^\w+.seed: -1 must be >= 0$"):
        cls(seed=-1)


@pytest.mark.parametrize("splitter", [LeaveOneSubjectOut(), GroupedFolds(), NamedSubjects(("A",))])
def test_data_without_subjects_are_refused(splitter):
    dataset = data(["A", "B"], subjects=None)
    with pytest.raises(UserError, match="has no subjects, so it cannot be split by them"):
        splitter.split(dataset, 0)
    if not isinstance(splitter, NamedSubjects):
        with pytest.raises(UserError, match="has no subjects"):
            splitter.count(dataset)


def test_every_name_is_a_splitter():
    assert all(hasattr(getattr(module, name), "split") for name in module.__all__)
    assert {
        OfficialSplit().count(None),
        RandomSplit().count(None),
        NamedSubjects(()).count(None),
    } == {1}
    assert list(Split("x", *[np.arange(1)] * 3).sides()) == ["train", "validation", "test"]


def recorded(owners, subjects, **parts):
    """Return windows of recordings, with both classes in each, and the last two of them to test."""
    count = len(owners)
    return data(
        ["x"] * count,
        np.arange(count) % 2,
        subjects=subjects,
        recordings=np.array(owners),
        starts=np.arange(count),
        **parts,
    )


def test_the_official_split_of_recordings_takes_whole_ones_and_does_not_refuse_itself():
    owners = np.repeat(np.arange(10), 4)
    dataset = recorded(owners, None, official_test=owners >= 8)
    split = OfficialSplit(0.25).split(dataset)
    sides = [set(owners[side].tolist()) for side in split.sides().values()]
    assert [len(side) for side in sides] == [6, 2, 2]
    assert not sides[0] & sides[1]
    assert sides[2] == {8, 9}
    refuse_leakage(dataset, split)
    one = recorded(owners[-12:], None, official_test=owners[-12:] >= 8)
    with pytest.raises(UserError, match=r"OfficialSplit.validation: .* is one recording only"):
        OfficialSplit(0.25).split(one)
    assert len(OfficialSplit(0).split(one).train) == 4


def test_sessions_are_tested_once_each_and_leave_people_on_all_sides():
    people = np.repeat(["A", "B", "C", "D"], 12)
    sessions = np.tile(np.repeat(["1", "2", "10"], 4), 4)
    dataset = data(people, np.arange(48) % 2, sessions=sessions)
    splitter = SessionOut(validation=0.25)
    assert splitter.count(dataset) == 3
    names = []
    for fold, session in enumerate(("1", "2", "10")):
        split = splitter.split(dataset, fold)
        names.append(split.name)
        assert split.test.tolist() == np.flatnonzero(sessions == session).tolist()
        assert sorted(np.concatenate(list(split.sides().values())).tolist()) == list(range(48))
        units = [{f"{people[i]} {sessions[i]}" for i in side} for side in split.sides().values()]
        assert [len(unit) for unit in units] == [6, 2, 4]
        assert not units[0] & units[1]
        assert set(people[split.test]) == {"A", "B", "C", "D"}
        refuse_leakage(dataset, split)
    assert names == ["session-1", "session-2", "session-10"]
    with pytest.raises(UserError, match="subjects are in train and in test"):
        refuse_leakage(dataset, replace(split, within_subjects=False))


def test_recordings_of_a_person_are_sessions_unless_they_are_of_one_class_each(hapt):
    split = SessionOut().split(hapt, 1)
    assert SessionOut().count(hapt) == 3  # one person was recorded three times
    assert set(hapt.subjects[split.test]) == set(hapt.subjects)
    first = [hapt.recordings[hapt.subjects == name].min() for name in np.unique(hapt.subjects)]
    assert not set(first) & set(hapt.recordings[split.test])
    refuse_leakage(hapt, split)
    with pytest.raises(UserError, match=r"which no other session has; are these sessions\?"):
        SessionOut().split(SyntheticWearable(windows=2).load(), 0)
    with pytest.raises(UserError, match="has no sessions, nor recordings of subjects"):
        SessionOut().count(data(["A", "B"]))
    with pytest.raises(UserError, match="has one session, 'x'"):
        SessionOut().split(data(["A", "B"], sessions=np.array(["x", "x"])), 0)


def test_training_on_one_class_is_refused():
    dataset = data(["A", "A", "B", "C"], [0, 0, 0, 1])
    refuse_one_class(dataset, NamedSubjects(("B",)).split(dataset))
    with pytest.raises(
        UserError, match=r"found one class on the training side, 'a', allowed are two"
    ):
        refuse_one_class(dataset, NamedSubjects(("C",)).split(dataset))


@given(people, st.integers(0, 3))
def test_everybody_trains(owners, validation):
    dataset = data([f"S{number}" for number in owners])
    for of in (GroupedFolds(3, validation), LeaveOneSubjectOut(validation)):
        split = Everybody(of).split(dataset)
        assert split.train.tolist() == list(range(len(dataset)))
        assert split.train.dtype == np.int64
        assert len(split.validation) == len(split.test) == 0
        assert Everybody(of).count(dataset) == 1
        refuse_leakage(dataset, split)


def test_everybody_leaves_out_whom_the_other_split_leaves_out():
    dataset = data(list("aabbccdd"))
    split = Everybody(NamedSubjects(test=("a",), validation=("b",), train=("d",))).split(dataset)
    assert sorted(set(dataset.subjects[split.train])) == ["a", "b", "d"]


def test_everybody_does_not_learn_hidden_labels():
    with pytest.raises(UserError, match=r"Everybody\.of: found split 'transductive', which hides"):
        Everybody(Transductive()).split(data(list("aabb")))


# KaiyangZhou/Dassl.pytorch@c61a1b5, generate_fewshot_dataset after random.seed(seed): of 36 images whose labels go
# 2, 0, 1, 2, ... and two of class 3, by (seed, shots).
COOP = {
    (1, 2): [6, 27, 4, 13, 5, 23, 37, 36],
    (1, 4): [6, 27, 3, 12, 4, 22, 31, 28, 32, 20, 11, 5, 36, 37],
    (2, 2): [0, 3, 4, 16, 8, 32, 37, 36],
    (2, 4): [0, 3, 30, 15, 7, 31, 13, 28, 29, 11, 35, 2, 36, 37],
    (3, 2): [9, 27, 25, 7, 17, 29, 37, 36],
    (3, 4): [9, 27, 24, 6, 16, 28, 22, 4, 29, 2, 23, 14, 36, 37],
}


@pytest.mark.parametrize(("seed", "shots"), COOP)
def test_coops_samples_are_drawn_whatever_order_the_images_are_stored_in(seed, shots):
    labels = np.array([(i + 2) % 3 for i in range(36)] + [3] * 2)
    stored = np.random.default_rng(5).permutation(
        len(labels)
    )  # stored image -> its place in the list
    drawn = few_as_coop(labels[stored], stored, np.arange(len(labels)), shots, seed, "x")
    assert stored[drawn].tolist() == COOP[seed, shots]
    images = DataSet(
        "few", "image", np.zeros((38, 3, 2, 2), np.uint8), labels[stored], None, tuple("abcd"),
        ("red", "green", "blue"), official_test=np.zeros(38, bool), listed=stored,
    )  # fmt: skip
    split = FewShot(OfficialSplit(0.0), shots, seed, "coop").split(images)
    assert split.train.tolist() == sorted(drawn.tolist())
    with pytest.raises(
        UserError, match=r"FewShot\.draw: found coop, but the data set keeps no order"
    ):
        FewShot(OfficialSplit(0.0), shots, seed, "coop").split(replace(images, listed=None))
    with pytest.raises(UserError, match="did you mean 'coop'"):
        FewShot(OfficialSplit(0.0), shots, seed, "coopp")
