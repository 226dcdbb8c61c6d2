"""Channel attention against a loop and the public code it follows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.contract.test_contract import facts, leafs, view
from tests.terms.test_attention_feature import fill
from tests.terms.test_attention_map import wave
from tutelage import losses
from tutelage.objectives import PerTeacher
from tutelage.terms import ChannelAttention
from tutelage.types import Output


def distance_loop(student, teacher, attention):
    found = []
    for s, t, a in zip(student.numpy(), teacher.numpy(), attention.numpy(), strict=True):
        total = 0.0
        for c, weight in enumerate(a):
            x, y = s[c].ravel(), t[c].ravel()
            x, y = x / (np.sqrt((x**2).sum()) + 1e-6), y / (np.sqrt((y**2).sum()) + 1e-6)
            total += weight * np.mean((x - y) ** 2)
        found.append(total)
    return found


@pytest.mark.parametrize("space", [(7,), (3, 4)])
def test_it_equals_a_loop(space):
    s, t = wave(3, 4, *space, step=0.7), wave(3, 4, *space, step=0.37, shift=1)
    attention = torch.softmax(wave(3, 4), dim=1)
    found = losses.channel_distance(s, t, attention)
    np.testing.assert_allclose(found, distance_loop(s, t, attention), rtol=1e-12)


def test_invariants():
    s, t = 100 * wave(3, 4, 6, step=0.7), wave(3, 4, 6, step=0.37, shift=1)
    attention = torch.softmax(wave(3, 4), dim=1)
    base = losses.channel_distance(s, t, attention)
    scales = torch.tensor([2.0, 0.5, 3.0, 1.0]).double()[None, :, None]
    torch.testing.assert_close(
        losses.channel_distance(s * scales, t, attention), base, rtol=1e-6, atol=0
    )
    assert losses.channel_distance(t, t, attention).max() == 0
    assert (base <= 4 / 6).all()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        losses.channel_distance(s[:, order], t[:, order], attention[:, order]), base
    )
    assert torch.autograd.gradcheck(
        lambda x, a: losses.channel_distance(x, t, a),
        (wave(3, 4, 6, step=0.7).requires_grad_(), attention.clone().requires_grad_()),
    )


def test_features_that_cannot_be_compared():
    with pytest.raises(ValueError, match="has 2 channels, the teacher's 3"):
        losses.channel_distance(wave(4, 2, 5), wave(4, 3, 5), torch.ones(4, 3))
    objective = PerTeacher(ChannelAttention(["embedding"]))
    objective.prepare(facts(view()))
    with pytest.raises(ValueError, match="have one position in common"):
        objective(view())
    with pytest.raises(ValueError, match="taps: the list is empty"):
        ChannelAttention([])


def prepared(student, teacher, taps=("stage3",)):
    v = view(batch=len(student))
    out = Output(v.student.logits, dict.fromkeys(taps, student))
    v = replace(
        v, student=out, teachers={"t": Output(v.student.logits, dict.fromkeys(taps, teacher))}
    )
    term = ChannelAttention(taps)
    term.prepare(facts(v))
    return term.to(student.dtype), v


def test_golden_number_of_the_public_code():
    # AberHu/Knowledge-Distillation-Zoo@65470c8, kd_losses/afd.py in float64.
    taps = ("stage2", "stage3")
    term, v = prepared(wave(4, 3, 5, 5, step=0.7), wave(4, 3, 5, 5, step=0.37, shift=1), taps)
    for gate in term.gates:
        for number, parameter in enumerate(gate.parameters(), start=1):
            fill(parameter, number)
    found = term(v.student, v.teachers["t"], v)
    assert found.mean().item() == pytest.approx(0.07821947693284906, rel=1e-9)
    attention = term.attention(v.teachers["t"].features["stage3"], term.gates[0])
    torch.testing.assert_close(attention.sum(1), torch.ones(4).double())


def test_other_channels_get_a_convolution_and_equal_ones_do_not():
    term, v = prepared(wave(4, 3, 8).float(), wave(4, 5, 4, 6).float())
    assert sum(p.numel() for p in term.adapters.parameters()) == 3 * 5 + 5
    v = replace(v, student=leafs(v.student), teachers={"t": leafs(v.teachers["t"])})
    found = term(v.student, v.teachers["t"], v)
    found.sum().backward()
    assert found.shape == (4,)
    assert v.student.features["stage3"].grad.any()
    assert v.teachers["t"].features["stage3"].grad is None
    assert all(p.grad is not None for p in term.parameters())
    term, _ = prepared(wave(4, 3, 8).float(), wave(4, 3, 4).float())
    assert not list(term.adapters.parameters())


def test_gates_that_underflow_give_no_weight_and_no_nan():
    term = ChannelAttention()
    gate = torch.nn.Linear(3, 3)
    torch.nn.init.zeros_(gate.weight)
    torch.nn.init.constant_(gate.bias, -200.0)
    assert torch.equal(term.attention(torch.randn(2, 3, 4), gate), torch.zeros(2, 3))
