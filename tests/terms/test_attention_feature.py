"""Attended maps against a loop and the authors' code; who learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.contract.test_contract import facts, leafs, view
from tests.terms.test_attention_map import wave
from tutelage import losses
from tutelage.objectives import PerTeacher
from tutelage.terms import AttentionFeature
from tutelage.types import Facts, Output

TEACHER = [wave(4, 3, 6, 6, step=0.37, shift=1), wave(4, 5, 3, 3, step=0.47, shift=1)]
STUDENT = [wave(4, 2, 6, 6, step=0.7), wave(4, 4, 3, 3, step=0.8), wave(4, 6, 2, 2, step=0.9)]


def value_loop(sample, size):
    """Mean over channels of F², averaged into a grid of this size, divided by its length."""
    energy = (sample**2).mean(0)
    grid = np.zeros(size)
    for i, j in np.ndindex(*size):
        rows = slice(i * energy.shape[0] // size[0], math.ceil((i + 1) * energy.shape[0] / size[0]))
        columns = slice(
            j * energy.shape[1] // size[1], math.ceil((j + 1) * energy.shape[1] / size[1])
        )
        grid[i, j] = energy[rows, columns].mean()
    return grid.ravel() / max(np.sqrt((grid**2).sum()), 1e-12)


def test_it_equals_a_loop():
    attention = torch.softmax(wave(4, 2, 3, step=0.9), dim=2)
    expected = [
        sum(
            attention[b, i, j].item()
            * np.mean(
                (value_loop(t[b].numpy(), t.shape[2:]) - value_loop(s[b].numpy(), t.shape[2:])) ** 2
            )
            for i, t in enumerate(TEACHER)
            for j, s in enumerate(STUDENT)
        )
        for b in range(4)
    ]
    found = losses.matched_maps(STUDENT, TEACHER, attention)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_equal_maps_give_zero_and_scale_does_not_matter():
    attention = torch.softmax(wave(4, 2, 2), dim=2)
    one = [TEACHER[0], -3 * TEACHER[0][:, [2, 0, 1]]]
    assert losses.matched_maps(one, [TEACHER[0]] * 2, attention).max() < 1e-25


def test_a_signal_answers_an_image():
    signal, image = wave(4, 2, 6), wave(4, 3, 5, 6, step=0.3)
    attention = torch.ones(4, 1, 1)
    line = image.square().mean(1, keepdim=True).mean(2).sqrt()
    torch.testing.assert_close(
        losses.matched_maps([signal], [image], attention),
        losses.matched_maps([signal], [line], attention),
    )
    with pytest.raises(ValueError, match="has one position beside the student's"):
        losses.matched_maps([signal], [image[:, :, 0, 0]], attention)


def test_gradcheck():
    s, t = wave(2, 2, 4, step=0.7), wave(2, 3, 4, step=0.37, shift=1)
    attention = torch.softmax(wave(2, 1, 1), dim=2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, a: losses.matched_maps([x], [t], a), (s.requires_grad_(), attention)
    )


def small():
    v = view(batch=4)
    student = Output(v.student.logits, {f"s{i}": x for i, x in enumerate(STUDENT)})
    teacher = Output(v.student.logits, {f"t{i}": x for i, x in enumerate(TEACHER)})
    v = replace(v, student=student, teachers={"t": teacher})
    term = AttentionFeature(["s0", "s1", "s2"], ["t0", "t1"], width=7)
    term.prepare(Facts(v, torch.tensor([4])))
    return term.double(), v


def fill(parameter, number):
    parameter.data = (
        0.5 * torch.sin(0.3 * torch.arange(parameter.numel(), dtype=torch.float64) + number)
    ).reshape(parameter.shape)


def test_golden_numbers_of_the_authors_code():
    # clovaai/attention-feature-distillation@dd990d0, distill/AFD.py in float64, biases of its linear layers 0.
    term, v = small()
    for i, layer in enumerate(term.queries):
        fill(layer[0].weight, 1 + i)
    for i, layer in enumerate(term.keys):
        fill(layer[0].weight, 11 + i)
    fill(term.bilinear[0].weight, 21)
    fill(term.query_places, 31)
    fill(term.key_places, 32)
    teacher = v.teachers["t"]
    found = term.train()(v.student, teacher, v)
    assert found.mean().item() == pytest.approx(0.01095437722005593, rel=1e-9)
    attention = term.attention(v.student, teacher)
    np.testing.assert_allclose(
        attention[1].detach(),
        [
            [0.051451580179, 0.213569203473, 0.734979216348],
            [0.531006798170, 0.415125809138, 0.053867392692],
        ],
        rtol=1e-9,
    )
    torch.testing.assert_close(attention.sum(2), torch.ones(4, 2).double())
    for module in term.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.reset_running_stats()
    found = term.eval()(v.student, teacher, v)
    assert found.mean().item() == pytest.approx(0.011173220577110642, rel=1e-9)


def test_student_and_attention_learn_and_the_teacher_does_not():
    term, v = small()
    v = replace(v, student=leafs(v.student), teachers={"t": leafs(v.teachers["t"])})
    term(v.student, v.teachers["t"], v).sum().backward()
    assert all(x.grad.any() for x in v.student.features.values())
    assert all(x.grad is None for x in v.teachers["t"].features.values())
    assert all(p.grad is not None for p in term.parameters())


def test_one_student_feature_needs_no_attention():
    v = view()
    v = replace(v, teachers={"pi": v.teachers["pi"]})
    objective = PerTeacher(AttentionFeature(["stage1"], ["stage1", "stage2"], width=4))
    objective.prepare(facts(v))
    teacher = v.teachers["pi"].features
    by_hand = losses.matched_maps(
        [v.student.features["stage1"]],
        [teacher["stage1"], teacher["stage2"]],
        torch.ones(6, 2, 1),
    )
    torch.testing.assert_close(objective(v), by_hand)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"taps": []}, "taps: the list is empty"),
        ({"teacher_taps": []}, "taps: the list is empty"),
        ({"width": 0}, "width: 0 must be >= 1"),
    ],
)
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        AttentionFeature(**arguments)
