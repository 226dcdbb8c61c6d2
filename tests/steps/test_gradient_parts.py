"""What each objective adds to the gradient: against autograd by hand, and without a trace in training."""

from functools import partial

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional

from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.schedules import Linear
from tutelage.steps import GradientStep
from tutelage.steps.gradient_parts import due
from tutelage.terms import SoftTargets
from tutelage.types import Batch, Clock, Output

CPU = Fabric(accelerator="cpu", devices=1)
BATCH, CLASSES = 9, 4


class Student(nn.Module):
    """Two layers, one that is not trained, and a normalisation whose statistics would show a second pass."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, CLASSES)
        self.first.bias.requires_grad_(False)

    def forward(self, batch):
        return Output(self.head(torch.tanh(self.norm(self.first(batch.inputs["x"])))))


@pytest.fixture
def material():
    torch.manual_seed(0)
    labels = torch.randint(0, CLASSES, (BATCH,))
    batch = Batch({"x": torch.randn(BATCH, 5)}, labels, torch.arange(BATCH))
    return Student(), batch, {"sig": Output(torch.randn(BATCH, CLASSES))}


def bound(student, coefficient):
    objectives = {"soft": Weighted(PerTeacher(SoftTargets(2.0)), coefficient)}
    distiller = Distiller({"labels": Weighted(Labels(), 0.3)} | objectives)
    return GradientStep(partial(torch.optim.SGD, lr=0.0), 0.1).bind(CPU, student, distiller)


def by_hand(student, loss):
    """One number after the other."""
    wanted = [p for p in student.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, wanted, retain_graph=True)
    return [float(g) for each in found for g in each.flatten().double()]


def test_norm_share_and_cosine_are_those_of_autograd_by_hand(material):
    student, batch, teachers = material
    stepper = bound(student, Linear(0.0, 8.0))
    clock = Clock(2, 20, epochs=4, steps_per_epoch=10)  # half of it: 4
    logits = student(batch).logits
    ce = functional.cross_entropy(logits, batch.labels)
    answers = torch.log_softmax(logits / 2, dim=1)
    said = torch.softmax(teachers["sig"].logits / 2, dim=1)
    kl = 4 * (said * (said.log() - answers)).sum(dim=1).mean()
    a, b = by_hand(student, ce), by_hand(student, kl)
    size = lambda v: sum(x * x for x in v) ** 0.5  # noqa: E731
    norms = {"labels": 0.3 * size(a), "soft": 4.0 * size(b)}
    parts = stepper.parts(stepper.distiller(_view(student, batch, teachers, clock)), clock)
    for name, norm in norms.items():
        assert parts[name].norm == pytest.approx(norm, rel=1e-5)
        assert parts[name].share == pytest.approx(norm / sum(norms.values()), rel=1e-5)
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    assert parts["soft"].cosine == pytest.approx(dot / size(a) / size(b), rel=1e-4)
    assert parts["labels"].cosine is None


def _view(student, batch, teachers, clock):
    from tutelage.types import View

    return View(student(batch), teachers, batch, clock)


def test_a_measured_step_is_the_step_that_is_not(material, monkeypatch):
    student, batch, teachers = material
    begun = {k: v.clone() for k, v in student.state_dict().items()}
    ended = []
    for measured in (True, False):
        student.load_state_dict(begun)
        stepper = bound(student, 2.0)
        monkeypatch.setattr(type(stepper), "measures", lambda self, clock, m=measured: m)
        losses, _ = stepper(batch, teachers, Clock(0, 0, 1, 1))
        assert set(losses.gradients) == ({"labels", "soft"} if measured else set())
        ended.append({k: v.clone() for k, v in student.state_dict().items()})
    assert all(torch.equal(ended[0][key], ended[1][key]) for key in begun)
    assert any(not torch.equal(ended[0][key], begun[key]) for key in begun)


@pytest.mark.parametrize(("steps", "epochs"), [(1, 400), (55, 60), (79, 20), (81, 20), (1000, 3)])
@pytest.mark.parametrize("objectives", [2, 3, 5])
def test_measured_steps_are_few_and_the_first_is_among_them(steps, epochs, objectives):
    clocks = [Clock(n // steps, n, epochs, steps) for n in range(steps * epochs)]
    turns = [clock.step for clock in clocks if due(clock, objectives)]
    assert turns[0] == 0
    # A backward pass per objective is at most two thirds of a step.
    cost = (len(turns) - 1) * objectives * 2 / 3
    assert cost <= 0.02 * len(clocks)
    assert len(turns) >= len(clocks) // (2 * 40 * objectives + 2 * steps)


def test_a_single_objective_is_not_measured():
    assert not due(Clock(), 1)
