from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from tests.contract.test_contract import MIX, view
from tutelage import losses
from tutelage.errors import UserError
from tutelage.objectives import Distiller, Labels, MergedSimilarity, PerTeacher, Weighted
from tutelage.schedules import Linear
from tutelage.terms import SoftTargets, Term
from tutelage.types import Clock, Facts
from tutelage.weighting import Fixed, Uniform


def facts(v, counts=(3, 1, 2, 0, 4)):
    return Facts(v, torch.tensor(counts))


def test_per_teacher_is_the_weighted_sum_by_hand():
    v = view()
    found = PerTeacher(SoftTargets(3.0), Fixed(MIX))(v)
    by_hand = sum(
        weight * losses.soft_targets(v.student.logits, v.teachers[name].logits, temperature=3.0)
        for name, weight in MIX.items()
    )
    torch.testing.assert_close(found, by_hand)
    average = PerTeacher(SoftTargets(3.0), Uniform(), teachers=["pi", "sig"])(v)
    two = [
        losses.soft_targets(v.student.logits, v.teachers[n].logits, temperature=3.0)
        for n in ("pi", "sig")
    ]
    torch.testing.assert_close(average, (two[0] + two[1]) / 2)


def test_a_zero_weight_removes_a_teacher_exactly():
    v = view()
    weights = {"sig": 0.5, "pi": 0.0, "gaf": 0.5}
    without = replace(v, teachers={n: t for n, t in v.teachers.items() if n != "pi"})
    torch.testing.assert_close(
        PerTeacher(SoftTargets(), Fixed(weights))(v),
        PerTeacher(SoftTargets(), Fixed({"sig": 0.5, "gaf": 0.5}))(without),
    )


def test_merged_similarity_with_one_teacher_is_sp():
    v = view()
    found = MergedSimilarity({"pi": 1.0}, taps=["stage2"])(v)
    grams = [losses.gram(out, "stage2") for out in (v.student, v.teachers["pi"])]
    torch.testing.assert_close(found, losses.similarity_maps(*grams))


def test_each_teacher_gets_its_own_adapter():
    class Hint(Term):
        """A term with an adapter."""

        def prepare(self, facts):
            (teacher,) = facts.view.teachers.values()
            self.adapter = nn.Linear(
                facts.view.student.features["embedding"].shape[1],
                teacher.features["embedding"].shape[1],
            )

        def forward(self, student, teacher, view):
            gap = self.adapter(student.features["embedding"]) - teacher.features["embedding"]
            return gap.square().mean(1)

    v = view()
    objective = PerTeacher(Hint())
    assert not list(objective.parameters())
    objective.prepare(facts(v))
    sizes = {name: copy.adapter.out_features for name, copy in objective.copies.items()}
    assert sizes == {"sig": 4, "pi": 3, "gaf": 5}
    objective(v).sum().backward()
    assert all(p.grad is not None for p in objective.parameters())


def test_balanced_class_weights_come_from_the_training_counts():
    v = view()
    labels = Labels(class_weights="balanced")
    labels.prepare(facts(v))
    torch.testing.assert_close(labels.weights, torch.tensor([10 / 15, 2.0, 1.0, 0.0, 0.5]))
    with pytest.raises(
        UserError, match=r"distiller.labels: class_weights: 3 weights for 5 classes"
    ):
        Distiller({"labels": Weighted(Labels(class_weights=[1.0, 2, 3]))}).prepare(facts(v))


def test_coefficients_and_temperatures_follow_the_clock():
    v = view()
    late = replace(v, clock=Clock(epoch=5, step=50, epochs=10, steps_per_epoch=10))
    distiller = Distiller(
        {
            "labels": Weighted(Labels(), Linear(0.0, 1.0)),
            "soft": Weighted(PerTeacher(SoftTargets(Linear(8.0, 2.0))), 0.5),
        }
    )
    early_losses, late_losses = distiller(v), distiller(late)
    torch.testing.assert_close(early_losses.total, 0.5 * early_losses.parts["soft"])
    expected = 0.5 * late_losses.parts["labels"] + 0.5 * late_losses.parts["soft"]
    torch.testing.assert_close(late_losses.total, expected)
    at_five = PerTeacher(SoftTargets(5.0))(v)
    torch.testing.assert_close(late_losses.parts["soft"], at_five)


def named(name):
    return Distiller({name: Weighted(Labels())})


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Fixed({"a": 0.5, "b": 0.6}), r"sum to 1\.1, not to 1"),
        (lambda: Fixed({"a": -0.5, "b": 1.5}), r"weights\.a: -0\.5 must be >= 0"),
        (lambda: Distiller({}), "no objective"),
        (
            lambda: Distiller({"x": Weighted(Labels(), -1.0)}),
            r"distiller\.x\.coefficient: -1\.0 must be >= 0",
        ),
        (lambda: SoftTargets(-1.0), "temperature: -1.0 must be > 0"),
        (lambda: SoftTargets(float("nan")), "temperature: nan must be > 0"),
        (lambda: SoftTargets(float("inf")), "temperature: inf must be > 0 and finite"),
        *(
            (partial(named, name), rf"distiller\.{name}: the log has a column of this name already")
            for name in ("loss", "accuracy", "classes_predicted")
        ),
        (partial(named, "forward"), r"distiller\.forward: networks use this name themselves"),
        (partial(named, "a.b"), r"found an objective named 'a\.b'; allowed: a name without a dot"),
        (partial(named, ""), "found an objective named ''"),
    ],
)
def test_impossible_objectives_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_weights_and_teachers_must_name_each_other():
    v = view()
    with pytest.raises(UserError, match="unknown teacher 'gaf'"):
        PerTeacher(SoftTargets(), Fixed({"sig": 0.5, "pi": 0.5}))(v)
    with pytest.raises(UserError, match="'pia', which is not a teacher here"):
        PerTeacher(SoftTargets(), Fixed(MIX | {"pia": 0.0}))(v)
    with pytest.raises(UserError, match="unknown teacher 'gif'; did you mean 'gaf'"):
        PerTeacher(SoftTargets(), teachers=["gif"])(v)


def test_labels_count_only_samples_that_have_one():
    v = view()
    labels = v.batch.labels.clone()
    labels[::2] = -1
    some = replace(v, batch=replace(v.batch, labels=labels))
    found, whole = Labels(label_smoothing=0.1)(some), Labels(label_smoothing=0.1)(v)
    assert bool((found[::2] == 0).all())
    torch.testing.assert_close(found.mean(), whole[1::2].mean())
    none = replace(v, batch=replace(v.batch, labels=torch.full_like(labels, -1)))
    assert float(Labels()(none).sum()) == 0.0
