"""Weights by how far the student is behind each teacher on validation."""

from itertools import pairwise

import pytest
import torch

from tests.doubles.teachers import facts_of, logits, view_of
from tutelage.types import Clock, Survey
from tutelage.weighting import AccuracyGap
from tutelage.weighting.accuracy_gap import gap_weight

ACCURACIES = {"sig": 0.9, "pi": 0.6, "gaf": 0.3}


def survey(teacher, split):
    assert split == "validation"
    right = round(10 * ACCURACIES[teacher])
    answers = torch.eye(5)[torch.tensor([0] * right + [1] * (10 - right))]
    return Survey(torch.arange(10), torch.zeros(10, dtype=torch.int64), answers)


def weights(student, threshold=0.3):
    validation = {} if student is None else {"accuracy": student}
    z, teachers = logits()
    view = view_of(z, teachers, clock=Clock(validation=validation))
    made = AccuracyGap(threshold)
    made.prepare(facts_of(view, survey=survey))
    assert made.accuracies == pytest.approx(ACCURACIES)
    return made(torch.ones(3, 4), view)[:, 0].tolist()


def test_golden_vector_continuity_and_limits():
    assert gap_weight(0.3, 0.6, 0.3) == pytest.approx(0.7142857143)
    assert gap_weight(0.18, 0.6, 0.3) == pytest.approx(1.0)
    assert gap_weight(0.18 + 1e-9, 0.6, 0.3) == pytest.approx(1.0)
    assert gap_weight(0.6, 0.6, 0.3) == 0
    assert gap_weight(0.7, 0.6, 0.3) == 0
    assert gap_weight(0.0, 0.0, 0.3) == 0
    curve = [gap_weight(a / 100, 0.6, 0.3) for a in range(101)]
    assert all(early >= late for early, late in pairwise(curve))


@pytest.mark.parametrize("student", [0.0, 0.1, 0.2, 0.28, 0.5, 0.85])
def test_weights_equal_a_loop(student):
    raw = []
    for teacher in ACCURACIES.values():
        if student < 0.3 * teacher:
            raw.append(1.0)
        else:
            raw.append(max(0.0, (teacher - student) / (teacher * 0.7)))
    expected = [w / sum(raw) for w in raw]
    assert weights(student) == pytest.approx(expected, rel=1e-5)


def test_before_the_first_epoch_and_above_every_teacher_all_count_the_same():
    for student in (None, 0.95, 0.9):
        assert weights(student) == pytest.approx([1 / 3] * 3)


def test_the_last_teacher_ahead_takes_all():
    assert weights(0.7) == pytest.approx([1.0, 0.0, 0.0])


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match=r"threshold: 1\.0 must be in \[0, 1\)"):
        AccuracyGap(1.0)
    z, teachers = logits()
    view = view_of(z, teachers)
    with pytest.raises(ValueError, match="no validation split to ask the teachers about"):
        AccuracyGap().prepare(facts_of(view))
    with pytest.raises(ValueError, match="teacher 'sig' has not been asked"):
        AccuracyGap()(torch.ones(3, 4), view)
