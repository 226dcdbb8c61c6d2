"""Angular margin distillation against a loop, vectors of the specification, the released code, invariants."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.test_contract import view
from tests.terms.test_attention_map import FA, FB, wave
from tutelage import losses
from tutelage.objectives import PerTeacher
from tutelage.terms import AngularMargin

FG = (torch.arange(1, 65, dtype=torch.float64) / 10).reshape(2, 2, 4, 4)
FH = torch.sin(torch.arange(64, dtype=torch.float64)).reshape(2, 2, 4, 4)
PARTS = ("angular", "positive", "negative")


def unit(row):
    length = max(math.sqrt(sum(x * x for x in row)), 1e-12)
    return [x / length for x in row]


def sphere_loop(sample):
    """Q = sum over channels of F², divided by its length + 1e-6."""
    energy = (sample**2).sum(0)
    return energy / (math.sqrt((energy**2).sum()) + 1e-6)


def maps_loop(q, margin, scale):
    positive = [scale * math.cos(margin * math.acos(min(x, 1 - 1e-7))) for x in q.ravel()]
    negative = [scale * (1 - x) for x in q.ravel()]
    angular = [
        p - math.log(math.exp(p) + math.exp(n)) for p, n in zip(positive, negative, strict=True)
    ]
    return dict(zip(PARTS, map(unit, (angular, positive, negative)), strict=True))


def pieces_loop(q):
    """The whole map, then its quarters."""
    if q.ndim == 1:
        n = len(q)
        return [q, *(q[k * n // 4 : (k + 1) * n // 4] for k in range(4))]
    h, w = q.shape[0] // 2, q.shape[1] // 2
    return [q, q[:h, :w], q[:h, w:], q[h:, :w], q[h:, w:]]


def amd_loop(student, teacher, margin, scale, parts, local_weight, mask):
    found = []
    for s, t in zip(student.numpy(), teacher.numpy(), strict=True):
        q_s, q_t = sphere_loop(s), sphere_loop(t)
        if mask:
            scaled = (q_t - q_t.min()) / (q_t.max() - q_t.min())
            q_t = np.where(scaled > 0.5, q_t, 0.0)
        gaps = []
        for piece_s, piece_t in zip(pieces_loop(q_s), pieces_loop(q_t), strict=True):
            x, y = maps_loop(piece_s, margin, scale), maps_loop(piece_t, margin, scale)
            squares = [
                np.mean([(a - b) ** 2 for a, b in zip(x[part], y[part], strict=True)])
                for part in parts
            ]
            gaps.append(np.mean(squares))
        found.append((1 - local_weight) * gaps[0] + local_weight * np.mean(gaps[1:]))
    return found


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("local_weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("parts", [PARTS, ("positive",), ("angular", "negative")])
@pytest.mark.parametrize("space", [(11,), (5, 6)])
def test_it_equals_a_loop(space, parts, local_weight, mask):
    s, t = wave(3, 2, *space, step=0.7), wave(3, 5, *space, step=0.37, shift=1)
    found = losses.angular_margin(
        s, t, margin=1.5, scale=32.0, parts=parts, local_weight=local_weight, mask=mask
    )
    expected = amd_loop(s, t, 1.5, 32.0, parts, local_weight, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_golden_vectors_of_the_specification():
    for part, value in zip(PARTS, (0.1689719390, 0.4315616482, 0.0492078442), strict=True):
        found = losses.angular_margin(FA, FB, parts=[part]).mean()
        assert found.item() == pytest.approx(value, rel=1e-8)
    assert losses.angular_margin(FA, FB).mean().item() == pytest.approx(0.2165804771, rel=1e-8)
    for weight, value in ((0, 0.0144719691687), (1, 0.0541189359359), (0.2, 0.0224013625221)):
        found = losses.angular_margin(FG, FH, local_weight=weight).mean()
        assert found.item() == pytest.approx(value, rel=1e-9)


def test_golden_numbers_of_the_released_code():
    # jeunsom/AMD_loss@7169f62, AngularPenaltyLoss, float64 in and float32 inside (its ``.float()``).
    s, t = wave(3, 2, 6, 6, step=0.7), wave(3, 5, 6, 6, step=0.37, shift=1)
    for student, teacher, value in (
        (FA, FB, 0.2165804753105178),
        (FG, FH, 0.014471969068415606),
        (s, t, 0.0014877540539330707),
    ):
        found = losses.angular_margin(student, teacher).mean()
        assert found.item() == pytest.approx(value, rel=1e-6)
    found = losses.angular_margin(FG, FH, margin=1.5, scale=32.0).mean()
    assert found.item() == pytest.approx(0.007567300256471715, rel=1e-6)


@given(st.integers(0, 10_000), st.floats(-5, 5).filter(lambda x: abs(x) > 0.1))
def test_scale_sign_and_channels_do_not_matter(seed, scale):
    random = torch.Generator().manual_seed(seed)
    # Large features: the 1e-6 in the length is then nothing.
    s = 100 * torch.randn(3, 4, 8, generator=random).double()
    t = 100 * torch.randn(3, 6, 8, generator=random).double()
    base = losses.angular_margin(s, t, local_weight=0.2)
    shuffled = scale * s[:, torch.randperm(4, generator=random)]
    found = losses.angular_margin(shuffled, t, local_weight=0.2)
    torch.testing.assert_close(found, base, rtol=1e-6, atol=1e-12)
    assert losses.angular_margin(s, scale * s, local_weight=0.2).max() < 1e-12
    assert (base >= 0).all()


def test_a_margin_of_one_is_no_margin():
    def share(x):
        energy = x.square().sum(1).flatten(1)
        return losses.row_normalise(energy)

    gap = (share(FG) - share(FH)).square().mean(1)
    found = losses.angular_margin(FG, FH, margin=1.0, parts=["positive"])
    torch.testing.assert_close(found, gap, rtol=1e-6, atol=1e-9)


def test_the_mask_keeps_what_the_teacher_looks_at_most():
    s = wave(2, 3, 8, step=0.7)
    t = torch.tensor([[[3.0, 0.1, 2.9, 0.2, 0.1, 0.3, 0.1, 2.8]]], dtype=torch.float64)
    t = t.expand(2, 3, 8).clone()
    weak = t.clone()
    weak[:, :, [1, 3, 4, 5, 6]] = 1e-9  # what is below the middle counts as nothing
    torch.testing.assert_close(
        losses.angular_margin(s, t, mask=True), losses.angular_margin(s, weak), rtol=5e-2, atol=0
    )
    assert (losses.angular_margin(t, t, mask=True) > 0).all()


def test_gradients():
    s, t = wave(2, 2, 8, step=0.7), wave(2, 3, 8, step=0.37, shift=1).requires_grad_()

    def loss(x):
        return losses.angular_margin(x, t, local_weight=0.2)

    assert torch.autograd.gradcheck(loss, s.requires_grad_())
    loss(s).sum().backward()
    assert t.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_finite_in_half_precision_and_where_nothing_is(dtype):
    peak = torch.zeros(2, 3, 8)
    peak[:, :, 3] = 50.0  # Q = 1: the steepest place of the arccos
    for x in (torch.zeros(2, 3, 8), peak, torch.randn(2, 3, 8)):
        student = x.to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            found = losses.angular_margin(student, wave(2, 3, 8).to(dtype), local_weight=0.2)
        found.sum().backward()
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        assert student.grad.isfinite().all()


def test_the_term_is_the_mean_over_taps():
    v = view()
    v = replace(v, teachers={"pi": v.teachers["pi"]})
    taps = ["stage1", "stage2"]
    by_hand = sum(
        losses.angular_margin(
            v.student.features[tap], v.teachers["pi"].features[tap], local_weight=0.2
        )
        for tap in taps
    )
    torch.testing.assert_close(PerTeacher(AngularMargin(taps, local_weight=0.2))(v), by_hand / 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"taps": []}, "taps: the list is empty"),
        ({"parts": []}, r"parts: found \[\]; allowed: any of angular, positive, negative, once"),
        ({"parts": ["positive", "positive"]}, "parts: found"),
        ({"margin": 2.5}, r"margin: 2.5 must be in \(0, 2\]"),
        ({"scale": 0}, "scale: 0 must be > 0"),
        ({"local_weight": 1.2}, r"local_weight: 1.2 must be in \[0, 1\]"),
    ],
)
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        AngularMargin(**arguments)


def test_a_map_without_quarters_is_refused():
    with pytest.raises(ValueError, match=r"local_weight: the map of size \[3\] has no four quart"):
        losses.angular_margin(wave(2, 2, 3), wave(2, 2, 3), local_weight=0.2)
    with pytest.raises(ValueError, match="have one position in common"):
        losses.angular_margin(wave(2, 2), wave(2, 2, 4, 4))
