"""Attention transfer against a loop, the specification's vector, the released code, and its invariants."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.test_contract import view
from tutelage import losses
from tutelage.objectives import PerTeacher
from tutelage.terms import AttentionMap

FA = (torch.arange(1, 25, dtype=torch.float64) / 10).reshape(3, 2, 2, 2)
FB = torch.sin(torch.arange(24, dtype=torch.float64)).reshape(3, 2, 2, 2)


def wave(*shape, step=1.0, shift=0.0):
    count = torch.Size(shape).numel()
    return torch.sin(step * torch.arange(count, dtype=torch.float64) + shift).reshape(shape)


def map_loop(feature, power):
    """a = mean over channels of |F|^p, divided by its length: one plain list per sample."""
    found = []
    for sample in feature.numpy():
        channels = sample.reshape(len(sample), -1)
        row = [np.mean([abs(c[p]) ** power for c in channels]) for p in range(channels.shape[1])]
        found.append([a / max(np.sqrt(sum(b * b for b in row)), 1e-12) for a in row])
    return found


def at_loop(student, teacher, power, convention):
    found = []
    for s, t in zip(map_loop(student, power), map_loop(teacher, power), strict=True):
        squares = sum((a - b) ** 2 for a, b in zip(s, t, strict=True))
        found.append(np.sqrt(squares) / 2 if convention == "paper" else squares / len(s))
    return found


@pytest.mark.parametrize("convention", ["mean_square", "paper"])
@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("space", [(7,), (3, 4)])
def test_it_equals_a_loop(convention, power, space):
    s, t = wave(3, 2, *space, step=0.7), wave(3, 5, *space, step=0.37, shift=1)
    found = losses.attention_transfer(s, t, power=power, convention=convention)
    np.testing.assert_allclose(found, at_loop(s, t, power, convention), rtol=1e-12)


def test_golden_vector_of_the_specification():
    found = losses.attention_transfer(FA, FB).mean()
    assert found.item() == pytest.approx(0.0654804763721, rel=1e-10)


def test_golden_numbers_of_the_released_code():
    # HobbitLong/RepDistiller@b84f547, distiller_zoo/AT.py, in float64.
    s, t = wave(3, 2, 4, 4, step=0.7), wave(3, 5, 8, 8, step=0.37, shift=1)
    for student, teacher in ((s, t), (t, s)):
        found = losses.attention_transfer(student, teacher).mean()
        assert found.item() == pytest.approx(0.0019911788589976817, rel=1e-10)
    assert losses.attention_transfer(s, t, power=4).mean().item() == pytest.approx(
        0.005231409149501866, rel=1e-10
    )


@given(st.integers(0, 10_000), st.floats(-5, 5).filter(lambda x: abs(x) > 1e-2))
def test_scale_sign_and_channels_do_not_matter(seed, scale):
    random = torch.Generator().manual_seed(seed)
    s = torch.randn(3, 4, 5, generator=random).double()
    t = torch.randn(3, 6, 5, generator=random).double()
    base = losses.attention_transfer(s, t)
    shuffled = scale * s[:, torch.randperm(4, generator=random)]
    torch.testing.assert_close(losses.attention_transfer(shuffled, t), base)
    twice = torch.cat([s, s], dim=1)
    torch.testing.assert_close(losses.attention_transfer(twice, t), base)
    assert losses.attention_transfer(s, scale * s).max() < 1e-25
    assert (base >= 0).all()
    assert (base <= 2 / 5).all()


def test_the_larger_map_is_averaged_before_it_is_squared():
    s, t = wave(2, 3, 8, step=0.7), wave(2, 3, 4, step=0.3)
    halved = s.reshape(2, 3, 4, 2).mean(3)
    torch.testing.assert_close(
        losses.attention_transfer(s, t), losses.attention_transfer(halved, t)
    )
    image = wave(2, 3, 6, 4, step=0.3)
    torch.testing.assert_close(
        losses.attention_transfer(t, image), losses.attention_transfer(t, image.mean(2))
    )


@pytest.mark.parametrize("convention", ["mean_square", "paper"])
def test_gradients(convention):
    s, t = wave(2, 2, 5, step=0.7), wave(2, 3, 5, step=0.37, shift=1).requires_grad_()

    def loss(x):
        return losses.attention_transfer(x, t, convention=convention)

    assert torch.autograd.gradcheck(loss, s.requires_grad_())
    loss(s).sum().backward()
    assert t.grad is None
    for feature in (torch.zeros(2, 2, 5), t.detach().float()):  # nothing there; nothing to learn
        x = feature.clone().requires_grad_()
        losses.attention_transfer(x, x.detach(), convention=convention).sum().backward()
        assert not x.grad.any()


def test_the_term_is_the_sum_over_taps():
    v = view()
    v = replace(v, teachers={"pi": v.teachers["pi"]})
    taps = ["stage1", "stage2"]
    by_hand = sum(
        losses.attention_transfer(v.student.features[tap], v.teachers["pi"].features[tap])
        for tap in taps
    )
    torch.testing.assert_close(PerTeacher(AttentionMap(taps))(v), by_hand)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"taps": []}, "taps: the list is empty"), ({"power": 0.5}, "power: 0.5 must be >= 1")],
)
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        AttentionMap(**arguments)


def test_taps_that_cannot_be_compared():
    v = view()
    with pytest.raises(ValueError, match=r"no feature 'stage9' \(there are: .*stage1"):
        PerTeacher(AttentionMap(["stage9"]))(v)
    with pytest.raises(ValueError, match="have one position in common"):
        PerTeacher(AttentionMap(["embedding"]))(v)
