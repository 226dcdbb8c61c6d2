"""Every loss against a slow loop, the golden vectors of the specification, and its invariants."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutelage import losses
from tutelage.types import Output

Z_T = torch.tensor([[2.0, 1, 0, -1], [0.5, 0.5, 3, -2]], dtype=torch.float64)
Z_S = torch.tensor([[1.0, 1.5, -0.5, 0], [0, 1, 2, -1]], dtype=torch.float64)


def softmax(row):
    top = max(row)
    exponents = [math.exp(v - top) for v in row]
    return [e / sum(exponents) for e in exponents]


def kl_loop(student, teacher, temperature):
    found = []
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p = softmax([v / temperature for v in t])
        q = softmax([v / temperature for v in s])
        found.append(
            temperature**2 * sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
        )
    return found


def test_soft_targets_golden_vector():
    found = losses.soft_targets(Z_S, Z_T, temperature=4.0).mean()
    assert found.item() == pytest.approx(0.3009758357552377, rel=1e-6)
    legacy = losses.soft_targets(Z_S, Z_T, temperature=4.0, class_reduction="mean").mean()
    assert legacy.item() == pytest.approx(0.0752439589389081, rel=1e-6)


@given(st.integers(0, 10_000), st.floats(0.5, 20))
def test_soft_targets_equals_a_loop(seed, temperature):
    random = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 5, 7, generator=random) * 3
    found = losses.soft_targets(student, teacher, temperature=temperature)
    assert found.tolist() == pytest.approx(
        kl_loop(student, teacher, temperature), rel=2e-4, abs=2e-5
    )


def test_soft_targets_invariants():
    assert losses.soft_targets(Z_T, Z_T).abs().max() < 1e-6
    assert (losses.soft_targets(Z_S, Z_T) > 0).all()
    shifted = losses.soft_targets(Z_S + 5, Z_T - 3)
    torch.testing.assert_close(shifted, losses.soft_targets(Z_S, Z_T), rtol=1e-5, atol=1e-6)


def test_soft_targets_gradient_is_the_closed_form():
    student = Z_S.float().requires_grad_()
    teacher = Z_T.float().requires_grad_()
    losses.soft_targets(student, teacher, temperature=4.0).sum().backward()
    expected = 4.0 * (torch.softmax(student / 4, 1) - torch.softmax(teacher / 4, 1))
    torch.testing.assert_close(student.grad, expected.detach(), rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


def test_soft_targets_tends_to_the_squared_distance_of_centred_logits():
    s, t = Z_S - Z_S.mean(1, keepdim=True), Z_T - Z_T.mean(1, keepdim=True)
    limit = (s - t).square().sum(1) / (2 * 4)
    found = losses.soft_targets(Z_S, Z_T, temperature=100.0)
    torch.testing.assert_close(found.double(), limit, rtol=2e-2, atol=2e-2)


def test_cross_entropy_with_weights_and_focal_equals_a_loop():
    labels = torch.tensor([2, 0])
    weights = torch.tensor([0.5, 1.0, 2.0, 1.0])
    found = losses.cross_entropy(Z_S, labels, class_weights=weights, focal_gamma=2.0)
    for i, label in enumerate(labels.tolist()):
        p = softmax(Z_S[i].tolist())[label]
        assert found[i].item() == pytest.approx(
            -weights[label].item() * (1 - p) ** 2 * math.log(p), rel=1e-5
        )
    plain = losses.cross_entropy(Z_S, labels)
    assert plain.tolist() == pytest.approx(
        [-math.log(softmax(Z_S[i].tolist())[k]) for i, k in enumerate(labels.tolist())], rel=1e-5
    )


def sp_loop(student, teacher):
    def norm_gram(x):
        x = x.reshape(len(x), -1).astype(np.float64)
        g = np.array([[np.dot(a, b) for b in x] for a in x])
        return g / np.maximum(np.sqrt((g**2).sum(1, keepdims=True)), 1e-12)

    return ((norm_gram(student) - norm_gram(teacher)) ** 2).mean(1)


def test_similarity_golden_vector_and_loop():
    fa = (torch.arange(1, 25) / 10).reshape(3, 2, 2, 2)
    fb = torch.sin(torch.arange(24.0)).reshape(3, 2, 2, 2)
    grams = [losses.gram(Output(torch.zeros(3, 2), {"x": f}), "x") for f in (fa, fb)]
    found = losses.similarity_maps(*grams)
    assert found.mean().item() == pytest.approx(0.6198800236926, rel=1e-6)
    np.testing.assert_allclose(found.numpy(), sp_loop(fa.numpy(), fb.numpy()), rtol=1e-5)


def test_merged_similarity_golden_vectors():
    fc = (torch.arange(1, 33) / 10).reshape(4, 2, 2, 2)
    fd = torch.sin(torch.arange(32.0)).reshape(4, 2, 2, 2)
    fe = torch.cos(0.7 * torch.arange(48.0)).reshape(4, 3, 2, 2)
    c, d, e = (losses.gram(Output(torch.zeros(4, 2), {"x": f}), "x") for f in (fc, fd, fe))
    for order, value in (
        ("merge_then_normalise", 0.4754455355708),
        ("normalise_then_merge", 0.4819738542704),
    ):
        target = losses.merged_gram([d, e], [0.7, 0.3], order)
        assert losses.similarity_maps(c, target).mean().item() == pytest.approx(value, rel=1e-6)


@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_similarity_ignores_rotation_and_scale_and_follows_permutation(seed, scale):
    random = torch.Generator().manual_seed(seed)
    s = torch.randn(6, 5, generator=random).double()
    t = torch.randn(6, 9, generator=random).double()
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=random).double())[0]
    base = losses.similarity_maps(s @ s.T, t @ t.T)
    turned = scale * s @ rotation
    torch.testing.assert_close(losses.similarity_maps(turned @ turned.T, t @ t.T), base)
    p = torch.randperm(6, generator=random)
    permuted = losses.similarity_maps(s[p] @ s[p].T, t[p] @ t[p].T)
    torch.testing.assert_close(permuted, base[p])
    assert losses.similarity_maps(s @ s.T, s @ s.T).abs().max() == 0


def test_gram_is_float32_under_autocast_and_prefers_the_cache():
    x = torch.randn(4, 3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        found = losses.gram(Output(torch.zeros(4, 2), {"x": x.bfloat16()}), "x")
    assert found.dtype == torch.float32
    kept = torch.eye(4)
    assert losses.gram(Output(torch.zeros(4, 2), {"x": x}, {"x": kept}), "x") is kept
    with pytest.raises(KeyError, match="tap 'y'"):
        losses.gram(Output(torch.zeros(4, 2), {"x": x}), "y")


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.soft_targets(Z_S, Z_T, temperature=0.0),
        lambda: losses.cross_entropy(Z_S, torch.tensor([0, 1]), focal_gamma=-1),
        lambda: losses.cross_entropy(Z_S, torch.tensor([0, 1]), label_smoothing=1.0),
    ],
)
def test_bad_constants_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()


def test_gradcheck_in_float64():
    # The public losses compute in float32; the formulas are checked through double precision copies.
    def kl(s):
        return losses.soft_targets(s.float(), Z_T).double()

    def sp(s):
        return losses.similarity_maps(s @ s.T, Z_T @ Z_T.T)

    assert torch.autograd.gradcheck(sp, Z_S.clone().requires_grad_())
    s = Z_S.clone().requires_grad_()
    (analytic,) = torch.autograd.grad(kl(s).sum(), s)
    numeric = torch.zeros_like(Z_S)
    for i in range(2):
        for j in range(4):
            e = torch.zeros_like(Z_S)
            e[i, j] = 1e-2
            numeric[i, j] = (kl(Z_S + e) - kl(Z_S - e)).sum() / 2e-2
    torch.testing.assert_close(analytic, numeric, rtol=1e-2, atol=1e-3)


MASKED = torch.tensor([[2.0, 1.0, -torch.inf]])


def student_of(values):
    return torch.tensor([values], requires_grad=True)


def test_a_class_that_the_teacher_masks_adds_nothing():
    student = student_of([1.0, 2.0, 3.0])
    found = losses.soft_targets(student, MASKED, temperature=4.0)
    # By hand: the teacher's two classes against the student's probabilities of all three.
    q = softmax([0.25, 0.5, 0.75])
    p = softmax([0.5, 0.25])
    wanted = 16 * sum(a * math.log(a / b) for a, b in zip(p, q[:2], strict=True))
    assert found.item() == pytest.approx(wanted, rel=1e-6)
    assert round(found.item(), 2) == 9.19
    found.sum().backward()
    expected = torch.tensor([[*(b - a for a, b in zip(p, q[:2], strict=True)), q[2]]]) * 4
    torch.testing.assert_close(student.grad, expected)


def test_decoupled_targets_with_a_masked_class():
    student = student_of([1.0, 2.0, 3.0])
    label = torch.tensor([0])
    found = losses.decoupled_targets(
        student, MASKED, label, target=1.0, nontarget=8.0, temperature=4.0
    )
    q, p = softmax([0.25, 0.5, 0.75]), softmax([0.5, 0.25])
    own = sum(a * math.log(a / b) for a, b in zip(p, (q[0], 1 - q[0]), strict=True))
    rest = -math.log(softmax([0.5, 0.75])[0])  # of the other classes the teacher leaves the first
    assert found.item() == pytest.approx(16 * (own + 8 * rest), rel=1e-6)
    found.sum().backward()
    assert student.grad.isfinite().all()
    for wrong in (torch.tensor([2]), torch.tensor([1])):  # the true class itself is masked, or not
        assert losses.decoupled_targets(student, MASKED, wrong).isfinite().all()
    alone = torch.tensor([[1.0, -torch.inf, -torch.inf]])
    assert losses.decoupled_targets(student, alone, label).isfinite().all()


def test_entropy_of_a_masked_class():
    p = softmax([2.0, 1.0])
    wanted = -sum(a * math.log(a) for a in p)
    assert losses.entropy(MASKED).item() == pytest.approx(wanted, rel=1e-6)
    assert round(wanted, 3) == 0.582


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: losses.similarity_maps(a @ a.T, b @ b.T),
        losses.discriminative_consistent,
        lambda a, b: losses.channel_distance(a.view(4, 2, 3), b.view(4, 2, 3), torch.ones(4, 2)),
        lambda a, b: losses.attention_transfer(a.view(4, 2, 3), b.view(4, 2, 3), power=1.0),
        lambda a, b: losses.orthogonal_features(a @ a.T, b @ b.T, patches=2),
        losses.class_relations,
        lambda a, b: losses.angular_margin(a.view(4, 2, 3), b.view(4, 2, 3)),
    ],
)
def test_features_that_are_all_zero_get_a_gradient_of_the_size_of_the_others(loss):
    torch.manual_seed(0)
    whole = torch.randn(4, 6)
    teacher = torch.randn(4, 6)
    largest = []
    for dead in (0, 1):
        student = whole.clone()
        student[:dead] = 0
        student.requires_grad_()
        found = loss(student, teacher)
        assert found.isfinite().all()
        found.sum().backward()
        largest.append(student.grad.abs().max().item())
    assert largest[1] < 100 * largest[0]
