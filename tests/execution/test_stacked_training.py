"""Trainings in a stack end where each would have ended alone."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from lightning_fabric import Fabric

from tutelage.batches import Samples
from tutelage.execution.stacked_training import Member, fit_stacked, refusal, shape_of, why_not
from tutelage.models import (
    VGG,
    CifarResNet,
    LinearProbe,
    MobileNetV2,
    On,
    ReusedHead,
    ShuffleNetV1,
    ShuffleNetV2,
    WideResNet,
)
from tutelage.objectives import Distiller, Labels, MergedSimilarity, PerTeacher, Weighted
from tutelage.schedules import Cosine
from tutelage.steps import BilevelStep, GradientStep
from tutelage.teachers import CachedTeachers, cache_teacher
from tutelage.terms import ContrastiveRepresentation, Hint, SoftTargets
from tutelage.train import DivergedError, Settings, State, Training, fit
from tutelage.types import Clock, Facts, View
from tutelage.weighting import Fixed

COUNT, CLASSES = 72, 3
CPU = Fabric(accelerator="cpu", devices=1)


def precise(network):
    """In double precision, where two orders of summation differ by next to nothing."""

    class Precise(type(network)):
        def forward(self, x):
            return super().forward(x.double())

    network.__class__ = Precise
    return network.double()


def as_it_is(network):
    return network


class Log:
    """What a training writes, in memory."""

    def __init__(self):
        self.rows, self.chosen, self.states, self.traced = [], [], [], []

    def epoch(self, row, seconds):
        self.rows.append(row)

    def traces(self, index, traces):
        self.traced.append(traces)

    def best(self, split, student, epoch, value, on):
        self.chosen.append((split, epoch, deepcopy(student.state_dict())))

    def last(self, state):
        self.states.append(deepcopy(state))


@pytest.fixture(scope="module")
def samples():
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (COUNT,), generator=random)
    signal = torch.randn(COUNT, 2, 32, generator=random) + labels[:, None, None]
    image = torch.randint(0, 255, (COUNT, 2, 8, 8), generator=random, dtype=torch.uint8)
    return Samples({"signal": signal, "image": image}, labels, tuple("abc"))


@pytest.fixture(scope="module")
def teachers(samples):
    torch.manual_seed(7)
    return {
        "sig": On("signal", WideResNet(2, CLASSES, depth=10, dimensions=1), [0.5] * 2, [2.0] * 2),
        "img": On("image", WideResNet(2, CLASSES, depth=10), [127.0] * 2, [70.0] * 2),
    }


def optimizer(kind):
    if kind == "sgd":
        return partial(torch.optim.SGD, lr=0.0, momentum=0.9, nesterov=True, weight_decay=1e-3)
    return partial(torch.optim.AdamW, lr=0.0, weight_decay=1e-2)


def plain(number):
    weights = {"sig": 0.1 + 0.2 * number, "img": 0.9 - 0.2 * number}
    return {
        "labels": Weighted(Labels(), 0.2 + 0.1 * number),
        "soft": Weighted(PerTeacher(SoftTargets(2.0 + number), Fixed(weights)), 0.7),
        "similarity": Weighted(MergedSimilarity({"sig": 0.5, "img": 0.5}), 3.0 * number),
    }


def learning(number):
    """Objectives with parameters of their own, and one that draws at random."""
    return {
        "labels": Weighted(Labels()),
        "hint": Weighted(PerTeacher(Hint(), teachers=["sig"]), 0.5 + number),
        "contrast": Weighted(
            PerTeacher(ContrastiveRepresentation(width=4, negatives=3), teachers=["sig"]), 0.1
        ),
    }


def member(samples, teachers, folder, number, kind="sgd", objectives=plain, form=precise, **more):
    """The number decides about initialisation, order, coefficients, statistics and fold."""
    torch.manual_seed(number)
    network = form(WideResNet(2, CLASSES, depth=10, dimensions=1))
    student = On("signal", network, [0.1 * number] * 2, [1.0 + number] * 2)
    train = torch.arange(COUNT - 16)[number * 8 :]  # folds of different length
    distiller = Distiller(objectives(number))
    batch = samples.take(train[:4])
    with torch.no_grad():
        view = View(
            student(batch), {n: t.eval()(batch) for n, t in teachers.items()}, batch, Clock()
        )
    labels = torch.full((COUNT,), -1)
    labels[train] = samples.labels[train]
    torch.manual_seed(100 + number)
    distiller.prepare(
        Facts(view, samples.class_counts(train), samples.class_names, labels, batch_size=8)
    )
    entries = {
        name: cache_teacher(
            t, samples, train, distiller.needs(), folder=folder, modality=t.modality
        )
        for name, t in teachers.items()
    }
    rate = more.pop("rate", Cosine(0.05 if kind == "sgd" else 0.01))
    step = GradientStep(optimizer(kind), rate, clip_norm=more.pop("clip", 0.5))
    monitors = {"validation": torch.arange(COUNT - 16, COUNT)}
    training = Training(student, distiller, CachedTeachers(entries), samples, train, monitors)
    state = more.pop("state", None) or State()
    return Member(training, step, Settings(more.pop("epochs", 2), 8, number, **more), Log(), state)


def alone(one):
    return fit(one.training, one.step, one.settings, CPU, one.record, one.state)


def together(members, device=CPU):
    found = dict(fit_stacked(members, device))
    return [found[number] for number in range(len(members))]


def same(found, wanted, **tolerance):
    """Compare nested states."""
    if isinstance(wanted, torch.Tensor):
        torch.testing.assert_close(found, wanted, **tolerance)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            same(found[key], wanted[key], **tolerance)
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            same(a, b, **tolerance)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=tolerance["rtol"], abs=tolerance["atol"])
    else:
        assert found == wanted


def same_runs(stacked, singles, **tolerance):
    for one, single in zip(stacked, singles, strict=True):
        same(one.record.rows, single.record.rows, **tolerance)
        same(one.record.chosen, single.record.chosen, **tolerance)
        same(one.record.traced, single.record.traced, **tolerance)
        assert len(one.record.states) == len(single.record.states)
        same(vars(one.record.states[-1]), vars(single.record.states[-1]), **tolerance)


TIGHT = {"rtol": 1e-7, "atol": 1e-9}


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_stack_equals_its_members_alone(samples, teachers, tmp_path, kind):
    make = partial(member, samples, teachers, tmp_path, kind=kind)
    stacked, singles = [make(n) for n in range(3)], [make(n) for n in range(3)]
    found = together(stacked, CPU)
    wanted = [alone(one) for one in singles]
    same([vars(one) for one in found], [vars(one) for one in wanted], **TIGHT)
    same_runs(stacked, singles, **TIGHT)
    # They really are different students, with folds of different length.
    lengths = [one.record.rows[-1]["step"] for one in stacked]
    assert lengths == [14, 12, 10]
    own = stacked[0].training.student.network.stem.weight
    assert own.untyped_storage().nbytes() == own.nbytes  # not a view of the whole stack any more


def test_single_precision_differs_by_rounding(samples, teachers, tmp_path):
    make = partial(member, samples, teachers, tmp_path, form=as_it_is, epochs=1)
    stacked, singles = [make(n) for n in range(2)], [make(n) for n in range(2)]
    together(stacked, CPU)
    for one in singles:
        alone(one)
    same(
        [vars(one.record.states[-1])["student"] for one in stacked],
        [vars(one.record.states[-1])["student"] for one in singles],
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def test_objectives_with_parameters_and_draws_of_their_own(samples, teachers, tmp_path):
    make = partial(
        member, samples, teachers, tmp_path, objectives=learning, form=as_it_is, epochs=1
    )
    stacked, singles = [make(n) for n in range(2)], [make(n) for n in range(2)]
    together(stacked, CPU)
    for one in singles:
        alone(one)
    same_runs(stacked, singles, rtol=2e-3, atol=2e-4)


def test_one_that_diverges_leaves_the_others_alone(samples, teachers, tmp_path):
    make = partial(member, samples, teachers, tmp_path)
    stacked = [make(0), make(1, rate=1e30, clip=None), make(2)]
    found = together(stacked, CPU)
    with pytest.raises(DivergedError) as caught:
        alone(make(1, rate=1e30, clip=None))
    assert isinstance(found[1], DivergedError)
    assert str(found[1]) == str(caught.value)
    singles = [make(0), make(2)]
    for one in singles:
        alone(one)
    same_runs([stacked[0], stacked[2]], singles, **TIGHT)


def test_members_may_stand_at_different_epochs(samples, teachers, tmp_path):
    make = partial(member, samples, teachers, tmp_path, epochs=3)
    whole = [make(n) for n in range(2)]
    together(whole, CPU)
    # One was killed after its first epoch, and goes on beside one that has not begun; then alone.
    first = deepcopy(whole[0].record.states[0])
    resumed = [make(0, state=deepcopy(first)), make(1)]
    together(resumed, CPU)
    single = make(0, state=deepcopy(first))
    alone(single)
    last = vars(whole[0].record.states[-1])
    for one in (resumed[0], single):
        assert len(one.record.rows) == 2
        same(vars(one.record.states[-1]), last, **TIGHT)
    same(vars(resumed[1].record.states[-1]), vars(whole[1].record.states[-1]), **TIGHT)


def test_other_ways_to_keep_a_network(samples, teachers, tmp_path):
    from tutelage.averaging import Gaussian

    make = partial(member, samples, teachers, tmp_path, average=Gaussian(0.5, 0.5))
    stacked, singles = [make(n) for n in range(2)], [make(n) for n in range(2)]
    together(stacked, CPU)
    for one in singles:
        alone(one)
    same_runs(stacked, singles, **TIGHT)


NETWORKS = {
    "WideResNet": lambda: WideResNet(2, CLASSES, depth=10, width=2),
    "CifarResNet": lambda: CifarResNet(2, CLASSES, depth=8),
    "MobileNetV2": lambda: MobileNetV2(2, CLASSES),
    "ShuffleNetV1": lambda: ShuffleNetV1(2, CLASSES),
    "ShuffleNetV2": lambda: ShuffleNetV2(2, CLASSES, width=0.5),
    "VGG": lambda: VGG(2, CLASSES, depth=8),
    "LinearProbe": lambda: LinearProbe(128, CLASSES, normalise=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_stacks(samples, name):
    inputs = samples.inputs["image"]
    if name == "LinearProbe":
        inputs = inputs.flatten(1)
    data = Samples({"image": inputs}, samples.labels, samples.class_names)
    channels = inputs.shape[1]

    def make(number):
        torch.manual_seed(number)
        student = On("image", precise(NETWORKS[name]()), [127.0] * channels, [70.0] * channels)
        training = Training(
            student, Distiller({"labels": Weighted(Labels())}), None, data, torch.arange(16), {}
        )
        step = GradientStep(optimizer("sgd"), 0.01)
        return Member(training, step, Settings(1, 8, number, select="last"), Log(), State())

    stacked, singles = [make(n) for n in range(2)], [make(n) for n in range(2)]
    together(stacked, CPU)
    for one in singles:
        alone(one)
    # Maps of one pixel and eight samples: batch normalisation makes rounding larger.
    same_runs(stacked, singles, rtol=1e-5, atol=1e-7)


def test_bf16_stacks(samples, teachers, tmp_path):
    half = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    make = partial(member, samples, teachers, tmp_path, form=as_it_is, epochs=1)
    stacked, singles = [make(n) for n in range(2)], [make(n) for n in range(2)]
    together(stacked, half)
    for one, single in zip(stacked, singles, strict=True):
        fit(single.training, single.step, single.settings, half, single.record, single.state)
        ours, theirs = (x.record.rows[0]["train"]["loss"] for x in (one, single))
        assert ours == pytest.approx(theirs, rel=0.02)


def test_what_cannot_be_stacked_says_why(samples, teachers, tmp_path):
    make = partial(member, samples, teachers, tmp_path)
    good = make(0)
    assert refusal(good) is None
    assert "nothing is trained" in refusal(make(0, epochs=0))
    hint_only = make(0, objectives=lambda n: {"hint": learning(n)["hint"]}, form=as_it_is)
    assert "reach all parameters" in refusal(hint_only)
    compiled = make(0)
    compiled.training.student.network.compile()
    assert "compiled" in refusal(compiled)
    assert "ReusedHead" in why_not(ReusedHead, good.training.distiller, good.step)
    assert "BilevelStep" in why_not(
        WideResNet, good.training.distiller, BilevelStep(optimizer("sgd"))
    )
    with pytest.raises(ValueError, match=r"members\[1\].*compiled"):
        together([good, compiled], CPU)
    wider = make(1, form=lambda _: WideResNet(2, CLASSES, depth=10, width=2, dimensions=1))
    with pytest.raises(ValueError, match="another shape"):
        together([good, wider], CPU)
    assert shape_of(make(0)) == shape_of(make(1))
