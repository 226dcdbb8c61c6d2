"""MMKD: learned weights over teachers, and the meta step that learns them."""

from contextlib import nullcontext
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.recipe.test_mistakes import examine
from tests.training.small import recipe
from tests.training.test_runs import execute, read, runs_of
from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.runs.writer import RunFolder
from tutelage.steps import BilevelStep, GradientStep
from tutelage.steps.bilevel import sgd
from tutelage.steps.hard_buffer import HardBuffer
from tutelage.terms import Hint, SoftTargets
from tutelage.types import Batch, Clock, Facts, Needs, Output, View
from tutelage.weighting import MetaFeatures, MetaLogits, Uniform


class Here:
    device = torch.device("cpu")
    autocast = staticmethod(nullcontext)

    def backward(self, tensor):
        tensor.backward()


class Half(Here):
    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16)


def count(*shape, dtype=torch.float64):
    return torch.arange(torch.Size(shape).numel(), dtype=dtype).reshape(shape)


class Student(nn.Module):
    """Three numbers -> a 2 x 2 x 2 feature -> three classes, with the parameters of the golden run."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(3, 8).double(), nn.Linear(8, 3).double()
        with torch.no_grad():
            self.stem.weight.copy_(0.5 * torch.sin(count(8, 3) + 1))
            self.stem.bias.copy_(0.1 * torch.cos(count(8)))
            self.head.weight.copy_(0.4 * torch.cos(0.7 * count(3, 8)))
            self.head.bias.zero_()

    def forward(self, batch):
        feature = torch.tanh(self.stem(batch.inputs["x"]))
        return Output(self.head(feature), {"stage3": feature.reshape(-1, 2, 2, 2)})


class Normed(nn.Module):
    """A student with running statistics."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.stem, self.norm, self.head = nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.drop = nn.Dropout(0.1)

    def forward(self, batch):
        feature = torch.relu(self.norm(self.stem(batch.inputs["x"])))
        return Output(self.head(self.drop(feature)), {"stage3": feature.reshape(-1, 2, 2, 2)})


POOLED = {"type": "Hint", "student_tap": "stage3", "teacher_tap": "stage3", "resize": "pooled"}


def pooled_hint():
    return Hint("stage3", "stage3", resize="pooled")


def fill(module, scale=0.5):
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(scale * torch.sin(0.3 * (i + 1) * count(*p.shape) + i))


def toy_batch():
    labels = torch.tensor([0, 2, 1, 0])
    batch = Batch({"x": torch.sin(0.9 * count(4, 3))}, labels, torch.arange(4))
    teachers = {
        "one": Output(
            2 * torch.sin(1.3 * count(4, 3) + 1), {"stage3": torch.cos(0.4 * count(4, 3, 2, 2))}
        ),
        "two": Output(
            2 * torch.cos(0.6 * count(4, 3)), {"stage3": torch.sin(0.5 * count(4, 2, 1, 1) + 2)}
        ),
    }
    return batch, teachers


def distiller_for(view, size, coefficient=10.0, logits=None, features=None):
    made = Distiller(
        {
            "labels": Weighted(Labels()),
            "soft": Weighted(PerTeacher(SoftTargets(4.0), logits or MetaLogits())),
            "hint": Weighted(PerTeacher(pooled_hint(), features or MetaFeatures()), coefficient),
        }
    )
    made.prepare(Facts(view, torch.ones(3, dtype=torch.int64), batch_size=size))
    return made


def golden_setting(nesterov=False):
    """Student, distiller and bound step with the parameters and momenta of the golden run, in float64."""
    batch, teachers = toy_batch()
    student = Student()
    distiller = distiller_for(View(student(batch), teachers, batch, Clock()), 4).double()
    with torch.no_grad():
        for i, name in enumerate(teachers):
            weight = distiller.objectives["hint"].copies[name].regressor[0].weight
            weight.copy_(0.6 * torch.sin(count(*weight.shape) + 1 + i))
    for name in ("soft", "hint"):
        fill(distiller.objectives[name].weighting)
    optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
    step = BilevelStep(optimizer, 0.1, buffer=0).bind(Here(), student, distiller)
    for p in step.descent.parameters:
        step.descent.optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    for i, p in enumerate(student.parameters()):
        momentum = 0.2 * torch.cos(count(*p.shape) + i)
        step.descent.optimizer.state[p]["momentum_buffer"] = momentum
    return student, distiller, step, batch, teachers


# Rorozhl/MMKD@3ae1f8c, models/meta_util.py and helper/meta_optimizer.py on the tensors above, alpha 1, beta 10.
GOLDEN_LOGITS = [
    [0.662241393320, 0.609414242305, 0.555203045327, 0.755641824982],
    [0.337758606680, 0.390585757695, 0.444796954673, 0.244358175018],
]
GOLDEN_FEATURES = [
    [0.420968492517, 0.535934612015, 0.714061243656, 0.840135724324],
    [0.579031507483, 0.464065387985, 0.285938756344, 0.159864275676],
]
GOLDEN_MATCHING = 9.372690948979397
GOLDEN_JUDGED = {False: 1.0189734657201843, True: 0.9796458583711978}
# Norm, sum, and the first two numbers of the gradient of each parameter, plain momentum.
GOLDEN_GRADIENT = [
    (0.0349645060061155, -0.059172700937767844, -0.006336050769251946, -0.003547274683685594),
    (0.021350176543539136, 0.02124955567334617, -0.0027676005076934266, -0.0002903494815331754),
    (0.05306645703671503, 0.0, -0.007115388522904314, -0.03601230589945319),
    (0.03911582225602896, 0.0, -0.027659063168925753, 0.02765906316892576),
    (0.2727871111861018, 0.01099458470334809, -0.000503073644829615, -0.0012376233635523364),
    (0.022350088427801226, 0.020233185378824087, 0.00019460669077657174, 0.01156221957639835),
    (0.32117977078479304, 0.0, 0.12494317393652585, -0.04973127819882213),
    (0.00264835570126213, 0.0, 0.0018726702753565083, -0.0018726702753565048),
]
# The same with Nesterov: their adjoint is that of plain momentum, so it is not the derivative (see the test).
GOLDEN_NESTEROV_NORMS = [0.029628759533351035, 0.014778918160096514, 0.04893926841748279]


def test_weights_are_those_of_the_authors_networks():
    student, distiller, _, batch, teachers = golden_setting()
    view = View(student(batch), teachers, batch, Clock())
    for name, golden in (("soft", GOLDEN_LOGITS), ("hint", GOLDEN_FEATURES)):
        found = distiller.objectives[name].weighting(torch.zeros(2, 4), view)
        torch.testing.assert_close(found, torch.tensor(golden, dtype=torch.float64))
        torch.testing.assert_close(found.sum(dim=0), torch.ones(4, dtype=torch.float64))
    matching = distiller(view, ["soft", "hint"]).total.mean()
    assert float(matching.detach()) == pytest.approx(GOLDEN_MATCHING, rel=1e-10)


def test_the_weight_network_by_hand():
    student, distiller, _, batch, teachers = golden_setting()
    view = View(student(batch), teachers, batch, Clock())
    network = deepcopy(distiller.objectives["hint"].weighting.network).requires_grad_(False)
    first, _, second = network
    assert first.weight.shape == (6, 12)
    assert second.weight.shape == (2, 6)
    for i in range(4):
        state = [
            float((a[i] * a[j]).sum().detach())
            for a in (*(t.features["stage3"] for t in teachers.values()), view.student.features["stage3"])
            for j in range(4)
        ]  # fmt: skip
        hidden = [
            max(0.0, float(first.bias[h]) + sum(float(first.weight[h, n]) * s for n, s in enumerate(state)))
            for h in range(6)
        ]  # fmt: skip
        scores = torch.tensor(
            [float(second.bias[k]) + sum(float(second.weight[k, h]) * v for h, v in enumerate(hidden))
             for k in range(2)], dtype=torch.float64,
        )  # fmt: skip
        found = distiller.objectives["hint"].weighting(torch.zeros(2, 4), view)[:, i]
        torch.testing.assert_close(found, scores.exp() / scores.exp().sum())


def test_the_meta_gradient_is_that_of_the_authors_code():
    *_, step, batch, teachers = golden_setting()
    for found, golden in zip(
        step.meta_gradient(batch, teachers, Clock()), GOLDEN_GRADIENT, strict=True
    ):
        numbers = [found.norm(), found.sum(), *found.flatten()[:2]]
        assert [float(n) for n in numbers] == pytest.approx(golden, rel=1e-9, abs=1e-14)


def judged(step, batch, teachers, names=("labels",), steps=None):
    """Run the virtual steps with ``torch.optim.SGD`` itself, on copies; return the outer loss."""
    student, distiller = step.descent.student, step.descent.distiller
    parameters = step.descent.parameters
    before = [p.detach().clone() for p in parameters]
    optimizer = step.descent.optimizer
    momenta = [optimizer.state[p]["momentum_buffer"].clone() for p in parameters]
    buffers = [b.clone() for b in (*student.buffers(), *distiller.buffers())]

    def total(only):
        return distiller(View(student(batch), teachers, batch, Clock()), only).total.mean()

    for only in [["soft", "hint"]] * 2 + [list(names)]:
        optimizer.zero_grad()
        total(only).backward()
        optimizer.step()
    found = float(total(list(names)).detach())
    with torch.no_grad():
        for p, value, momentum in zip(parameters, before, momenta, strict=True):
            p.copy_(value)
            optimizer.state[p]["momentum_buffer"] = momentum
        for b, value in zip((*student.buffers(), *distiller.buffers()), buffers, strict=True):
            b.copy_(value)
    return found


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_meta_gradient_is_the_slope_of_the_outer_loss(nesterov):
    *_, step, batch, teachers = golden_setting(nesterov)
    assert judged(step, batch, teachers) == pytest.approx(GOLDEN_JUDGED[nesterov], rel=1e-10)
    if nesterov:  # the authors' adjoint leaves Nesterov out
        norms = [float(g.norm()) for g in step.meta_gradient(batch, teachers, Clock())]
        assert norms[:3] != pytest.approx(GOLDEN_NESTEROV_NORMS, rel=0.02)
    # What the networks read of the student is detached, which a finite difference cannot be: blind them to it.
    with torch.no_grad():
        step.weights[0][:, -3:] = 0.0
        step.weights[4][:, -4:] = 0.0
    gradient = step.meta_gradient(batch, teachers, Clock())
    for parameter, found in zip(step.weights, gradient, strict=True):
        flat = parameter.detach().view(-1)
        for place in {0, len(flat) // 2, len(flat) - 1}:
            slopes = []
            for change in (1e-5, -1e-5):
                flat[place] += change
                slopes.append(judged(step, batch, teachers))
                flat[place] -= change
            slope = (slopes[0] - slopes[1]) / 2e-5
            assert float(found.view(-1)[place]) == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_the_meta_gradient_is_that_of_the_adjoint():
    """The recursion over stored states: a = dL/dp, c = dL/dmomentum, backwards through the steps."""
    *_, step, batch, teachers = golden_setting()
    student, distiller = step.descent.student, step.descent.distiller
    parameters, lr, mu, wd = step.descent.parameters, 0.1, 0.9, 0.01
    momenta = [step.descent.optimizer.state[p]["momentum_buffer"].clone() for p in parameters]

    def slopes(only, of, **kwargs):
        total = distiller(View(student(batch), teachers, batch, Clock()), only).total.mean()
        found = torch.autograd.grad(total, of, allow_unused=True, **kwargs)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(of, found, strict=True)]

    def put(values):
        with torch.no_grad():
            for p, value in zip(parameters, values, strict=True):
                p.copy_(value)

    states, objectives = [], [["soft", "hint"], ["soft", "hint"], ["labels"]]
    for only in objectives:
        states.append([p.detach().clone() for p in parameters])
        now = zip(momenta, slopes(only, parameters), parameters, strict=True)
        momenta = [mu * m + g + wd * p.detach() for m, g, p in now]
        put([p.detach() - lr * m for p, m in zip(parameters, momenta, strict=True)])
    a = slopes(["labels"], parameters)
    c = [torch.zeros_like(p) for p in parameters]
    total = [torch.zeros_like(w) for w in step.weights]
    for only, state in zip(reversed(objectives), reversed(states), strict=True):
        put(state)
        gradient = slopes(only, parameters, create_graph=True)
        x = sum((g * (ci - lr * ai)).sum() for g, ai, ci in zip(gradient, a, c, strict=True))
        x = x + 0.0 * sum(w.sum() for w in step.weights)
        onto = torch.autograd.grad(
            x, [*parameters, *step.weights], allow_unused=True, materialize_grads=True
        )
        total = [t + g for t, g in zip(total, onto[len(parameters) :], strict=True)]
        a, c = (
            [(1 - lr * wd) * ai + wd * ci + xi for ai, ci, xi in zip(a, c, onto[: len(a)], strict=True)],
            [mu * (ci - lr * ai) for ai, ci in zip(a, c, strict=True)],
        )  # fmt: skip
    put(states[0])
    for found, wanted in zip(step.meta_gradient(batch, teachers, Clock()), total, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"weight_decay": 0.1},
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
        {"momentum": 0.8, "dampening": 0.3},
        {"momentum": 0.5, "maximize": True},
    ],
)
def test_a_virtual_step_is_a_step_of_sgd(arguments):
    parameter = nn.Parameter(count(5))
    optimizer = torch.optim.SGD([parameter], lr=0.1, **arguments)
    value, momentum = parameter.detach().clone(), None
    for i in range(4):
        gradient = torch.cos(count(5) + i)
        value, momentum = sgd(value, gradient, momentum, optimizer.param_groups[0])
        parameter.grad = gradient.clone()
        optimizer.step()
        torch.testing.assert_close(value, parameter.detach(), rtol=1e-14, atol=1e-14)


def moving(buffer=8, seed=0, every=2, **arguments):
    """A bound step on a student with batch normalisation and dropout, and the batches to train it on."""
    student = Normed(seed).train()
    random = torch.Generator().manual_seed(1)
    data = []
    for i in range(6):
        inputs = {"x": torch.randn(4, 3, generator=random)}
        batch = Batch(inputs, torch.randint(0, 3, (4,), generator=random), torch.arange(4) + 4 * i)
        teachers = {
            name: Output(
                torch.randn(4, 3, generator=random),
                {"stage3": torch.randn(4, 3, 2, 2, generator=random)},
            )
            for name in ("one", "two")
        }
        data.append((batch, teachers))
    batch, teachers = data[0]
    with torch.no_grad():
        view = View(student.eval()(batch), teachers, batch, Clock())
    student.train()
    torch.manual_seed(seed)
    distiller = distiller_for(view, 4).train()
    optimizer = partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-3, nesterov=True)
    rule = BilevelStep(optimizer, 0.05, batch_size=4, every=every, buffer=buffer, **arguments)
    return rule.bind(Here(), student, distiller), data


def snapshot(step):
    tensors = dict(step.joint.state_dict()) | {
        "weights": torch.cat([w.flatten() for w in step.weights])
    }
    states = step.descent.optimizer.state_dict()["state"]
    tensors |= {f"momentum{i}": s["momentum_buffer"] for i, s in states.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_virtual_steps_leave_no_trace():
    step, data = moving()
    for i, (batch, teachers) in enumerate(data[:3]):
        step(batch, teachers, Clock(step=i, steps_per_epoch=6))
    before = snapshot(step)
    gradient = step.meta_gradient(*data[3], Clock(step=3, steps_per_epoch=6))
    assert all(bool(g.any()) for g in gradient)
    assert same(before, snapshot(step))
    assert not any(p.requires_grad and p.grad_fn is not None for p in step.descent.parameters)


def test_a_meta_step_moves_nothing_but_the_weight_networks():
    step, data = moving(buffer=0, every=100)
    plain, _ = moving(buffer=0, every=100)
    clock = Clock(step=0, steps_per_epoch=6)
    torch.manual_seed(0)
    step(*data[0], clock)  # with a meta step behind it
    torch.manual_seed(0)
    plain.descent(*data[0], clock)  # without
    one, other = snapshot(step), snapshot(plain)
    mine = {id(w) for w in step.weights}
    moved = {
        f"distiller.{n}" for n, p in step.descent.distiller.named_parameters() if id(p) in mine
    }
    assert len(moved) == 8
    for name in moved | {"weights"}:
        assert not torch.equal(one.pop(name), other.pop(name)), name
    assert same(one, other)


def test_the_students_own_step_does_not_train_the_weight_networks():
    step, data = moving(every=3)
    assert not {id(p) for p in step.descent.parameters} & {id(w) for w in step.weights}
    changes = []
    for i, (batch, teachers) in enumerate(data):
        before = snapshot(step)
        step(batch, teachers, Clock(step=6 + i, steps_per_epoch=6))
        after = snapshot(step)
        changes.append(not torch.equal(before["weights"], after["weights"]))
        assert not torch.equal(before["student.stem.weight"], after["student.stem.weight"])
    assert changes == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]  # steps 0 and 3, and the last of the epoch


def test_adam_takes_the_meta_gradient():
    step, data = moving(buffer=0, meta_learning_rate=0.01, meta_weight_decay=0.1)
    plain, _ = moving(buffer=0)
    torch.manual_seed(0)
    plain.descent(*data[0], Clock(steps_per_epoch=6))
    gradient = plain.meta_gradient(*data[0], Clock(steps_per_epoch=6))
    torch.manual_seed(0)
    before = [w.detach().clone() for w in step.weights]
    step(*data[0], Clock(steps_per_epoch=6))
    for old, new, slope in zip(before, step.weights, gradient, strict=True):
        whole = slope + 0.1 * old  # Adam's first step is lr · sign, up to epsilon
        wanted = old - 0.01 * whole / (whole.abs() + 1e-8)
        torch.testing.assert_close(new.detach(), wanted, rtol=1e-5, atol=1e-7)


def test_a_step_that_was_stopped_goes_on_bit_equal(tmp_path):
    step, data = moving()
    for i, (batch, teachers) in enumerate(data[:3]):
        torch.manual_seed(i)
        step(batch, teachers, Clock(step=i, steps_per_epoch=6))
    saved = {"joint": step.joint.state_dict(), "step": step.state()}
    checkpoint.write(tmp_path / "state.safetensors", saved)
    for i, (batch, teachers) in enumerate(data[3:]):
        torch.manual_seed(i)
        step(batch, teachers, Clock(step=3 + i, steps_per_epoch=6))
    again, _ = moving(seed=5)
    stored = checkpoint.read(tmp_path / "state.safetensors")
    again.joint.load_state_dict(stored["joint"])
    again.restore(stored["step"])
    for i, (batch, teachers) in enumerate(data[3:]):
        torch.manual_seed(i)
        again(batch, teachers, Clock(step=3 + i, steps_per_epoch=6))
    assert same(snapshot(step), snapshot(again))
    assert same(step.buffer.rows, again.buffer.rows)


def test_a_compiled_student_is_differentiated_twice_all_the_same():
    step, data = moving(buffer=0)
    torch.manual_seed(0)
    plain = step.meta_gradient(*data[0], Clock())
    step.descent.student.compile(backend="aot_eager")
    torch.manual_seed(0)
    found = step.meta_gradient(*data[0], Clock())
    torch.testing.assert_close(found, plain)


def entries(first, wrong):
    """Samples numbered from ``first``; their numbers are everywhere."""
    number = torch.arange(first, first + len(wrong))
    output = Output(number[:, None] + 0.5, {"stage3": number[:, None, None] * 2.0})
    mixed = {"partner": number % 2, "share": number / 100}
    batch = Batch({"x": number[:, None].to(torch.uint8)}, number % 3, number, **mixed)
    return batch, {"sig": output}, torch.tensor(wrong)


def test_the_buffer_fills_up_and_then_takes_in_what_was_wrong():
    buffer = HardBuffer(5)
    buffer.add(*entries(0, [False] * 3))
    assert buffer.rows["batch/index"].tolist() == [0, 1, 2]
    buffer.add(*entries(10, [True] * 3))
    assert buffer.rows["batch/index"].tolist() == [0, 1, 2, 10, 11]
    torch.manual_seed(0)
    buffer.add(*entries(20, [False, True, False, True]))
    held = buffer.rows["batch/index"].tolist()
    assert len(held) == 5
    assert {21, 23} < set(held)
    assert not {20, 22} & set(held)
    batch, teachers = buffer.draw(4)
    number = batch.index
    assert len(set(number.tolist())) == 4
    assert set(number.tolist()) <= set(held)
    assert batch.inputs["x"].dtype == torch.uint8
    for values, wanted in (
        (batch.inputs["x"][:, 0], number),
        (batch.labels, number % 3),
        (batch.partner, number % 2),
        (batch.share, number / 100),
        (teachers["sig"].logits[:, 0], number + 0.5),
        (teachers["sig"].features["stage3"][:, 0, 0], number * 2.0),
    ):
        assert torch.equal(values, wanted.to(values.dtype))
    assert batch.concepts == {}


def test_the_buffer_does_not_change_with_what_it_was_given():
    buffer = HardBuffer(3)
    batch, teachers, wrong = entries(0, [True] * 3)
    buffer.add(batch, teachers, wrong)
    batch.inputs["x"].fill_(99)
    assert buffer.rows["inputs/x"][:, 0].tolist() == [0, 1, 2]


def test_identical_teachers_are_one_teacher():
    batch, teachers = toy_batch()
    student = Student()
    twins = {"one": teachers["one"], "two": teachers["one"]}
    view = View(student(batch), twins, batch, Clock())
    for weighting in (MetaLogits(), MetaFeatures()):
        objective = PerTeacher(SoftTargets(4.0), weighting)
        objective.prepare(Facts(view, torch.ones(3, dtype=torch.int64), batch_size=4))
        single = SoftTargets(4.0)(view.student, teachers["one"], view)
        torch.testing.assert_close(objective.double()(view), single)


def test_pooled_hint_by_hand():
    batch, teachers = toy_batch()
    student = Student()
    view = View(student(batch), {"two": teachers["two"]}, batch, Clock())
    term = pooled_hint()
    term.prepare(Facts(view, torch.ones(3, dtype=torch.int64)))
    term.double()
    found = term(view.student, teachers["two"], view)
    weight = term.regressor[0].weight
    pooled = view.student.features["stage3"].mean(dim=(2, 3))
    raw = torch.stack([(weight[:, :, 0, 0] * row).sum(dim=1) for row in pooled])
    normed = (raw - raw.mean(dim=0)) / (raw.var(dim=0, unbiased=False) + 1e-5).sqrt()
    wanted = (F.relu(normed) - teachers["two"].features["stage3"][:, :, 0, 0]).square().mean(dim=1)
    torch.testing.assert_close(found, wanted)


def test_normalised_maps_do_not_depend_on_the_size_of_features():
    batch, teachers = toy_batch()
    student = Student()
    large = dict(teachers)
    large["two"] = Output(
        teachers["two"].logits, {"stage3": 1e3 * teachers["two"].features["stage3"]}
    )
    small_view, large_view = (View(student(batch), t, batch, Clock()) for t in (teachers, large))
    for normalise in (True, False):
        made = MetaFeatures(normalise=normalise)
        made.prepare(Facts(small_view, torch.ones(3), batch_size=4))
        made.double()
        fill(made)
        found, other = (made(torch.zeros(2, 4), view) for view in (small_view, large_view))
        assert torch.allclose(found, other) == normalise
        assert normalise or (other.detach().amax(dim=0) > 0.999).any()


def test_meta_steps_in_bf16_are_finite():
    step, data = moving()
    step.device = step.descent.device = Half()
    for i, (batch, teachers) in enumerate(data):
        losses, _ = step(batch, teachers, Clock(step=i, steps_per_epoch=6))
        assert losses.total.isfinite().all()
    assert all(bool(w.isfinite().all()) for w in step.weights)


def test_another_batch_size_is_refused_with_one_sentence():
    student, distiller, _, batch, teachers = golden_setting()
    short = View(Output(student(batch).logits[:3]), teachers, batch, Clock())
    with pytest.raises(UserError, match="made for batches of 4 samples, and this batch has 3"):
        distiller.objectives["hint"].weighting(torch.zeros(2, 3), short)
    view = View(student(batch), teachers, batch, Clock())
    with pytest.raises(UserError, match="the batch size is not known here"):
        MetaFeatures().prepare(Facts(view, torch.ones(3)))
    with pytest.raises(UserError, match="the student has no feature 'stage9'"):
        MetaFeatures("stage9").prepare(Facts(view, torch.ones(3), batch_size=4))


SGD = partial(torch.optim.SGD, lr=0.1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"every": 0}, "every: 0 must be >= 1"),
        ({"virtual_steps": 0}, "virtual_steps: 0 must be >= 1"),
        ({"meta_learning_rate": 0.0}, "meta_learning_rate: 0.0 must be > 0"),
        ({"buffer": 64, "batch_size": 128}, "buffer: 64 samples cannot fill a batch of 128"),
        ({"buffer": -1}, "buffer: -1 samples"),
    ],
)
def test_impossible_steps_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        BilevelStep(SGD, **arguments)


class ReadsMaps(Labels):
    def needs(self):
        return Needs(grams=frozenset({"stage1"}))


def test_steps_that_do_not_fit_the_objectives_are_refused():
    student, distiller, *_ = golden_setting()
    with pytest.raises(UserError, match="GradientStep makes none"):
        GradientStep(SGD).bind(Here(), student, distiller)
    uniform = Distiller(
        {"labels": Weighted(Labels()), "soft": Weighted(PerTeacher(SoftTargets(), Uniform()))}
    )
    with pytest.raises(UserError, match="no weighting here is learned by a meta step"):
        BilevelStep(SGD).bind(Here(), student, uniform)
    with pytest.raises(UserError, match="unknown objective 'label'; did you mean 'labels'"):
        BilevelStep(SGD, outer=["label"]).bind(Here(), student, distiller)
    with pytest.raises(UserError, match="found AdamW; allowed: SGD"):
        BilevelStep(torch.optim.AdamW).bind(Here(), student, distiller)
    del distiller.objectives["labels"]
    with pytest.raises(UserError, match="no objective of type Labels to judge"):
        BilevelStep(SGD).bind(Here(), student, distiller)
    distiller.objectives["labels"] = ReadsMaps()
    with pytest.raises(UserError, match="similarity map of stage1 for whole batches"):
        BilevelStep(SGD).bind(Here(), student, distiller)
    BilevelStep(SGD, buffer=0).bind(Here(), student, distiller)


def meta(content):
    content["train"] |= {
        "epochs": 3,
        "learning_rate": 0.02,
        "step": {"type": "BilevelStep", "every": 3, "buffer": 32},
    }
    content["distiller"] = {
        "labels": {"type": "Labels"},
        "soft": {"type": "PerTeacher", "term": "SoftTargets", "weighting": "MetaLogits"},
        "hint": {
            "type": "PerTeacher",
            "term": {**POOLED, "active": False},
            "weighting": "MetaFeatures",
            "coefficient": 0.1,
        },
    }
    content["stages"] = {
        "sig": {"train": {"epochs": 1, "step": {"type": "GradientStep"}}, "seed": 0},
        "pi": {"input": "pi", "train": {"epochs": 1, "step": {"type": "GradientStep"}}, "seed": 0},
        "mmkd": {"teachers": ["sig", "pi"]},
    }
    content["baseline"] = None


def test_the_recipe_is_checked(tmp_path):
    found = {row.stage: row for row in examine(recipe(meta), tmp_path)}
    assert set(found["mmkd"].reach) == {"labels", "soft", "hint"}

    def plain(content):
        meta(content)
        content["train"]["step"] = {"type": "GradientStep"}

    with pytest.raises(UserError, match=r"^stages\.mmkd\.train\.step: the weights over teachers"):
        examine(recipe(plain), tmp_path)

    def small(content):
        meta(content)
        content["train"]["step"]["buffer"] = 8

    with pytest.raises(UserError, match=r"step: buffer: 8 samples cannot fill a batch of 16"):
        examine(recipe(small), tmp_path)


class KilledError(BaseException):  # as SIGKILL: nothing that a run may catch
    pass


def test_a_killed_run_ends_bit_equal(tmp_path, monkeypatch):
    calm = runs_of(execute(tmp_path, recipe(meta), "calm"))["mmkd", 0]
    last = RunFolder.last

    def dies(self, state):
        last(self, state)
        if "mmkd" in str(self.path) and state.epoch == 2:
            raise KilledError

    monkeypatch.setattr(RunFolder, "last", dies)
    (tmp_path / "other").mkdir()
    with pytest.raises(KilledError):
        execute(tmp_path / "other", recipe(meta), "it")
    monkeypatch.setattr(RunFolder, "last", last)
    resumed = runs_of(execute(tmp_path / "other", recipe(meta), "it"))["mmkd", 0]
    for name in ("metrics.jsonl", "evaluation.json", "best.safetensors", "last.safetensors"):
        assert (resumed / name).read_bytes() == (calm / name).read_bytes(), name
    stored = checkpoint.read(resumed / "last.safetensors")
    assert stored["step"]["buffer"]["batch/labels"].shape == (32,)
    assert stored["step"]["meta"]["state"]
    rows = (resumed / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 3
    assert read(resumed / "run.json")["status"] == "complete"


def test_weight_networks_read_a_masked_class_as_the_least_likely_one():
    from tutelage.losses.precision import shown

    logits = torch.tensor([[2.0, -torch.inf, -1.0], [0.0, 1.0, 2.0]])
    assert shown(logits).tolist() == [[2.0, -1.0, -1.0], [0.0, 1.0, 2.0]]
