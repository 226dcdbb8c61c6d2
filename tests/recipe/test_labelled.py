"""Few labels: who has them, who is shown the others, and what is refused."""

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.recipe.test_resolve import resolved
from tests.training.small import recipe
from tutelage.data import SyntheticWearable
from tutelage.errors import UserError
from tutelage.recipe.keys import Labelled
from tutelage.recipe.labelled import labelled_ids

STAGES = {"alone": {}, "taught": {"teachers": ["alone"]}}
TWO = ["synthetic activity 1", "synthetic activity 2"]
TRAINS = ["S1"]  # of the first fold
SOFT = {"labels": {"type": "Labels"}, "soft": {"type": "PerTeacher", "term": "SoftTargets"}}


def few(labelled, stages=STAGES, **more):
    return recipe(
        lambda content: content.update(
            labelled=labelled, stages=stages, distiller=SOFT, baseline=None, **more
        )
    )


def specs_of(content, tmp_path):
    return {(spec.stage, spec.seed): spec for spec in resolved(content, tmp_path)}


def test_stages_without_teachers_see_the_labelled_samples_and_the_others_all(tmp_path):
    stages = STAGES | {
        "careful": {"teachers": ["alone"], "shown": "labelled"},
        "blind": {"teachers": ["alone"], "unlabelled": True, "distiller": {"labels": None}},
    }
    specs = specs_of(few({"per_class": 2}, stages), tmp_path)
    said = {name: (spec.labelled, spec.shown, spec.unlabelled) for (name, _), spec in specs.items()}
    two = Labelled(per_class=2)
    assert said["alone"] == said["careful"] == (two, "labelled", False)
    assert said["taught"] == (two, "all", False)
    assert said["blind"] == (None, "all", True)
    # As many steps for everybody: what comes again is labelled, not the time.
    lengths = {name: spec.train.epoch_samples for (name, _), spec in specs.items()}
    assert lengths == {"alone": 108, "taught": None, "careful": 108, "blind": None}


def test_shots_of_a_stage_are_the_same_thing_said_otherwise(tmp_path):
    long = {"epoch_samples": 108, "batch_size": 16}
    one = specs_of(few({"per_class": 4}), tmp_path)["alone", 0]
    other = specs_of(few(None, {"alone": {"shots": 4, "train": long}}), tmp_path)["alone", 0]
    assert one.fingerprint == other.fingerprint
    assert one.options() == {"shots": 4}


def test_who_has_labels_is_part_of_what_a_run_is(tmp_path):
    named, two = {"subjects": [TRAINS[0]]}, {"per_class": 2}
    settings = [None, two, {"per_class": 3}, two | {"seed": 5}, {"subjects": 2}, named]
    found = [specs_of(few(one), tmp_path)["taught", 0].fingerprint for one in settings]
    assert len(set(found)) == len(settings)


def drawn(labelled, seed, fold=0):
    dataset = SyntheticWearable(subjects=6, windows=12, window=32, channels=2, classes=3).load()
    ids = labelled_ids(Labelled(**labelled), dataset, np.arange(216), [seed, fold], [0, 1, 2])
    return set(ids.tolist()), dataset


def test_the_draw_is_that_of_seed_and_fold_and_fewer_are_a_part_of_more():
    for few_of, more in (({"per_class": 2}, {"per_class": 5}), ({"subjects": 1}, {"subjects": 3})):
        some, _ = drawn(few_of, 0)
        many, _ = drawn(more, 0)
        assert some < many
        assert some != drawn(few_of, 1)[0] or some != drawn(few_of, 2)[0]
        assert drawn(few_of | {"seed": 9}, 0)[0] == drawn(few_of | {"seed": 9}, 1)[0]
        assert drawn(few_of, 9)[0] == drawn(few_of | {"seed": 9}, 4)[0]


def test_subjects_have_all_their_labels_or_none():
    some, dataset = drawn({"subjects": 2}, 3)
    who = {dataset.subjects[i] for i in some}
    assert len(who) == 2
    assert some == {i for i in range(216) if dataset.subjects[i] in who}
    first = dataset.subjects[0]
    named, _ = drawn({"subjects": [first]}, 3)
    assert named == {i for i in range(216) if dataset.subjects[i] == first}


def test_coops_draw_goes_through_all_classes_before_some_are_taken():
    dataset = SyntheticWearable(subjects=6, windows=12, window=32, channels=2, classes=3).load()
    listed = np.random.default_rng(0).permutation(len(dataset))
    dataset = replace(dataset, listed=listed)
    asked = Labelled(per_class=4, draw="coop")
    ids = np.arange(len(dataset))
    whole = labelled_ids(asked, dataset, ids, [7, 0], [0, 1, 2])
    some = labelled_ids(asked, dataset, ids, [7, 0], [1, 2])
    assert some.tolist() == [i for i in whole.tolist() if dataset.labels[i] > 0]
    # As the authors' code says it: one stream, classes as the list first names them.
    stream, expected = random.Random(7), set()
    order = np.argsort(listed).tolist()
    for label in dict.fromkeys(dataset.labels[order].tolist()):
        expected |= set(stream.sample([i for i in order if dataset.labels[i] == label], 4))
    assert set(whole.tolist()) == expected
    assert set(labelled_ids(asked, dataset, ids, [8, 0], [0, 1, 2]).tolist()) != expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (few({}), "labelled: found neither per_class nor subjects; allowed: per_class"),
        (few({"per_class": 2, "subjects": 1}), "labelled: found per_class and subjects"),
        (few({"per_clas": 2}), "labelled.*per_class"),
        (few({"per_class": 50}), "labelled.per_class: found 50, but class .* has 36"),
        (few({"per_class": 2, "draw": "coop"}), "labelled.draw: found coop, but the data set keeps no order"),
        (few(None, {"a": {"shots": 2, "draw": "coop"}}), "found coop, but the data set keeps no order"),
        (few(None, {"a": {"draw": "coop"}}), "stages.a.draw: found without shots"),
        (few({"subjects": 2, "draw": "coop"}), "labelled.draw: found without per_class"),
        (few({"subjects": 9}), "labelled.subjects: found 9, but the training side has 3 subjects"),
        (few({"subjects": ["nobody"]}), "labelled.subjects: unknown subject of the training"),
        (few({"per_class": 2}, {"a": {"shots": 3}}), "stages.a.shots: found labelled as well"),
        (few(None, {"a": {"shown": "all"}}), "stages.a.shown: found all, but all training"),
        (few({"per_class": 2}, {"a": {"seed": 0}}, seeds=[0, 1]), "stages.a.seed: found 0, so its"),
        (few({"per_class": 2}, STAGES | {"b": {"teachers": ["alone"], "classes": TWO}}),
         "stages.b.classes: chooses samples by labels, which are hidden"),
        (few({"per_class": 2}, train={"batch_size": 128}), "found 128, which is more than the 108"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(tmp_path, content, sentence):
    with pytest.raises(UserError, match=sentence):
        resolved(content, tmp_path)


def test_a_fixed_draw_lets_seeds_share_a_teacher(tmp_path):
    stages = {"alone": {"seed": 0}, "taught": {"teachers": ["alone"]}}
    specs = specs_of(few({"per_class": 2, "seed": 0}, stages, seeds=[0, 1]), tmp_path)
    assert set(specs) == {("alone", 0), ("taught", 0), ("taught", 1)}
