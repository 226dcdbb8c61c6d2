"""DKD: a slow loop, golden numbers of the specification and of the authors' code, the identity with KD."""

import math
from dataclasses import replace

import pytest
import torch

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.schedules import Linear
from tutelage.terms import DecoupledTargets
from tutelage.types import Batch, Clock, Output, View

Z_T = torch.tensor([[2.0, 1, 0, -1], [0.5, 0.5, 3, -2]], dtype=torch.float64)
Z_S = torch.tensor([[1.0, 1.5, -0.5, 0], [0, 1, 2, -1]], dtype=torch.float64)
Y = torch.tensor([0, 2])


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def loop(student, teacher, labels, temperature):
    """The two parts of each sample, from probabilities."""
    found = []
    for s, t, y in zip(student.tolist(), teacher.tolist(), labels.tolist(), strict=True):
        es, et = ([math.exp(v / temperature) for v in row] for row in (s, t))
        ps, pt = es[y] / sum(es), et[y] / sum(et)
        own = divergence([pt, 1 - pt], [ps, 1 - ps])
        others_s, others_t = ([v for c, v in enumerate(row) if c != y] for row in (es, et))
        rest = divergence(
            [v / sum(others_t) for v in others_t], [v / sum(others_s) for v in others_s]
        )
        found.append((temperature**2 * own, temperature**2 * rest))
    return found


def test_equals_a_loop():
    s, t = 3 * wave(7, 5, step=1.3), 3 * wave(7, 5, step=0.7, phase=0.5)
    y = torch.arange(7) % 5
    found = losses.decoupled_targets(s, t, y, target=2, nontarget=3, temperature=2)
    by_hand = [2 * own + 3 * rest for own, rest in loop(s, t, y, 2)]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-9)


def test_golden_vectors():
    for weights, value in (
        ({"target": 1, "nontarget": 0}, 0.1933652841394),
        ({"target": 0, "nontarget": 1}, 0.1758371312561),
    ):
        found = losses.decoupled_targets(Z_S, Z_T, Y, temperature=4, **weights)
        assert found.mean().item() == pytest.approx(value, rel=1e-9)


def test_equals_the_authors_code():
    # megvii-research/mdistiller@a08d46f10d6102bd6e3f258ca5ac880b020ea259, dkd_loss(alpha=1, beta=8, T=4).
    s = (3 * wave(6, 5, step=1.3)).requires_grad_()
    t = 3 * wave(6, 5, step=0.7, phase=0.5)
    y = torch.tensor([0, 4, 2, 2, 1, 3])
    found = losses.decoupled_targets(s, t, y).mean()
    assert found.item() == pytest.approx(28.870245507498556, rel=1e-10)
    found.backward()
    assert s.grad.abs().sum().item() == pytest.approx(16.628564650989752, rel=1e-8)
    assert s.grad[2, 3].item() == pytest.approx(-0.27415920089652385, rel=1e-8)
    own = losses.decoupled_targets(s, t, y, nontarget=0).mean()
    assert own.item() == pytest.approx(1.1960964138573218, rel=1e-10)


def test_with_the_teachers_doubt_as_weight_it_is_plain_distillation():
    s, t = 3 * wave(9, 6, step=1.3), 3 * wave(9, 6, step=0.7)
    y = torch.arange(9) % 6
    own = losses.decoupled_targets(s, t, y, target=1, nontarget=0)
    rest = losses.decoupled_targets(s, t, y, target=0, nontarget=1)
    doubt = 1 - torch.softmax(t / 4, 1).gather(1, y[:, None]).squeeze(1)
    torch.testing.assert_close(own + doubt * rest, losses.soft_targets(s, t, temperature=4))


def test_invariants():
    assert losses.decoupled_targets(Z_T, Z_T, Y).abs().max() < 1e-12
    shifted = losses.decoupled_targets(Z_S + 5, Z_T - 3, Y)
    torch.testing.assert_close(shifted, losses.decoupled_targets(Z_S, Z_T, Y))
    # The non-target part does not see the true class at all.
    moved = Z_S.clone()
    moved[torch.arange(2), Y] += 7
    torch.testing.assert_close(
        losses.decoupled_targets(moved, Z_T, Y, target=0),
        losses.decoupled_targets(Z_S, Z_T, Y, target=0),
    )
    two = losses.decoupled_targets(Z_S[:, :2], Z_T[:, :2], torch.tensor([0, 1]), target=0)
    assert two.abs().max() == 0  # with two classes there is only one other


def test_finite_where_probabilities_vanish():
    s = (1e4 * wave(4, 5)).float().requires_grad_()
    found = losses.decoupled_targets(s, 1e4 * wave(4, 5, step=0.3), torch.arange(4))
    found.sum().backward()
    assert found.isfinite().all()
    assert s.grad.isfinite().all()


def test_gradcheck():
    assert torch.autograd.gradcheck(
        lambda s: losses.decoupled_targets(s, Z_T, Y), Z_S.clone().requires_grad_()
    )


def view(labels, **changes):
    clock = Clock(epoch=5, step=5, epochs=10, steps_per_epoch=1)
    return View(Output(Z_S), {}, replace(Batch({}, labels, torch.arange(2)), **changes), clock)


def test_schedules_and_mixed_inputs():
    term = DecoupledTargets(temperature=Linear(6.0, 2.0))
    own = losses.decoupled_targets(Z_S, Z_T, Y, temperature=4.0)
    torch.testing.assert_close(term(Output(Z_S), Output(Z_T), view(Y)), own)
    partner, share = torch.tensor([1, 3]), torch.tensor([0.7, 0.4])
    mixed = term(Output(Z_S), Output(Z_T), view(Y, partner=partner, share=share))
    other = losses.decoupled_targets(Z_S, Z_T, partner, temperature=4.0)
    torch.testing.assert_close(mixed, share * own + (1 - share) * other)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"target": -1}, "must be >= 0"),
        ({"target": 0, "nontarget": 0}, "not both 0"),
        ({"temperature": -4}, "temperature: -4 must be > 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        DecoupledTargets(**arguments)
    if "temperature" in arguments:
        with pytest.raises(ValueError, match=sentence):
            losses.decoupled_targets(Z_S, Z_T, Y, **arguments)
