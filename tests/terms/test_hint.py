"""Hints: the regressor's rules, its numbers in the released code, and who learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.contract.test_contract import leafs, view
from tests.terms.test_attention_map import wave
from tutelage import losses
from tutelage.terms import Hint
from tutelage.types import Facts, Output


def outputs(student, teacher):
    v = view(batch=len(student))
    s, t = Output(v.student.logits, {"a": student}), Output(v.student.logits, {"b": teacher})
    return replace(v, student=s, teachers={"t": t})


def prepared(student, teacher, **options):
    v = outputs(student, teacher)
    term = Hint("a", "b", **options)
    term.prepare(facts_of(v))
    return term.to(student.dtype), v


def facts_of(v):
    return Facts(v, torch.tensor([len(v.batch.labels)]))


def run(term, v):
    return term(v.student, v.teachers["t"], v)


def test_mean_square_equals_a_loop():
    s, t = wave(3, 2, 4, step=0.7), wave(3, 2, 4, step=0.3)
    expected = [
        np.mean([(a - b) ** 2 for a, b in zip(x.ravel(), y.ravel(), strict=True)])
        for x, y in zip(s.numpy(), t.numpy(), strict=True)
    ]
    np.testing.assert_allclose(losses.mean_square(s, t), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"has shape \[3, 2, 4\], the teacher's \[3, 2\]"):
        losses.mean_square(s, t[:, :, 0])
    assert torch.autograd.gradcheck(lambda x: losses.mean_square(x, t), s.requires_grad_())


# HobbitLong/RepDistiller@b84f547, ConvReg (convolution bias 0.4, which the normalisation removes) and
# HintLoss in float64, in training mode: student size, teacher size, with ReLU, without.
GOLDEN = {
    "half": ((8, 8), (4, 4), 1.5145638092663671, 2.010178880577868),
    "double": ((4, 4), (8, 8), 1.5007159731142683, 2.0337762781034066),
    "equal": ((4, 4), (4, 4), 1.4781273198551699, 1.9838781860342078),
    "wide": ((7, 9), (4, 4), 1.5155919189314386, 2.0246858087542376),
}


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("case", GOLDEN)
def test_golden_numbers_of_the_released_code(case, active):
    size_s, size_t, *values = GOLDEN[case]
    s, t = wave(4, 3, *size_s, step=0.7), wave(4, 5, *size_t, step=0.37, shift=1)
    term, v = prepared(s, t, active=active)
    convolution, norm, *_ = term.regressor
    weight = convolution.weight
    weight.data = (
        0.5 * torch.sin(0.3 * torch.arange(weight.numel(), dtype=torch.float64))
    ).reshape(weight.shape)
    norm.weight.data = 1 + 0.1 * torch.arange(5, dtype=torch.float64)
    norm.bias.data = 0.1 * torch.arange(5, dtype=torch.float64)
    assert run(term, v).mean().item() == pytest.approx(values[not active], rel=1e-9)


@pytest.mark.parametrize(
    ("student", "teacher", "kernel"),
    [
        ((8,), (4,), (3,)),
        ((4,), (8,), (4,)),
        ((5,), (5,), (1,)),
        ((13,), (9,), (5,)),
        ((25, 25), (13, 13), (13, 13)),
        ((3,), (8,), (1,)),  # no rule: the teacher's map is averaged
        ((8,), (4, 6), (1,)),  # a signal beside an image
        ((6, 6), (8,), (1,)),
        ((4, 8), (6, 6), (1, 1)),
    ],
)
def test_any_two_shapes_work(student, teacher, kernel):
    term, v = prepared(wave(4, 3, *student).float(), wave(4, 5, *teacher).float())
    assert term.regressor[0].kernel_size == kernel
    assert run(term, v).shape == (4,)


def test_vectors_and_a_single_tap_pair():
    term, v = prepared(wave(4, 3).float(), wave(4, 5).float())
    assert run(term, v).shape == (4,)
    assert term.needs().features == {"b"}
    assert Hint("a", "c").needs().features == {"c"}


def test_a_regressor_that_answers_right_gives_zero():
    s = wave(4, 3, 5).abs().float()
    term, v = prepared(s, s.clone())
    torch.nn.init.dirac_(term.regressor[0].weight)
    term.eval()
    assert run(term, v).max() < 1e-6 * s.max()


def test_student_and_regressor_learn_and_the_teacher_does_not():
    term, v = prepared(wave(4, 3, 8).float(), wave(4, 5, 4).float())
    v = replace(v, student=leafs(v.student), teachers={"t": leafs(v.teachers["t"])})
    run(term, v).sum().backward()
    assert v.student.features["a"].grad.any()
    assert v.teachers["t"].features["b"].grad is None
    assert all(p.grad is not None for p in term.parameters())


def test_a_missing_tap_is_one_sentence():
    v = outputs(wave(4, 3, 8).float(), wave(4, 5, 4).float())
    with pytest.raises(ValueError, match=r"no feature 'stage2' \(there are: a\)"):
        Hint().prepare(facts_of(v))
