"""DIST: a slow loop, golden numbers of the specification and of the authors' code, invariants."""

import math

import pytest
import torch

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.schedules import Linear
from tutelage.terms import ClassRelations
from tutelage.types import Batch, Clock, Output, View

Z_T = torch.tensor([[2.0, 1, 0, -1], [0.5, 0.5, 3, -2], [1, -1, 0, 2]], dtype=torch.float64)
Z_S = torch.tensor([[1.0, 1.5, -0.5, 0], [0, 1, 2, -1], [0, 0, 1, 1]], dtype=torch.float64)


def correlation(u, v):
    mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
    u, v = [x - mean_u for x in u], [x - mean_v for x in v]
    product = math.sqrt(sum(x * x for x in u)) * math.sqrt(sum(x * x for x in v))
    return sum(a * b for a, b in zip(u, v, strict=True)) / (product + 1e-8)


def relations(student, teacher, temperature):
    """One minus the correlation of each row, and of each column."""
    s = torch.softmax(student / temperature, 1).tolist()
    t = torch.softmax(teacher / temperature, 1).tolist()
    rows = [1 - correlation(a, b) for a, b in zip(s, t, strict=True)]
    columns = [1 - correlation(a, b) for a, b in zip(zip(*s), zip(*t), strict=True)]  # noqa: B905
    return rows, columns


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equals_a_loop(temperature):
    s, t = 3 * wave(7, 5, step=1.3), 3 * wave(7, 5, step=0.7, phase=0.5)
    rows, columns = relations(s, t, temperature)
    inter = losses.class_relations(s, t, inter=1, intra=0, temperature=temperature)
    assert inter.tolist() == pytest.approx([temperature**2 * row for row in rows], rel=1e-9)
    intra = losses.class_relations(s, t, inter=0, intra=1, temperature=temperature)
    by_hand = temperature**2 * sum(columns) / len(columns)
    assert intra.mean().item() == pytest.approx(by_hand, rel=1e-9)
    both = losses.class_relations(s, t, inter=2, intra=3, temperature=temperature)
    torch.testing.assert_close(both, 2 * inter + 3 * intra)


def test_golden_vectors():
    inter = losses.class_relations(Z_S, Z_T, inter=1, intra=0)
    intra = losses.class_relations(Z_S, Z_T, inter=0, intra=1)
    assert inter.mean().item() == pytest.approx(0.3605562261530, rel=1e-9)
    assert intra.mean().item() == pytest.approx(0.0427211805599, rel=1e-9)


def test_equals_the_authors_code():
    # hunto/DIST_KD@2418f18b1fedd7c2646a7b1b9a27d5c674c2170b, DIST(beta=2, gamma=1) of logits / 2, times 4.
    s = (3 * wave(6, 5, step=1.3)).requires_grad_()
    t = 3 * wave(6, 5, step=0.7, phase=0.5)
    found = losses.class_relations(s, t, inter=2, intra=1, temperature=2).mean()
    assert found.item() == pytest.approx(10.78427252759334, rel=1e-10)
    found.backward()
    assert s.grad.abs().sum().item() == pytest.approx(5.634033625727039, rel=1e-8)
    assert s.grad[2, 3].item() == pytest.approx(0.38062147436512117, rel=1e-8)


def test_the_share_of_a_sample_is_its_own_and_not_negative():
    s, t = wave(8, 4, step=1.7), wave(8, 4, step=0.4)
    assert (losses.class_relations(s, t) >= 0).all()
    # Only sample 2 differs: it carries most of the intra-class part, although every column's mean has moved.
    other = t.clone()
    other[2] += torch.tensor([0.2, -0.1, 0.0, 0.1])
    share = losses.class_relations(other, t, inter=0, intra=1)
    assert share.argmax() == 2
    assert share[2] > 0.5 * share.sum()


def test_invariants():
    s, t = wave(6, 5, step=1.3), wave(6, 5, step=0.7)
    assert losses.class_relations(t, t).abs().max() < 1e-6
    torch.testing.assert_close(losses.class_relations(s + 3, t - 2), losses.class_relations(s, t))
    # Any positive affine map of a row of probabilities keeps its correlation: mixing with the uniform one.
    mixed = (0.3 * torch.softmax(t, 1) + 0.7 / 5).log()
    assert losses.class_relations(mixed, t, inter=1, intra=0).abs().max() < 1e-5
    # With two classes a row has correlation 1 or -1; with two samples a column has.
    two = losses.class_relations(5 * wave(6, 2), 5 * wave(6, 2, phase=1.0), intra=0)
    assert all(min(abs(v), abs(v - 2)) < 1e-5 for v in two.tolist())
    for inter, intra in ((1, 0), (0, 1)):
        found = losses.class_relations(s, t, inter=inter, intra=intra)
        assert 0 <= found.mean() <= 2


def test_a_class_that_never_varies_has_no_relation():
    t = torch.zeros(4, 3, dtype=torch.float64)
    s = wave(4, 3).requires_grad_()
    found = losses.class_relations(s, t, inter=1, intra=1)
    assert found.mean().item() == pytest.approx(2.0)
    found.sum().backward()
    assert s.grad.isfinite().all()


def test_gradcheck():
    t = wave(5, 4, step=0.7)
    assert torch.autograd.gradcheck(
        lambda s: losses.class_relations(s, t, inter=2, intra=1, temperature=2),
        wave(5, 4, step=1.3).requires_grad_(),
    )


def test_the_temperature_may_be_a_schedule():
    def view(epoch):
        clock = Clock(epoch=epoch, step=epoch, epochs=10, steps_per_epoch=1)
        return View(Output(Z_S), {}, Batch({}, torch.zeros(3), torch.arange(3)), clock)

    term = ClassRelations(inter=2, intra=1, temperature=Linear(8.0, 2.0))
    found = term(Output(Z_S), Output(Z_T), view(5))
    expected = losses.class_relations(Z_S, Z_T, inter=2, intra=1, temperature=5.0)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inter": -1}, "must be >= 0"),
        ({"inter": 0, "intra": 0}, "not both 0"),
        ({"temperature": 0}, "temperature: 0 must be > 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClassRelations(**arguments)
    if "temperature" in arguments:
        with pytest.raises(ValueError, match=sentence):
            losses.class_relations(Z_S, Z_T, **arguments)
