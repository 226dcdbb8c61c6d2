"""A share of the gradient becomes a number: the one that gives that share, before the first step, once."""

from functools import partial
from statistics import median

import pytest
import torch
from lightning_fabric import Fabric

from tests.execution.test_stacked_training import member, samples, teachers  # noqa: F401  (fixtures)
from tutelage.errors import UserError
from tutelage.objectives import Distiller, KnowledgeBinding, Labels, PerTeacher, Weighted
from tutelage.schedules import GradientShare
from tutelage.terms import Hint, SoftTargets
from tutelage.train import State, TrainingRun, fit
from tutelage.train.shares import settle, solve
from tutelage.types import View

CPU = Fabric(accelerator="cpu", devices=1)


def shared(number):
    return {
        "labels": Weighted(Labels(), 0.3),
        "soft": Weighted(PerTeacher(SoftTargets(4.0)), GradientShare(0.3)),
        "hint": Weighted(PerTeacher(Hint(), teachers=["sig"]), GradientShare(0.2)),
    }


def asked(one):
    """The coefficients of the first batches, by autograd, and their medians."""
    found = []
    run = TrainingRun(one.training, one.step, one.settings, CPU, one.record, State(epoch=0)).begin()
    student, distiller = one.training.student, one.training.distiller
    for batch, outputs, clock in run:
        view = View(student(batch), outputs, batch, clock)
        norm = {}
        for name, objective in distiller.objectives.items():
            student.zero_grad()
            objective(view).mean().backward(retain_graph=True)
            grads = [p.grad.flatten() for p in student.parameters() if p.grad is not None]
            norm[name] = float(torch.cat(grads).norm())
        whole = 0.3 * norm["labels"] / 0.5
        found.append((0.3 * whole / norm["soft"], 0.2 * whole / norm["hint"]))
    return [median(values) for values in zip(*found, strict=True)]


class Told:
    """A record that remembers what was settled, and lets everything else pass."""

    def __init__(self, log):
        self.log, self.coefficients = log, []

    def __getattr__(self, name):
        return getattr(self.log, name)

    def settled(self, coefficients):
        self.coefficients.append(dict(coefficients))


@pytest.fixture
def make(samples, teachers, tmp_path):  # noqa: F811
    def made(number=0, **more):
        from dataclasses import replace

        one = member(samples, teachers, tmp_path, number, objectives=shared, **more)
        one.training.distiller.double()
        return replace(one, record=Told(one.record))

    return made


def test_the_coefficient_is_the_median_over_the_first_batches_by_hand(make):
    one = make()
    before = {k: v.clone() for k, v in one.training.student.state_dict().items()}
    found = settle(one.training, one.settings, CPU)
    # Nothing moved: neither a parameter nor a running statistic.
    after = one.training.student.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [found["soft"], found["hint"]] == pytest.approx(asked(make()), rel=1e-6)
    row = fit(one.training, one.step, one.settings, CPU, one.record, State()) and one.record.rows[0]
    assert row["gradients"]["soft"]["share"] == pytest.approx(0.3, abs=0.1)
    assert row["gradients"]["hint"]["share"] == pytest.approx(0.2, abs=0.1)


def test_it_is_settled_once_and_a_resumed_run_goes_on_with_it(make):
    whole = make()
    fit(whole.training, whole.step, whole.settings, CPU, whole.record, State())
    assert len(whole.record.coefficients) == 1
    resumed = make()
    state = whole.record.states[0]
    fit(resumed.training, resumed.step, resumed.settings, CPU, resumed.record, state)
    assert resumed.record.coefficients == []
    ours, theirs = (x.record.states[-1] for x in (resumed, whole))
    for name, values in theirs.student.items():
        assert torch.equal(ours.student[name], values), name
    assert torch.equal(ours.distiller["settled"], theirs.distiller["settled"])
    assert theirs.distiller["settled"].tolist() == list(whole.record.coefficients[0].values())


def test_a_stack_settles_what_its_members_settle_alone(make):
    from tests.execution.test_stacked_training import TIGHT, same_runs, together

    stacked, singles = [make(n) for n in range(2)], [make(n) for n in range(2)]
    together(stacked, CPU)
    for one in singles:
        fit(one.training, one.step, one.settings, CPU, one.record, one.state)
    assert [x.record.coefficients for x in stacked] == [x.record.coefficients for x in singles]
    same_runs(stacked, singles, **TIGHT)


def test_shares_are_solved_together():
    norms = {"labels": 2.0, "soft": 0.01, "hint": 50.0}
    found = solve(norms, {"labels": 0.5}, {"soft": 0.3, "hint": 0.1})
    parts = [0.5 * 2.0, found["soft"] * 0.01, found["hint"] * 50.0]
    assert [part / sum(parts) for part in parts] == pytest.approx([0.6, 0.3, 0.1])


@pytest.mark.parametrize("norms", [{"labels": 0.0, "soft": 1.0}, {"labels": 1.0, "soft": 0.0}])
def test_no_gradient_has_no_share(norms):
    with pytest.raises(UserError, match=r"distiller\.soft\.coefficient: .*no gradient"):
        solve(norms, {"labels": 1.0}, {"soft": 0.3})


def test_what_leaves_nothing_to_others_is_refused():
    soft = partial(PerTeacher, SoftTargets(4.0))
    with pytest.raises(UserError, match=r"soft, more are 1\.1 together"):
        Distiller({
            "labels": Weighted(Labels()), "soft": Weighted(soft(), GradientShare(0.6)),
            "more": Weighted(soft(), GradientShare(0.5)),
        })  # fmt: skip
    with pytest.raises(UserError, match="every coefficient is a GradientShare"):
        Distiller({"soft": Weighted(soft(), GradientShare(0.6))})
    with pytest.raises(ValueError, match=r"share: 1 must be"):
        GradientShare(1)
    with pytest.raises(ValueError, match=r"objectives\.soft\.coefficient: GradientShare"):
        KnowledgeBinding(
            {"labels": Weighted(Labels()), "soft": Weighted(soft(), GradientShare(0.6))}
        )
