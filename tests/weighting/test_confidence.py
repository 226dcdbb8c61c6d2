"""Confidence weights (CA-MKD, logits): golden vector, the released code, bounds and limits."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.teachers import LABELS, formula_view, logits, view_of
from tutelage import losses
from tutelage.objectives import PerTeacher
from tutelage.terms import SoftTargets
from tutelage.weighting import Confidence
from tutelage.weighting.complement import complement


def test_golden_vector():
    found = complement(torch.tensor([[0.2], [0.5], [1.3]], dtype=torch.float64)).squeeze(1)
    assert found.tolist() == pytest.approx([0.40661231, 0.37393981, 0.21944788], rel=1e-7)


def test_weights_equal_a_loop():
    student, teachers = logits()
    found = Confidence()(torch.ones(3, 4), view_of(student, teachers))
    for sample, label in enumerate(LABELS.tolist()):
        surprise = []
        for teacher in teachers:
            row = teacher[sample].tolist()
            surprise.append(math.log(sum(math.exp(z) for z in row)) - row[label])
        total = sum(math.exp(c) for c in surprise)
        expected = [(1 - math.exp(c) / total) / 2 for c in surprise]
        assert found[:, sample].tolist() == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(-5, 5))
def test_bounds_order_and_shift(seed, count, shift):
    random = torch.Generator().manual_seed(seed)
    scores = 3 * torch.rand(count, 5, generator=random, dtype=torch.float64)
    found = complement(scores)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(5, dtype=torch.float64))
    assert (found >= 0).all()
    assert (found <= 1 / (count - 1)).all()
    assert torch.equal(found.argmax(dim=0), scores.argmin(dim=0))
    torch.testing.assert_close(complement(scores + shift), found)


# Rorozhl/CA-MKD@c2f39a9: train_distill_multi_teacher with --ensemble_method CAMKD, -r 0 -a 1, T = 4, on
# tests.doubles.teachers.logits() in float64: the loss and the gradient at the first sample's logits.
AUTHORS = 0.0925473964847303
AUTHORS_GRADIENT = [
    -0.018401285562208818,
    0.002252242584299716,
    0.013735071677761746,
    0.0046301492783419685,
    -0.002216177978194632,
]


@pytest.mark.parametrize("divide", [True, False])
def test_loss_and_gradient_of_the_released_code(divide):
    factor = 1 if divide else 3  # the paper has no division by the number of teachers
    view = formula_view()
    loss = PerTeacher(SoftTargets(4.0), Confidence(divide))(view).mean()
    assert loss.item() == pytest.approx(factor * AUTHORS, rel=1e-9)
    loss.backward()
    expected = [factor * value for value in AUTHORS_GRADIENT]
    assert view.student.logits.grad[0].tolist() == pytest.approx(expected, rel=1e-9)


def test_identical_teachers_are_one_teacher_and_one_teacher_counts_in_full():
    student, teachers = logits()
    alone = losses.soft_targets(student, teachers[1], temperature=4.0)
    for count in (1, 2, 3):
        view = view_of(student, [teachers[1]] * count)
        objective = PerTeacher(SoftTargets(4.0), Confidence())
        torch.testing.assert_close(objective(view), alone)
        divided = PerTeacher(SoftTargets(4.0), Confidence(divide_by_teachers=True))
        torch.testing.assert_close(divided(view), alone / count)


def test_a_hopeless_teacher_is_left_out_and_nothing_becomes_nan():
    student, teachers = logits()
    wrong = torch.zeros(4, 5, dtype=torch.float64)
    wrong[torch.arange(4), (LABELS + 1) % 5] = 1e4
    found = Confidence()(torch.ones(3, 4), view_of(student, [teachers[0], teachers[1], wrong]))
    assert found[2].abs().max() < 1e-12
    torch.testing.assert_close(found[:2], torch.full((2, 4), 0.5, dtype=torch.float64))


def test_a_mixed_sample_is_judged_by_both_its_classes():
    view = formula_view()
    mixed = replace(
        view, batch=replace(view.batch, partner=LABELS.flip(0), share=torch.full((4,), 0.3))
    )
    ones = torch.ones(3, 4)
    log_p = torch.stack([teacher.logits.log_softmax(dim=1) for teacher in view.teachers.values()])
    row = torch.arange(4)
    surprise = -0.3 * log_p[:, row, LABELS] - 0.7 * log_p[:, row, LABELS.flip(0)]
    torch.testing.assert_close(Confidence()(ones, mixed), (1 - surprise.softmax(dim=0)) / 2)
