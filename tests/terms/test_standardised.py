"""Logit standardisation: a slow loop, the authors' numbers, and what it leaves of the size of logits."""

import math
from dataclasses import replace

import pytest
import torch

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.terms import (
    ClassRelations,
    DecoupledTargets,
    SimilarityMap,
    SoftTargets,
    Standardised,
)
from tutelage.types import Batch, Clock, Output, View

LABELS = torch.tensor([0, 4, 2, 2, 1, 3])


def view():
    student = Output((3 * wave(6, 5, step=1.3)).requires_grad_())
    teacher = Output(3 * wave(6, 5, step=0.7, phase=0.5))
    return View(student, {"t": teacher}, Batch({}, LABELS, torch.arange(6)), Clock())


def loss(term, v):
    return term(v.student, v.teachers["t"], v)


def slowly(row):
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in row) / (len(row) - 1))
    return [(value - mean) / deviation for value in row]


def test_equals_a_loop():
    v = view()
    found = loss(Standardised(SoftTargets(2.0)), v)
    for i in range(6):
        p, q = (
            [math.exp(z / 2) for z in slowly(logits[i].tolist())]
            for logits in (v.teachers["t"].logits, v.student.logits)
        )
        p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
        wanted = 4 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        assert found[i].item() == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (SoftTargets(2.0), (0.759936576038335, 0.16434223979093715, -0.0020327189329770747)),
        (SoftTargets(4.0), (0.7887395333042516, 0.16646773982598273, -0.00391399131700605)),
        (
            DecoupledTargets(9.0, 72.0, 2.0),
            (49.92708755991811, 16.52387209490331, -0.2252724034980845),
        ),
    ],
)
def test_equals_the_authors_code(term, expected):
    # sunshangquan/logit-standardization-KD@f6e5aa5172bad618e801163c3385322eea673754, mdistiller/distillers, KD.py
    # and DKD.py: the loss of one batch and its gradient. They add 1e-7 to the deviation.
    v = view()
    found = loss(Standardised(term), v).mean()
    found.backward()
    gradient = v.student.logits.grad
    numbers = (found.item(), gradient.abs().sum().item(), gradient[2, 3].item())
    assert numbers == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("term", [SoftTargets(), DecoupledTargets(), ClassRelations()])
def test_size_and_level_of_logits_do_not_count(term):
    v = view()
    other = replace(
        v,
        student=Output(0.1 * v.student.logits + 5),
        teachers={"t": Output(7 * v.teachers["t"].logits - 3)},
    )
    made = Standardised(term)
    torch.testing.assert_close(loss(made, other), loss(made, v))
    alike = replace(v, student=Output(4 * v.teachers["t"].logits - 1))
    assert loss(made, alike).abs().max() < 1e-6
    assert loss(term, alike).abs().max() > 1e-2


def test_the_scaling_of_tda_kd_is_a_scale_of_twice_the_temperature():
    v = view()
    general = loss(Standardised(SoftTargets(4.0, "mean"), scale=8.0), v)
    torch.testing.assert_close(general, loss(SoftTargets(4.0, "mean", logit_scaling="std"), v))


def test_constant_logits_stay_finite_and_a_masked_class_has_no_part():
    flat = torch.full((2, 4), 5.0, requires_grad=True)
    found = losses.standardised(flat)
    found.sum().backward()
    assert torch.equal(found, torch.zeros(2, 4))
    assert flat.grad.isfinite().all()
    masked = torch.tensor([[2.0, 1.0, -torch.inf, 4.0]], requires_grad=True)
    scaled = losses.standardised(masked)
    torch.testing.assert_close(
        scaled[:, [0, 1, 3]], losses.standardised(torch.tensor([[2.0, 1.0, 4.0]]))
    )
    assert scaled[0, 2] == -torch.inf
    (scaled[0, 0] * 3).backward()
    assert masked.grad.isfinite().all()


def test_what_does_not_read_logits_is_refused():
    with pytest.raises(ValueError, match="SimilarityMap compares features; allowed: a term of log"):
        Standardised(SimilarityMap())
    with pytest.raises(ValueError, match=r"scale: 0\.0 must be > 0"):
        Standardised(SoftTargets(), scale=0.0)
