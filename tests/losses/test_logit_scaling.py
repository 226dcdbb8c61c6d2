"""The logits of TDA_KD: a slow loop, golden numbers of the specification and of the authors' code, invariants."""

import math

import pytest
import torch

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.objectives import Labels, PerTeacher
from tutelage.terms import SoftTargets
from tutelage.types import Batch, Clock, Output, View
from tutelage.weighting import Fixed

Z_T = torch.tensor([[2.0, 1, 0, -1], [0.5, 0.5, 3, -2]], dtype=torch.float64)
Z_S = torch.tensor([[1.0, 1.5, -0.5, 0], [0, 1, 2, -1]], dtype=torch.float64)


def view(student, labels, **teachers):
    batch = Batch({}, labels, torch.arange(len(labels)))
    return View(
        Output(student), {name: Output(logits) for name, logits in teachers.items()}, batch, Clock()
    )


def test_equals_a_loop():
    logits = 3 * wave(6, 5, step=1.3)
    for row, found in zip(logits.tolist(), losses.spread_scaled(logits).tolist(), strict=True):
        mean = sum(row) / 5
        deviation = math.sqrt(sum((v - mean) ** 2 for v in row) / 4)
        assert found == pytest.approx([v / deviation for v in row], rel=1e-12)


def test_golden_vectors():
    v = view(Z_S, torch.tensor([0, 2]), t=Z_T)
    soft = PerTeacher(SoftTargets(4.0, "mean", logit_scaling="std"))(v).mean()
    assert soft.item() == pytest.approx(16 * 0.0974738164933, rel=1e-7)
    labels = Labels(logit_scaling="std")(v).mean()
    assert labels.item() == pytest.approx(0.8762452793033, rel=1e-9)


def test_equals_the_authors_code():
    # jeunsom/TDA_KD@b9091bb9c9c945fd67d3ae3997bea753e0009f2e, train_ad.py: the loss of one batch at lambda = 0.99,
    # T = 4, 0.7 image and 0.3 signal, with its gradient through the student's own deviation.
    s = (3 * wave(6, 5, step=1.3)).requires_grad_()
    v = view(
        s,
        torch.tensor([0, 4, 2, 2, 1, 3]),
        image=3 * wave(6, 5, step=0.7, phase=0.5),
        signal=2 * wave(6, 5, step=0.45, phase=1.5),
    )
    term = SoftTargets(4.0, "mean", logit_scaling="std")
    soft = PerTeacher(term, Fixed({"image": 0.7, "signal": 0.3}))(v)
    hard = Labels(logit_scaling="std")(v)
    assert hard.mean().item() == pytest.approx(2.1679653063381146, rel=1e-9)
    loss = (0.01 * hard + 0.99 * soft).mean()
    assert loss.item() == pytest.approx(6.129446032538835, rel=1e-7)
    loss.backward()
    assert s.grad.abs().sum().item() == pytest.approx(2.1129860642512845, rel=1e-6)
    assert s.grad[2, 3].item() == pytest.approx(0.049370539425749295, rel=1e-6)


def test_invariants():
    y = torch.tensor([0, 2])
    term, labels = SoftTargets(logit_scaling="std"), Labels(logit_scaling="std")
    base = view(Z_S, y, t=Z_T)
    scaled = view(7 * Z_S - 3, y, t=0.1 * Z_T + 5)
    for objective in (PerTeacher(term), labels):
        torch.testing.assert_close(objective(scaled), objective(base))
    assert PerTeacher(term)(view(4 * Z_T, y, t=Z_T)).abs().max() < 1e-12


def test_constant_logits_stay_finite():
    s = torch.full((2, 4), 5.0, requires_grad=True)
    v = view(s, torch.tensor([0, 2]), t=torch.zeros(2, 4))
    for objective in (PerTeacher(SoftTargets(logit_scaling="std")), Labels(logit_scaling="std")):
        found = objective(v)
        found.sum().backward()
        assert found.isfinite().all()
        assert s.grad.isfinite().all()
    assert torch.autograd.gradcheck(losses.spread_scaled, Z_S.clone().requires_grad_())


def test_mixed_inputs_count_for_both_classes():
    partner, share = torch.tensor([1, 3]), torch.tensor([0.7, 0.4])
    batch = Batch({}, torch.tensor([0, 2]), torch.arange(2), partner=partner, share=share)
    found = Labels(logit_scaling="std")(View(Output(Z_S), {}, batch, Clock()))
    u = losses.spread_scaled(Z_S)
    own, other = losses.cross_entropy(u, batch.labels), losses.cross_entropy(u, partner)
    torch.testing.assert_close(found, share * own + (1 - share) * other)
