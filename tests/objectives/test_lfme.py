"""LFME: experts of class subsets, the curriculum of samples, and the long tail they are for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.data.test_splits import data
from tests.recipe.test_mistakes import examine
from tests.training.small import recipe
from tests.training.test_runs import execute, read, runs_of
from tutelage.batches import class_aware
from tutelage.data.splits import LeaveOneSubjectOut, Thinned
from tutelage.errors import UserError
from tutelage.objectives import CurriculumLabels, Experts
from tutelage.objectives.curriculum_labels import stretched
from tutelage.recipe.instantiate import build
from tutelage.runs.ledger import read_experiment
from tutelage.seeds import generator
from tutelage.types import Batch, Clock, Facts, Output, Survey, View

NAMES = ("c0", "c1", "c2", "c3", "c4", "c5")
SUBSETS = {"many": [0, 3], "median": [1, 2, 5], "low": [2, 4]}
PARTS = {"many": [0, 3], "median": [1, 5], "low": [2, 4]}


def count(*shape):
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(shape)


def named(subsets):
    return {expert: [NAMES[c] for c in numbers] for expert, numbers in subsets.items()}


def says(n):
    """The logits of the three experts for n samples of six classes."""
    return {
        "many": 3 * torch.cos(0.9 * count(n, 6)),
        "median": 2 * torch.cos(1.1 * count(n, 6) + 1),
        "low": torch.sin(0.4 * count(n, 6) + 2),
    }


def view_of(n, labels=None, clock=None):
    student = Output(2 * torch.sin(0.7 * count(n, 6)))
    teachers = {name: Output(logits) for name, logits in says(n).items()}
    labels = torch.arange(n) % 6 if labels is None else labels
    return View(student, teachers, Batch({}, labels, torch.arange(n)), clock or Clock())


def facts_of(view, validation=None):
    """Facts whose training split is the batch, and whose validation split is what is given, by expert."""

    def survey(teacher, split):
        if split == "validation" and validation is not None:
            return validation[teacher]
        return Survey(view.batch.index, view.batch.labels, view.teachers[teacher].logits)

    counts = torch.bincount(view.batch.labels, minlength=6)
    return Facts(view, counts, NAMES, view.batch.labels, 4, {}, survey)


def prepared(objective, view, validation=None):
    objective.prepare(facts_of(view, validation))
    return objective


# xiangly55/LFME@0a18a06, loss/DistillationLoss.py with T = 2 on the tensors above, 5 samples.
GOLDEN_KD = {"many": 0.5501081281930726, "median": 0.46654382588339216, "low": 0.05460935113314865}
# run_network_LFME.py, get_distill_loss_weight: a_E 0.6, decay_thresh 0.3.
GOLDEN_WEIGHTS = {
    0.0: 1.0,
    0.1: 1.0,
    0.18: 1.0,
    0.2: 0.9523809523809524,
    0.3: 0.7142857142857143,
    0.45: 0.3571428571428571,
    0.6: 0.0,
    0.7: 0.0,
}
# instance_weight_scheduler for first weights 0.1, 0.5, 1 in 10 epochs, which it counts from 1.
GOLDEN_GROWTH = {1: [0.28, 0.6, 1.0], 2: [0.46, 0.7, 1.0], 5: [1.0, 1.0, 1.0], 8: [1.54, 1.3, 1.0]}
# data/dataloader_LFME.py, set_scale_classwise_instance_weight_with_shot, 18 samples of classes 0..5 in turn.
GOLDEN_FIRST = [
    1.0, 0.22641509433962265, 1.0, 1.0, 1.0, 1.0, 0.9857215906176237, 0.7771555568715218, 1.0,
    0.8668787584147777, 1.0, 0.22641509433962265, 0.05217391304347826, 1.0, 1.0, 0.05217391304347826,
    1.0, 0.9152452918956517,
]  # fmt: skip
GOLDEN_SCALED_LOGITS = {2: 2.464572433095522, 8: 2.8725257502164343}


@pytest.mark.parametrize("expert", SUBSETS)
def test_an_expert_alone_is_the_authors_loss(expert):
    view = view_of(6)
    objective = prepared(Experts(named({expert: SUBSETS[expert]})), view)
    five = view_of(5)
    assert float(objective(five).mean()) == pytest.approx(GOLDEN_KD[expert], rel=1e-10)


def test_experts_by_hand():
    view = view_of(6)
    objective = prepared(Experts(named(SUBSETS), temperature=3.0), view)
    objective.recall = {"many": 0.8, "median": 0.5, "low": 0.4}
    clock = Clock(epoch=1, epochs=4, recall=[0.5, 0.6, None, 0.7, 0.1, 0.0])
    judged = objective.judge(replace(view, clock=clock))
    found = judged.loss
    weights = {"many": (0.8 - 0.6) / (0.8 * 0.7), "median": (0.5 - 0.3) / (0.5 * 0.7), "low": 1.0}
    for i in range(6):
        total = 0.0
        for expert, classes in SUBSETS.items():
            p = [np.exp(float(view.teachers[expert].logits[i, c]) / 3) for c in classes]
            q = [np.exp(float(view.student.logits[i, c]) / 3) for c in classes]
            p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
            total += weights[expert] * sum(
                a * (np.log(a) - np.log(b)) for a, b in zip(p, q, strict=True)
            )
        assert float(found[i]) == pytest.approx(total, rel=1e-10)
    traces = judged.traces
    assert set(traces) == {"weight.many", "weight.median", "weight.low"}
    for expert, weight in weights.items():
        assert traces[f"weight.{expert}"].tolist() == pytest.approx([weight] * 6)


def test_the_gradient_reaches_the_student_and_is_exact():
    view = view_of(6)
    objective = prepared(Experts(named(SUBSETS)), view)

    def loss(logits):
        return objective(replace(view, student=Output(logits)))

    logits = view.student.logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, logits)
    for teacher in view.teachers.values():
        teacher.logits.requires_grad_()
    loss(logits).sum().backward()
    assert all(teacher.logits.grad is None for teacher in view.teachers.values())


@pytest.mark.parametrize(("student", "weight"), GOLDEN_WEIGHTS.items())
def test_weights_are_those_of_the_authors_code(student, weight):
    objective = prepared(Experts(named({"many": [0, 3]})), view_of(6))
    objective.recall = {"many": 0.6}
    recall = [student + 0.05, 1.0, 1.0, student - 0.05, 1.0, 1.0]
    assert objective.weight("many", Clock(recall=recall)) == pytest.approx(weight, abs=1e-12)


def test_weights_fall_from_one_to_zero_without_a_jump():
    objective = prepared(Experts(named({"many": [0, 3]})), view_of(6))
    objective.recall = {"many": 0.6}
    grid = np.linspace(0, 1, 501)
    found = [objective.weight("many", Clock(recall=[a] * 6)) for a in grid]
    assert min(found) == 0.0
    assert max(found) == 1.0
    steps = np.diff(found)
    assert (steps <= 1e-12).all()
    assert np.abs(steps).max() < 0.002 / (0.6 * 0.7) + 1e-9
    assert objective.weight("many", Clock()) == 1.0
    assert objective.weight("many", Clock(recall=[None, 1, 1, None, 1, 1])) == 1.0
    objective.recall = {"many": 0.0}
    assert objective.weight("many", Clock(recall=[0.0] * 6)) == 0.0


def test_the_recall_of_an_expert_is_the_mean_over_its_classes():
    """Four samples of class 0 (three right among 0 and 3), one of class 3 (wrong), and one that is not its own."""
    logits = torch.tensor(
        [
            [2.0, 9, 9, 1, 9, 9],  # 0 against 3, whatever it says of the others
            [2.0, 0, 0, 1, 0, 0],
            [2.0, 0, 0, 1, 0, 0],
            [1.0, 0, 0, 2, 0, 0],
            [2.0, 0, 0, 1, 0, 0],
            [2.0, 0, 0, 1, 0, 0],
        ]
    )
    labels = torch.tensor([0, 0, 0, 0, 3, 5])
    answers = {"many": Survey(torch.arange(6), labels, logits)}
    objective = prepared(Experts(named({"many": [0, 3]})), view_of(6), answers)
    assert objective.recall == {"many": pytest.approx((0.75 + 0.0) / 2)}
    answers = {"many": Survey(torch.arange(6), torch.full((6,), 5), logits)}
    with pytest.raises(UserError, match=r"classes\.many: the validation split has no sample"):
        prepared(Experts(named({"many": [0, 3]})), view_of(6), answers)


def test_only_the_classes_of_an_expert_matter():
    view = view_of(6)
    objective = prepared(Experts(named({"median": [1, 2, 5]})), view)
    alike = view.teachers["median"].logits.clone()
    alike[:, [0, 3, 4]] = 100.0
    assert objective(replace(view, student=Output(alike))).abs().max() < 1e-12
    other = dict(view.teachers) | {"median": Output(alike)}
    torch.testing.assert_close(objective(replace(view, teachers=other)), objective(view))


def test_an_expert_whose_weight_is_zero_sends_no_gradient():
    view = view_of(6)
    objective = prepared(Experts(named({"many": [0, 3]})), view)
    objective.recall = {"many": 0.6}
    logits = view.student.logits.clone().requires_grad_()
    clock = Clock(recall=[0.9] * 6)
    objective(replace(view, student=Output(logits), clock=clock)).sum().backward()
    assert not logits.grad.any()


def curriculum(reference=False):
    floors = {"many": "many", "median": "median", "low": "low"}
    view = view_of(18)
    return prepared(CurriculumLabels(named(PARTS), floors, reference), view), view


def test_first_weights_are_those_of_the_authors_code():
    objective, _ = curriculum()
    assert objective.first.tolist() == pytest.approx(GOLDEN_FIRST, rel=1e-6)


@pytest.mark.parametrize("epoch", GOLDEN_GROWTH)
def test_weights_grow_as_in_the_authors_code(epoch):
    first, index = torch.tensor([0.1, 0.5, 1.0]), torch.arange(3)
    reference, _ = curriculum(reference=True)
    ours, _ = curriculum()
    reference.first = ours.first = first
    found = reference.weights(index, Clock(epoch=epoch - 1, epochs=10))
    assert found.tolist() == pytest.approx(GOLDEN_GROWTH[epoch], rel=1e-6)
    clamped = [min(1.0, value) for value in GOLDEN_GROWTH[epoch]]
    mine = ours.weights(index, Clock(epoch=epoch, epochs=10))
    assert mine.tolist() == pytest.approx(clamped, rel=1e-6)


def test_the_curriculum_begins_at_the_first_weights_and_ends_at_one():
    objective, view = curriculum()
    plain = F.cross_entropy(view.student.logits, view.batch.labels, reduction="none")
    begin = objective.judge(view).loss
    torch.testing.assert_close(begin, plain * torch.tensor(GOLDEN_FIRST))
    for epoch in (5, 7, 9):
        late = replace(view, clock=Clock(epoch=epoch, epochs=10))
        torch.testing.assert_close(objective(late), plain)
    assert objective.judge(late).traces["weight"].tolist() == [1.0] * 18


@pytest.mark.parametrize("epoch", GOLDEN_SCALED_LOGITS)
def test_reference_multiplies_the_logits(epoch):
    objective, view = curriculum(reference=True)
    view = replace(view, clock=Clock(epoch=epoch - 1, epochs=10))
    assert float(objective(view).mean()) == pytest.approx(GOLDEN_SCALED_LOGITS[epoch], rel=1e-6)


def test_a_class_of_equal_confidences_begins_at_one():
    assert stretched(torch.tensor([0.3]), 0.1).tolist() == [1.0]
    assert stretched(torch.tensor([0.3, 0.3]), 0.1).tolist() == [1.0, 1.0]
    found = stretched(torch.tensor([0.3, 0.9, 0.6]), 0.1)
    torch.testing.assert_close(found, torch.tensor([0.1, 1.0, 0.55]))


def test_mixed_inputs_count_both_classes():
    objective, view = curriculum()
    partner, share = (view.batch.labels + 1) % 6, torch.linspace(0, 1, 18, dtype=torch.float64)
    mixed = replace(view, batch=replace(view.batch, partner=partner, share=share))
    one, other = (
        F.cross_entropy(view.student.logits, labels, reduction="none")
        for labels in (view.batch.labels, partner)
    )
    wanted = torch.tensor(GOLDEN_FIRST) * (share * one + (1 - share) * other)
    torch.testing.assert_close(objective(mixed), wanted, rtol=1e-6, atol=1e-7)


FLOORS = {"many": 0.5, "median": 0.5, "low": 0.5}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Experts({}), "LFME is not applicable without experts of some of the classes"),
        (lambda: Experts({"many": NAMES}), "LFME is not applicable"),
        (lambda: Experts({"mani": ["c0", "c1"]}), "unknown teacher 'mani'; did you mean 'many'"),
        (lambda: Experts({"many": ["c0", "c9"]}), r"classes\.many: unknown class 'c9'"),
        (lambda: Experts({"many": ["c0"]}), "at least two different classes"),
        (lambda: Experts({"many": ["c0", "c0"]}), "at least two different classes"),
        (lambda: Experts(named(SUBSETS), temperature=0.0), r"temperature: 0\.0 must be > 0"),
        (lambda: Experts(named(SUBSETS), threshold=1.0), r"threshold: 1\.0 must be in \[0, 1\)"),
        (lambda: CurriculumLabels(named(SUBSETS), FLOORS), "'c2' has 2 experts; allowed: one"),
        (
            lambda: CurriculumLabels(named({"many": [0, 1, 2]}), {"many": 0.5}),
            "'c3' has 0 experts; allowed: one",
        ),
        (lambda: CurriculumLabels(named(PARTS), {"many": 0.5}), "floors: found many; allowed: one"),
        (lambda: CurriculumLabels(named(PARTS), FLOORS | {"low": 0.0}), r"floors\.low: 0\.0 must"),
    ],
)
def test_impossible_experts_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        prepared(make(), view_of(18))
    assert "\n" not in str(caught.value)


def test_experts_without_anybody_to_ask_are_refused():
    view = view_of(18)
    alone = replace(facts_of(view), survey=None)
    with pytest.raises(UserError, match="there is no validation split to ask the expert about"):
        Experts(named(SUBSETS)).prepare(alone)
    with pytest.raises(UserError, match="the training samples are not known here"):
        CurriculumLabels(named(PARTS), FLOORS).prepare(replace(facts_of(view), labels=None))


def test_the_class_aware_order_gives_every_class_its_turn():
    labels = torch.tensor([0] * 50 + [1] * 7 + [2] * 2 + [3] * 5)
    index = torch.arange(60)  # class 3 has one sample here
    found = class_aware(index, labels, generator(0, "order", 0))
    assert len(found) == 60
    groups = labels[found].view(-1, 4)
    assert (groups == groups[:, :1]).all()
    rounds = groups[:12, 0].view(-1, 4)
    assert all(sorted(turn) == [0, 1, 2, 3] for turn in rounds.tolist())
    assert torch.bincount(labels[found]).max() <= 16
    ones = found[labels[found] == 1][:7]
    assert sorted(ones.tolist()) == list(range(50, 57))  # each once before any comes again
    again = class_aware(index, labels, generator(0, "order", 0))
    assert torch.equal(found, again)
    assert not torch.equal(found, class_aware(index, labels, generator(0, "order", 1)))


def test_thinned_takes_training_samples_of_the_named_classes_alone():
    owners = [f"S{i % 4}" for i in range(400)]
    dataset = data(owners, labels=[(i // 4) % 4 for i in range(400)])
    whole = LeaveOneSubjectOut(1)
    thin = Thinned(whole, {"b": 0.5, "c": 0.1, "d": 0.001})
    assert thin.count(dataset) == 4
    before, after = whole.split(dataset, 1), thin.split(dataset, 1)
    assert after.name == f"{before.name}-thinned"
    assert np.bincount(dataset.labels[after.train]).tolist() == [50, 25, 5, 1]
    assert set(after.train) <= set(before.train)
    assert (np.diff(after.train) > 0).all()
    assert after.train.dtype == np.int64
    for side in ("validation", "test"):
        np.testing.assert_array_equal(before.sides()[side], after.sides()[side])
    other = Thinned(whole, {"b": 0.5}).split(dataset, 1).train
    mine = dataset.labels[other] == 1
    np.testing.assert_array_equal(other[mine], after.train[dataset.labels[after.train] == 1])
    moved = Thinned(whole, {"b": 0.5}, seed=1).split(dataset, 1).train
    assert not np.array_equal(moved, other)
    with pytest.raises(UserError, match=r"Thinned\.keep: unknown class 'bb'"):
        Thinned(whole, {"bb": 0.5}).split(dataset, 0)
    with pytest.raises(UserError, match=r"Thinned\.keep\.b: found 0"):
        Thinned(whole, {"b": 0.0})


def test_thinned_is_built_from_a_recipe():
    described = {
        "type": "Thinned",
        "of": {"type": "LeaveOneSubjectOut", "validation": 2},
        "keep": {"a": 0.5},
    }
    found = build("tutelage.data.splits", described, "split", method="split")
    assert found == Thinned(LeaveOneSubjectOut(2), {"a": 0.5})
    described["of"]["type"] = "LeaveOneSubjectOuts"
    with pytest.raises(UserError, match=r"split\.of\.type: unknown split .* did you mean"):
        build("tutelage.data.splits", described, "split", method="split")


def tail(content):
    a, b, c, d = (f"synthetic activity {i}" for i in range(1, 5))
    content["data"] |= {"classes": 4, "windows": 16}
    content["split"] = {"type": "Thinned", "of": content["split"], "keep": {c: 0.5, d: 0.5}}
    content["train"] |= {"epochs": 3}
    classes = {"many": [a, b], "few": [c, d]}
    content["distiller"] = {
        "labels": {
            "type": "CurriculumLabels",
            "classes": classes,
            "floors": {"many": "many", "few": 1.0},
        },
        "experts": {"type": "Experts", "classes": classes},
    }
    content["stages"] = {
        "many": {"classes": [a, b], "seed": 0},
        "few": {"classes": [c, d], "seed": 0},
        "alone": {},
        "lfme": {"teachers": ["many", "few"], "train": {"sampler": "class_aware"}},
    }


def test_a_long_tail_from_recipe_to_report(tmp_path):
    found = {row.stage: row for row in examine(recipe(tail), tmp_path)}
    assert set(found["lfme"].reach) == {"labels", "experts"}
    folder = execute(tmp_path, recipe(tail))
    path = runs_of(folder)["lfme", 0]
    assert read(path / "run.json")["status"] == "complete"
    with np.load(path / "traces.npz") as traces:
        assert {"experts.weight.many", "experts.weight.few", "labels.weight"} <= set(traces.files)
        assert (traces["labels.weight"] <= 1).all()
    said = " ".join(read_experiment(folder).findings)
    assert "many was tested on samples of its own classes alone (64 of 128 in a fold)" in said


def test_experts_that_the_stage_does_not_have_are_refused_before_training(tmp_path):
    def change(content):
        tail(content)
        content["stages"]["lfme"]["teachers"] = ["many"]

    with pytest.raises(UserError, match=r"distiller\.labels: classes: unknown teacher 'few'"):
        examine(recipe(change), tmp_path)


def test_a_sample_may_go_through_its_own_experts_alone():
    view = view_of(6)  # sample i is of class i
    every = prepared(Experts(named(SUBSETS)), view)
    own = prepared(Experts(named(SUBSETS), asked="own"), view)
    alone = {name: prepared(Experts(named({name: SUBSETS[name]})), view)(view) for name in SUBSETS}
    expected = [sum(float(alone[n][i]) for n in SUBSETS if i in SUBSETS[n]) for i in range(6)]
    assert own(view).tolist() == pytest.approx(expected)
    torch.testing.assert_close(every(view), sum(alone.values()))
    some = prepared(Experts(named({"many": [0, 3]}), asked="own"), view)
    assert some(view)[[1, 2, 4, 5]].tolist() == [0.0] * 4
    assert own.judge(view).traces["weight.low"].tolist() == [0, 0, 1, 0, 1, 0]


def test_a_growing_subset_by_hand():
    """Three samples of a class: the surest from the start, the others as the share passes 2/3 and 1."""
    confidence = torch.tensor([0.2, 0.9, 0.6])
    labels = torch.tensor([0, 0, 0, 3, 3, 3, 1, 5, 2, 4])
    logits = torch.zeros(10, 6)
    for i, p in enumerate(confidence.tolist()):
        logits[i, 0] = float(np.log(p / (1 - p)))
    view = view_of(10, labels)
    teachers = {name: Output(logits) for name in PARTS}
    view = replace(view, teachers=teachers)
    floors = {"many": 0.5, "median": 1.0, "low": 1.0}
    objective = CurriculumLabels(named(PARTS), floors, selection="growing")
    objective.prepare(facts_of(view))
    taking_part = {
        epoch: objective.weights(torch.arange(3), Clock(epoch=epoch, epochs=12)).tolist()
        for epoch in (0, 1, 2, 5, 6, 11)
    }
    # The share is 1/2 + e/12: it reaches 2/3 in epoch 2, and 1 in epoch 6.
    assert taking_part == {
        0: [0, 1, 0], 1: [0, 1, 0], 2: [0, 1, 1], 5: [0, 1, 1], 6: [1, 1, 1], 11: [1, 1, 1],
    }  # fmt: skip
    # Equals come together, from the start.
    assert objective.weights(torch.arange(3, 6), Clock(epoch=0, epochs=12)).tolist() == [1, 1, 1]
    whole = CurriculumLabels(named(PARTS), {name: 1.0 for name in PARTS}, selection="growing")
    whole.prepare(facts_of(view))
    assert whole.weights(torch.arange(10), Clock(epoch=0, epochs=12)).tolist() == [1] * 10
    with pytest.raises(UserError, match="selection: growing"):
        CurriculumLabels(named(PARTS), floors, reference=True, selection="growing")
