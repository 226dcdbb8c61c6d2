"""Margins of angles: by hand, against a loop over angles, and where slopes of arc cosines end."""

import math

import pytest
import torch

from tutelage.losses import with_margin


def folded(cosine, times):
    """SphereFace, eq. 7, one number at a time."""
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    k = min(int(times * angle / math.pi), times - 1)
    return (-1) ** k * math.cos(times * angle) - 2 * k


def test_an_additive_margin_by_hand():
    cosine = torch.tensor([[0.5, 0.1, -0.2], [0.9, 0.3, 0.0]])
    found = with_margin(cosine, torch.tensor([0, 2]), margin=0.35, form="additive")
    expected = torch.tensor([[0.15, 0.1, -0.2], [0.9, 0.3, -0.35]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("cosine", "times", "expected"),
    [
        (math.cos(math.pi / 6), 2, 0.5),  # 30 degrees become 60
        (math.cos(math.pi / 6), 3, 0.0),  # 90
        (math.cos(math.pi / 6), 4, -0.5),  # 120
        (0.0, 2, -1.0),  # 90 become 180
        (0.0, 4, -3.0),  # 360: two folds further down
        (-1.0, 4, -7.0),  # the end: 1 - 2 m
        (1.0, 4, 1.0),
        (math.cos(math.radians(100)), 2, -math.cos(math.radians(200)) - 2),
    ],
)
def test_a_multiplied_angle_by_hand(cosine, times, expected):
    given = torch.tensor([[cosine, 0.3]], dtype=torch.float64)
    found = with_margin(given, torch.tensor([0]), margin=times, form="multiplicative")
    assert found[0, 0].item() == pytest.approx(expected, abs=1e-7)
    assert found[0, 1].item() == 0.3


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5])
def test_it_is_the_papers_function_and_falls_everywhere(times):
    cosine = torch.linspace(-1, 1, 401, dtype=torch.float64)[:, None]
    labels = torch.zeros(401, dtype=torch.int64)
    found = with_margin(cosine, labels, margin=times, form="multiplicative").squeeze(1)
    expected = torch.tensor([folded(float(c), times) for c in cosine], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=0)
    assert (found.diff() > 0).all()  # rises with the cosine: falls with the angle
    assert (found <= cosine.squeeze(1) + 1e-12).all()
    if times == 1:
        torch.testing.assert_close(found, cosine.squeeze(1))


def test_the_plain_cosine_is_mixed_in_by_its_share():
    cosine = torch.tensor([[0.0, 0.3]], dtype=torch.float64)
    found = with_margin(cosine, torch.tensor([0]), margin=4, form="multiplicative", plain=5)
    assert found[0, 0].item() == pytest.approx((5 * 0.0 - 3.0) / 6)


@pytest.mark.parametrize("form", ["multiplicative", "additive"])
def test_slopes_are_finite_at_both_ends_and_right_between(form):
    ends = torch.tensor([[1.0, 0.2], [-1.0, 0.2]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0])
    with_margin(ends, labels, margin=3, form=form).sum().backward()
    assert ends.grad.isfinite().all()
    inner = torch.tensor([[0.3, 0.2], [-0.7, 0.6]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: with_margin(c, labels, margin=3, form=form), (inner,))
