"""Weights from a rewarded policy (MTKD-RL): the released code's loss, weights and policy gradient; who learns."""

from dataclasses import replace

import pytest
import torch

from tests.contract.test_contract import facts as contract_facts
from tests.contract.test_contract import view as random_view
from tests.doubles.teachers import facts_of, logits, view_of, wave
from tutelage import losses
from tutelage.objectives import PolicyWeighted
from tutelage.types import Clock, Output

SIZES = ((3, 4), (5, 4), (4, 2))
LABELS_LOSS = 1.48024  # their log has five decimals, here and below


def setting(epoch=1, **options):
    """The tensors of tests.doubles.teachers and maps like those of test_confident_features, in float64."""
    z, teacher_logits = logits()
    student = Output(
        z.requires_grad_(), {"a": wave(4, 3, 4, 4, step=0.37, shift=0.1).requires_grad_()}
    )
    teachers = [
        Output(t, {"b": wave(4, c, side, side, step=0.23 + 0.11 * k, shift=0.5 * k).abs()})
        for k, ((c, side), t) in enumerate(zip(SIZES, teacher_logits, strict=True))
    ]
    view = view_of(student, teachers, clock=Clock(epoch=epoch))
    made = PolicyWeighted(student_tap="a", teacher_tap="b", **options)
    made.prepare(facts_of(view))
    made.double()
    for k, name in enumerate(view.teachers):
        weight = made.imitations.embeddings[name][0].weight
        weight.data = wave(*weight.shape, step=0.9, shift=k)
    layers = (made.policy.trunk, *made.policy.heads)
    for i, layer in enumerate(layers):
        layer.weight.data = 0.2 * wave(*layer.weight.shape, step=0.7, shift=i)
        if layer.bias is not None:
            layer.bias.data = 0.3 * wave(*layer.bias.shape, step=1.3, shift=i)
    return made, view


# winycg/MTKD-RL@4e2b62a: train() of train_loops.py, one batch of these tensors in float64, students and teachers
# fixed, embeddings in training mode (convolution bias 0), policy filled as above, its SGD rate 0.1. Per epoch:
# the logged KD loss and feature loss (5 decimals), the gradient at the student's first logits and the sum of the
# absolute gradient at its map.
AUTHORS = {
    1: (
        0.30185,
        2.02201,
        [-0.27069900353743814, 0.08491005175512151, 0.12367496757212282, 0.05248984696780706],
        2.724212172966122,
    ),
    0: (
        0.84903,
        5.96819,
        [-0.3783225840224768, 0.09955795604820057, 0.20562292716998545, 0.07887322326854915],
        7.930657047269952,
    ),
}
# Sums of the absolute gradient of each parameter of their policy: the change of one step, divided by the rate.
POLICY = {
    "trunk.weight": 1.4795284065814038,
    "heads.0.weight": 0.12050820913167738,
    "heads.0.bias": 0.004069975101985146,
    "heads.1.weight": 0.1478591547750836,
    "heads.1.bias": 0.004993710244897975,
}
SHARES = {0: 0.001075674816850558, 1: 0.0017202604021238077}  # with --dynamic
WEIGHTS = [0.35070355848960655, 0.36107560104149766, 0.2882208404688958]
FEATURE_WEIGHTS = [0.3840392673034733, 0.321997067953272, 0.2939636647432547]


@pytest.mark.parametrize("epoch", AUTHORS)
def test_loss_and_student_gradient_of_the_released_code(epoch):
    kd, feature, at_logits, at_map = AUTHORS[epoch]
    made, view = setting(epoch)
    found = made(view).mean()
    assert found.item() == pytest.approx(kd + feature, abs=1.1e-5)
    labels = losses.cross_entropy(view.student.logits, view.batch.labels).mean()
    assert labels.item() == pytest.approx(LABELS_LOSS, abs=1e-5)
    (found + labels).backward()
    # Their loop adds the labels to the loss; here they are an objective of their own.
    assert view.student.logits.grad[0, :4].tolist() == pytest.approx(at_logits, rel=1e-8)
    assert view.student.features["a"].grad.abs().sum().item() == pytest.approx(at_map, rel=1e-8)


@pytest.mark.parametrize("epoch", AUTHORS)
def test_weights_reward_and_policy_gradient_of_the_released_code(epoch):
    made, view = setting(epoch)
    judged = made.judge(view)
    judged.loss.mean().backward()
    for name, parameter in made.policy.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.abs().sum().item() == pytest.approx(POLICY[name], rel=1e-7)
    traces = {name: row.tolist() for name, row in judged.traces.items()}
    assert traces["reward"] == pytest.approx([0, 0, 1, 0])
    for kind, expected in (("weight", WEIGHTS), ("feature_weight", FEATURE_WEIGHTS)):
        row = [traces[f"{kind}.{name}"][0] for name in view.teachers]
        assert row == pytest.approx(expected if epoch else [1, 1, 1], rel=1e-8)


def test_learned_shares_start_equal_and_have_the_released_gradient():
    made, view = setting(learn_mix=True)
    plain, other = setting()
    torch.testing.assert_close(made(view), plain(other))
    made(view).mean().backward()
    for row, expected in SHARES.items():
        assert made.policy.shares.grad[row].abs().sum().item() == pytest.approx(expected, rel=1e-7)
    assert not plain.policy.shares.requires_grad


def test_the_loss_is_the_weighted_sum_and_the_lesson_has_no_value():
    made, view = setting()
    judged = made.judge(view)
    found, traces = judged.loss, judged.traces
    total = 0
    for name, teacher in view.teachers.items():
        kl = losses.soft_targets(view.student.logits, teacher.logits, temperature=4.0)
        target = teacher.features["b"]
        imitation = made.imitations(name, view.student.features["a"], target.shape[2:])
        distance = losses.mean_square(imitation, target)
        total = total + traces[f"weight.{name}"] * kl
        total = total + 5 * traces[f"feature_weight.{name}"] * distance
    torch.testing.assert_close(found, total)
    assert sum(traces[f"weight.{name}"] for name in view.teachers).tolist() == pytest.approx(
        [1] * 4
    )


def test_rewarded_choices_become_likelier():
    made, view = setting()
    optimizer = torch.optim.SGD(made.policy.parameters(), 1.0)

    def praise():
        traces = made.judge(view).traces
        rows = [
            traces[f"{kind}.{n}"].log()
            for kind in ("weight", "feature_weight")
            for n in view.teachers
        ]
        return float((traces["reward"] * torch.stack(rows).mean(dim=0)).mean())

    before = praise()
    for _ in range(5):
        optimizer.zero_grad()
        made(view).mean().backward()
        optimizer.step()
    assert praise() > before


def test_student_and_policy_do_not_teach_each_other():
    made, view = setting()
    loss = made(view).mean()
    (with_lesson,) = torch.autograd.grad(loss, view.student.logits, retain_graph=True)
    for parameter in made.policy.parameters():
        parameter.requires_grad_(False)
    (without,) = torch.autograd.grad(made(view).mean(), view.student.logits)
    torch.testing.assert_close(with_lesson, without)


def test_signals_and_images_together_and_equal_rewards():
    v = replace(random_view(), clock=Clock(epoch=3))
    made = PolicyWeighted(width=8)
    made.prepare(contract_facts(v))
    assert made(v).isfinite().all()
    one = replace(v, student=v.student, teachers={"pi": v.teachers["pi"]})
    alone = PolicyWeighted(width=8)
    alone.prepare(contract_facts(one))
    torch.testing.assert_close(alone.judge(one).traces["weight.pi"], torch.ones(6))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"temperature": 0.0}, r"temperature: 0\.0 must be > 0"),
        ({"teacher_tap": "stage9"}, "no feature 'stage9'"),
        ({"student_tap": "embedding"}, "cannot be laid over positions"),
    ],
)
def test_impossible_requests_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        PolicyWeighted(**change).prepare(contract_facts(random_view()))
