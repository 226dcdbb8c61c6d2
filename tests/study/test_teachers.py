"""A survey of teachers against counts by hand."""

import numpy as np
import pytest

from tutelage.runs.predictions import Predictions
from tutelage.study.teachers import FITTED, ORACLE, UNIFORM, Heard, fixed_weights, hear, survey

NAMES = ("walk", "sit", "lie")


def sure(classes, of=3, confidence=0.9):
    """Probabilities of a network that says these classes."""
    said = np.full((len(classes), of), (1 - confidence) / (of - 1))
    said[np.arange(len(classes)), classes] = confidence
    return said


LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
PEOPLE = np.array(list("aabbaabbaabb"))
#                 student errs on 3, 7, 10, 11
STUDENT = np.array([0, 0, 0, 1, 1, 1, 1, 0, 2, 2, 0, 0])
SIG = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 1, 1, 2])  # rescues 3 and 11; harms 9
PI = np.array([0, 0, 1, 0, 1, 1, 1, 1, 2, 2, 1, 1])  # rescues 3 and 7; harms 2


@pytest.fixture
def heard():
    teachers = {"sig": sure(SIG), "pi": sure(PI, confidence=0.6)}
    return [Heard(("0", seed), LABELS, PEOPLE, sure(STUDENT), teachers) for seed in range(3)]


def test_every_count_is_that_by_hand(heard):
    found = survey("alone", ["kd"], heard, NAMES, {"sig": 0.8, "pi": 0.2})
    whole = found.overall
    assert (whole.errors, whole.any, whole.n) == (12, 9, 36)  # 4, 3 and 12, three times
    assert whole.by == {"sig": 6, "pi": 6}
    assert found.by_class["lie"].by == {"sig": 3, "pi": 0}
    assert found.by_class["sit"].errors == 3 and found.by_class["sit"].by == {"sig": 0, "pi": 3}
    assert found.by_subject["b"].errors == 12 and found.by_subject["a"].errors == 0
    assert found.harm == {"sig": pytest.approx(1 / 8), "pi": pytest.approx(1 / 8)}
    assert found.agreement["sig", "pi"] == pytest.approx(8 / 12)
    assert found.accuracy["alone"]["0", 0] == pytest.approx(8 / 12)
    assert found.accuracy[ORACLE]["0", 1] == pytest.approx(11 / 12)
    # Where they differ the surer one decides: equal weights are right where sig is.
    assert found.accuracy[UNIFORM]["0", 0] == pytest.approx(9 / 12)
    assert found.loss["sig"]["0", 0] == pytest.approx(-(9 * np.log(0.9) + 3 * np.log(0.05)) / 12)
    assert found.calibration["sig"]["0", 0] == pytest.approx(0.9 - 9 / 12)
    assert found.gains[UNIFORM].mean == pytest.approx(1 / 12)
    assert set(found.weights) == {"sig", "pi"} and sum(found.weights.values()) == pytest.approx(1)
    assert found.without("sig") is None  # of two, one would be left


def test_three_teachers_are_left_out_one_at_a_time(heard):
    third = {**heard[0].teachers, "gaf": sure(LABELS)}
    found = survey(
        "alone",
        ["kd"],
        [Heard(h.key, LABELS, PEOPLE, h.student, third) for h in heard],
        NAMES,
        None,
    )
    assert found.candidates == (UNIFORM, FITTED)
    # The one that knows everything is missed, nobody else is.
    assert found.accuracy[FITTED]["0", 0] == 1 and found.without("sig").mean == 0
    assert found.without("gaf").mean < -0.1
    assert found.subjects.subjects == 2


def test_a_single_teacher_is_its_own_mixture(heard):
    single = [Heard(h.key, LABELS, PEOPLE, h.student, {"sig": h.teachers["sig"]}) for h in heard]
    found = survey("alone", ["kd"], single, NAMES, None)
    assert found.candidates == ("sig",) and found.weights is None and found.best == "sig"


def test_answers_are_matched_by_sample_and_lost_ones_are_none(tmp_path):
    def kept(name, order):
        folder = tmp_path / name
        folder.mkdir()
        logits = np.log(sure(SIG))[order]
        Predictions.of(order, LABELS[order], logits, PEOPLE[order]).save(
            folder / "predictions-validation.npz"
        )
        return folder

    forwards, backwards = np.arange(12), np.arange(12)[::-1][:6]
    alone, teacher = kept("alone", forwards), kept("sig", backwards)
    found = hear(("0", 0), alone, {"sig": teacher})
    assert found.labels.tolist() == LABELS[6:].tolist()
    assert np.allclose(found.student, found.teachers["sig"])
    assert hear(("0", 0), alone, {"sig": tmp_path / "nobody"}) is None


def test_the_recipes_weights_are_those_that_name_every_teacher():
    soft = {"type": "PerTeacher", "weighting": {"type": "Fixed", "weights": {"sig": 6, "pi": 2}}}
    assert fixed_weights({"labels": {"type": "Labels"}, "soft": soft}, ["sig", "pi"]) == {
        "sig": 0.75, "pi": 0.25,
    }  # fmt: skip
    assert fixed_weights({"soft": soft}, ["sig"]) is None
    assert fixed_weights({"soft": {"type": "PerTeacher", "weighting": "Uniform"}}, ["sig"]) is None
