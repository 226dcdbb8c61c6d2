"""DCD: a slow loop, golden numbers of the authors' code, invariants."""

import math

import pytest
import torch

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.terms import DiscriminativeConsistent
from tutelage.types import Batch, Clock, Facts, Output, View


def loop(student, teacher, scale, consistency):
    def unit(row):
        length = math.sqrt(sum(v * v for v in row))
        return [v / length for v in row]

    s, t = [unit(row) for row in student.tolist()], [unit(row) for row in teacher.tolist()]
    size = len(s)
    cosines = [[sum(a * b for a, b in zip(p, q, strict=True)) for q in t] for p in s]
    e = [[math.exp(scale * c) for c in row] for row in cosines]
    found = []
    for i in range(size):
        row = [e[i][j] / sum(e[i]) for j in range(size)]
        column = [e[j][i] / sum(e[k][i] for k in range(size)) for j in range(size)]
        consistent = sum(q * math.log(q / p) for p, q in zip(row, column, strict=True))
        found.append(-math.log(row[i]) + consistency * consistent)
    return found


def test_equals_a_loop():
    s, t = wave(6, 4, step=1.3), wave(6, 4, step=0.7, phase=0.5)
    found = losses.discriminative_consistent(s, t, scale=5.0, consistency=0.3)
    assert found.tolist() == pytest.approx(loop(s, t, 5.0, 0.3), rel=1e-9)


def prepared(**arguments):
    """The term with the projections of the golden run, for 4 student and 6 teacher channels."""
    student, teacher = (Output(torch.zeros(5, 3), {"embedding": torch.zeros(5, n)}) for n in (4, 6))
    batch = Batch({}, torch.zeros(5, dtype=torch.long), torch.arange(5))
    term = DiscriminativeConsistent(width=3, **arguments)
    view = View(student, {"t": teacher}, batch, Clock())
    term.prepare(Facts(view, torch.ones(3)))
    term.double()
    with torch.no_grad():
        term.student.weight.copy_(wave(3, 4, step=0.9))
        term.student.bias.copy_(wave(3, step=0.4))
        term.teacher.weight.copy_(wave(3, 6, step=1.1))
        term.teacher.bias.copy_(wave(3, step=0.2, phase=1))
    return term, view


def test_equals_the_authors_code():
    # giakoumoglou/distillers@a2ee80bd7179b808df63e4264318c40ca6e2966b, cifar/distillers/DCD.py with bias b = 0.3:
    # its gradient there is -1e-16, because no softmax sees it, and the value is that without a bias.
    term, view = prepared()
    fs = wave(5, 4, step=0.6, phase=0.3).requires_grad_()
    s = Output(torch.zeros(5, 3), {"embedding": fs})
    t = Output(torch.zeros(5, 3), {"embedding": wave(5, 6, step=0.8, phase=0.1)})
    found = term(s, t, view).mean()
    assert found.item() == pytest.approx(2.098489184735718, rel=1e-10)
    found.backward()
    assert fs.grad.abs().sum().item() == pytest.approx(2.0467580084140886, rel=1e-8)
    assert fs.grad[1, 2].item() == pytest.approx(0.3038134833044648, rel=1e-8)
    assert term.log_scale.grad.item() == pytest.approx(0.7578308070738653, rel=1e-8)
    with torch.no_grad():
        term.log_scale.fill_(3.0)  # e³ is over the limit of 10
    assert term(s, t, view).mean().item() == pytest.approx(4.436942000908926, rel=1e-10)


def test_invariants():
    s, t = wave(6, 4, step=1.3), wave(6, 4, step=0.7)
    base = losses.discriminative_consistent(s, t, scale=3.0)
    lengths = torch.linspace(0.1, 9, 6, dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        losses.discriminative_consistent(lengths * s, 2 * t, scale=3.0), base
    )
    p = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(losses.discriminative_consistent(s[p], t[p], scale=3.0), base[p])
    # A symmetric map is found alike from both sides: only the discriminative part is left.
    same = losses.discriminative_consistent(s, s, scale=3.0, consistency=100.0)
    torch.testing.assert_close(
        same, losses.discriminative_consistent(s, s, scale=3.0, consistency=0.0)
    )


def test_space_is_averaged_and_the_teacher_gets_no_gradient():
    term, view = prepared()
    fs = wave(5, 4, step=0.6).requires_grad_()
    ft = wave(5, 6, step=0.8).requires_grad_()
    found = term(
        Output(torch.zeros(5, 3), {"embedding": torch.stack([fs - 1, fs + 1], 2)}),
        Output(torch.zeros(5, 3), {"embedding": ft[:, :, None, None].expand(5, 6, 2, 3)}),
        view,
    )
    plain = term(
        Output(torch.zeros(5, 3), {"embedding": fs}),
        Output(torch.zeros(5, 3), {"embedding": ft}),
        view,
    )
    torch.testing.assert_close(found, plain)
    found.sum().backward()
    assert fs.grad.abs().sum() > 0
    assert ft.grad is None
    assert all(p.grad is not None for p in term.parameters())


def test_gradcheck():
    t = wave(4, 3, step=0.7)
    assert torch.autograd.gradcheck(
        lambda s: losses.discriminative_consistent(s, t, scale=3.0),
        wave(4, 3, step=1.3).requires_grad_(),
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"width": 0}, "width: 0 must be >= 1"),
        ({"consistency": -1}, "consistency: -1 must be >= 0"),
        ({"scale": 0}, "scale: 0 must be > 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        DiscriminativeConsistent(**arguments)


def test_a_missing_tap_is_named():
    _, view = prepared()
    with pytest.raises(ValueError, match=r"no feature 'stage9' \(there are: embedding\)"):
        DiscriminativeConsistent("stage9").prepare(Facts(view, torch.ones(3)))
