"""RP: a slow loop, golden numbers of the authors' code, the shares of the samples."""

import math

import pytest
import torch

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.terms import ProjectorDistance
from tutelage.types import Batch, Clock, Facts, Output, View


def test_equals_a_loop():
    s, t = wave(5, 4, step=1.3), wave(5, 4, step=0.7)
    own = [
        sum(abs(a - b) ** 3 for a, b in zip(p, q, strict=True))
        for p, q in zip(s.tolist(), t.tolist(), strict=True)
    ]
    total = sum(own)
    found = losses.log_sum_distance(s, t, power=3, guard=0.0)
    by_hand = [math.log(total) + 5 * share / total - 1 for share in own]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-9)
    assert found.mean().item() == pytest.approx(math.log(total), rel=1e-12)


def prepared(**arguments):
    """The term with the projector of the golden run, for 4 student and 6 teacher channels."""
    student, teacher = (Output(torch.zeros(5, 3), {"embedding": torch.zeros(5, n)}) for n in (4, 6))
    batch = Batch({}, torch.zeros(5, dtype=torch.long), torch.arange(5))
    term = ProjectorDistance(**arguments)
    view = View(student, {"t": teacher}, batch, Clock())
    term.prepare(Facts(view, torch.ones(3)))
    term.double()
    with torch.no_grad():
        term.projector.weight.copy_(wave(6, 4, step=0.9))
        term.projector.bias.copy_(wave(6, step=0.4))
    return term, view


def test_equals_the_authors_code():
    # roymiles/Simple-Recipe-Distillation@31e8477cfdd6bb6ec7cdc332915fd4496b6de7b6,
    # imagenet/torchdistill/losses/single.py, forward_loss; the guard of 1e-5 is the only difference.
    term, view = prepared()
    fs = wave(5, 4, step=0.6, phase=0.3).requires_grad_()
    ft = wave(5, 6, step=0.8, phase=0.1).requires_grad_()
    s, t = (Output(torch.zeros(5, 3), {"embedding": f}) for f in (fs, ft))
    found = term(s, t, view)
    assert found.mean().item() == pytest.approx(5.415529643273666, rel=1e-7)
    found.mean().backward()
    assert fs.grad.abs().sum().item() == pytest.approx(0.4794652899588412, rel=1e-6)
    assert fs.grad[1, 2].item() == pytest.approx(0.01456057535925849, rel=1e-6)
    assert ft.grad is None


def test_space_is_averaged():
    term, view = prepared()
    term.eval()
    fs, ft = wave(5, 4, step=0.6), wave(5, 6, step=0.8)
    plain = term(
        Output(torch.zeros(5, 3), {"embedding": fs}),
        Output(torch.zeros(5, 3), {"embedding": ft}),
        view,
    )
    spread = term(
        Output(torch.zeros(5, 3), {"embedding": torch.stack([fs - 1, fs + 1], 2)}),
        Output(torch.zeros(5, 3), {"embedding": ft[:, :, None, None].expand(5, 6, 2, 3)}),
        view,
    )
    torch.testing.assert_close(spread, plain)


def test_invariants():
    s, t = wave(6, 4, step=1.3), wave(6, 4, step=0.7)
    found = losses.log_sum_distance(s, t)
    assert losses.log_sum_distance(t, s).mean() == found.mean()
    # A common factor of all differences adds a constant: large ones do not drown the gradient.
    scaled = losses.log_sum_distance(10 * s, 10 * t, guard=0.0)
    torch.testing.assert_close(scaled, losses.log_sum_distance(s, t, guard=0.0) + 4 * math.log(10))
    assert found.argmax() == (s - t).abs().pow(4).sum(1).argmax()
    equal = s.clone().requires_grad_()
    at_equality = losses.log_sum_distance(equal, s)
    at_equality.sum().backward()
    assert at_equality.tolist() == pytest.approx([math.log(1e-5)] * 6)
    assert not equal.grad.any()


def test_gradcheck():
    t = wave(4, 3, step=0.7)
    assert torch.autograd.gradcheck(
        lambda s: losses.log_sum_distance(s, t), wave(4, 3, step=1.3).requires_grad_()
    )


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="power: 0 must be > 0"):
        ProjectorDistance(power=0)
    with pytest.raises(ValueError, match="power: 0 must be > 0"):
        losses.log_sum_distance(wave(2, 2), wave(2, 2), power=0)
    _, view = prepared()
    with pytest.raises(ValueError, match=r"no feature 'stage9' \(there are: embedding\)"):
        ProjectorDistance("stage9").prepare(Facts(view, torch.ones(3)))
