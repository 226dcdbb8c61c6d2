"""Weights in gradient space (AE-KD): the programme against other solvers, the released code, and its geometry."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.svm import OneClassSVM

from tests.contract.test_contract import view as random_view
from tests.doubles.teachers import facts_of, formula_view, logits, view_of, wave
from tutelage import losses
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.terms import SoftTargets
from tutelage.types import Output
from tutelage.weighting import GradientSpace, _min_norm
from tutelage.weighting._min_norm import min_norm_mixture

F64 = torch.float64


def grams(seed, count, size):
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, size, generator=random, dtype=F64)
    lengths = torch.rand(count, 1, generator=random, dtype=F64).mul(6).sub(3).exp()
    vectors = lengths * vectors
    gram = vectors @ vectors.T
    return gram / gram.diagonal().mean()


def length(gram, shares):
    return float(shares @ gram @ shares)


# Section 12 of the specification: rows are gradients, then (cap, weights, tolerance).
AXES = [[1, 0, 0], [0, 2, 0], [0, 0, 1]]
SKEW = [[1, 0.2, 0], [0.3, 2, 0], [-0.4, 0, 1]]


@pytest.mark.parametrize(
    ("rows", "cap", "expected", "tolerance"),
    [
        (AXES, 1.0, (4 / 9, 1 / 9, 4 / 9), 1e-7),
        (AXES, 0.6, (4 / 9, 1 / 9, 4 / 9), 1e-7),
        (AXES, 0.4, (0.4, 0.2, 0.4), 1e-7),
        (SKEW, 1.0, (0.510661, 0.011772, 0.477567), 1e-5),
        (SKEW, 0.6, (0.510661, 0.011772, 0.477567), 1e-5),
        (SKEW, 0.4, (0.4, 0.2, 0.4), 1e-5),
    ],
)
def test_golden_vectors(rows, cap, expected, tolerance):
    v = torch.tensor(rows, dtype=F64)
    assert min_norm_mixture(v @ v.T, cap).tolist() == pytest.approx(expected, abs=tolerance)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(1, 9), st.floats(0.0, 1.2))
def test_the_mixture_is_feasible_and_as_short_as_that_of_slsqp(seed, count, size, cap):
    gram, cap = grams(seed, count, size), max(cap, 1 / count)
    found = min_norm_mixture(gram, cap)
    assert found.sum().item() == pytest.approx(1)
    assert found.min() >= 0
    assert found.max() <= cap + 1e-8
    g = gram.numpy()
    other = minimize(
        lambda a: a @ g @ a,
        np.full(count, 1 / count),
        jac=lambda a: 2 * g @ a,
        bounds=[(0, min(cap, 1))] * count,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert length(gram, found) <= length(gram, torch.tensor(other.x)) + 1e-6
    assert length(gram, found) <= length(gram, torch.full((count,), 1 / count, dtype=F64)) + 1e-7


@pytest.mark.parametrize("cap", [1.0, 0.6, 0.45])
def test_no_point_of_a_fine_grid_is_shorter(cap):
    steps = torch.arange(0, 1.0001, 0.005, dtype=F64)
    a, b = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([a, b, 1 - a - b], dim=-1).reshape(-1, 3)
    grid = grid[((grid >= -1e-12) & (grid <= cap + 1e-12)).all(dim=1)]
    for seed in range(20):
        gram = grams(seed, 3, 2 + seed % 4)
        shortest = torch.einsum("pi,ij,pj->p", grid, gram, grid).min()
        assert length(gram, min_norm_mixture(gram, cap)) <= shortest + 1e-8


@pytest.mark.parametrize("cap", [1.0, 0.6, 0.5, 0.4])
def test_equal_to_the_one_class_support_vector_machine_the_authors_use(cap):
    for seed in range(20):
        gram = grams(seed, 3, 5)
        nu = min(1.0, max(1 / 3, 1 / (cap * 3)))
        machine = OneClassSVM(kernel="precomputed", nu=nu, tol=1e-9).fit(gram.numpy())
        shares = np.zeros(3)
        shares[machine.support_] = machine.dual_coef_[0] / (3 * nu)
        found = min_norm_mixture(gram, cap)
        np.testing.assert_allclose(found.numpy(), shares, atol=1e-4)
        assert length(gram, found) <= length(gram, torch.tensor(shares)) + 1e-8


@pytest.mark.parametrize("cap", [1.0, 0.6, 0.5, 0.34])
def test_both_solvers_agree(cap):
    for seed in range(30):
        count = 2 + seed % 4
        unit = grams(seed, count, 4) + 1e-9 * torch.eye(count, dtype=F64)
        bound = max(cap, 1 / count + 0.01)
        one, two = (
            solve(unit, bound) for solve in (_min_norm._by_enumeration, _min_norm._by_active_set)
        )
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_equal_or_vanishing_gradients_are_shared_evenly(count):
    even = torch.full((count,), 1 / count, dtype=F64)
    for gram in (torch.ones(count, count), torch.zeros(count, count), 1e-30 * torch.eye(count)):
        torch.testing.assert_close(min_norm_mixture(gram, 0.9), even)
    torch.testing.assert_close(min_norm_mixture(grams(0, count, 4), 1 / count), even)


def by_hand(view, temperature, cap):
    """The closed form: the gradient of KL at the logits is T (p_S - p_k) per sample."""
    student = torch.softmax(view.student.logits / temperature, dim=1)
    vectors = [
        (temperature * (student - torch.softmax(t.logits / temperature, dim=1))).mean(dim=0)
        for t in view.teachers.values()
    ]
    v = torch.stack(vectors).detach().double()
    return min_norm_mixture(v @ v.T, cap)


# AnTuo1998/AE-KD@68f490e: find_optimal_svm on the gradients of their DistillKL (T = 4) at the student's logits,
# tests.doubles.teachers.logits(), float64; their solver stops at a tolerance of 1e-6 and returns float32.
AUTHORS = {
    (1.0, False): ([0.0, 0.0, 1.0], 0.17768097081324763),
    (1.0, True): ([0.3974498, 0.0, 0.6025502], 0.2755520664693087),
    (0.6, False): ([0.0, 0.4, 0.6], 0.20557849596266073),
    (0.6, True): ([0.3974498, 0.0, 0.6025502], 0.2755520664693087),
    (0.4, False): ([0.2, 0.4, 0.4], 0.25482803336985027),
    (0.4, True): ([0.3153794, 0.2064924, 0.4781282], 0.2697439903560275),
}


@pytest.mark.parametrize(("cap", "normalise"), AUTHORS)
def test_weights_and_loss_of_the_released_code(cap, normalise):
    expected, loss = AUTHORS[cap, normalise]
    view = formula_view()
    objective = PerTeacher(SoftTargets(4.0), GradientSpace(cap, normalise=normalise))
    judged = objective.judge(view)
    assert judged.loss.mean().item() == pytest.approx(loss, rel=1e-5)
    found = torch.stack(list(judged.traces.values()))[:, 0].tolist()
    assert found == pytest.approx(expected, abs=1e-5)


# The same at a feature: their HintLoss (mean of squares) between FD-like student and teacher maps.
HINTS = {
    (1.0, False): [1.0, 0.0, 0.0],
    (1.0, True): [0.6425013, 0.0, 0.3574987],
    (0.6, False): [0.6, 0.4, 0.0],
    (0.6, True): [0.6425013, 0.0, 0.3574987],
}


@pytest.mark.parametrize(("cap", "normalise"), HINTS)
def test_weights_of_the_released_code_at_a_feature(cap, normalise):
    student = wave(4, 3, 2, 2, step=1.0).requires_grad_()
    count = torch.arange(48, dtype=F64)
    teachers = [torch.cos(0.7 * count + k).reshape(4, 3, 2, 2) * (1 + k) for k in range(3)]
    z = torch.zeros(4, 5, dtype=F64)
    view = view_of(Output(z, {"a": student}), [Output(z, {"a": t}) for t in teachers])
    distances = torch.stack([losses.mean_square(student, t) for t in teachers])
    made = GradientSpace(cap, at="a", normalise=normalise)
    assert made(distances, view)[:, 0].tolist() == pytest.approx(HINTS[cap, normalise], abs=1e-5)


def test_the_weights_do_not_depend_on_the_scale_of_the_gradients_as_the_released_solver_does():
    # AnTuo1998/AE-KD@68f490e on random logits (B = 128, C = 10): inner products of 4e-7, weights (0.6, 0.4, 0)
    # always. The machine compares with an absolute tolerance of 1e-6 and stops where it starts.
    gram = grams(3, 3, 5)
    nu = 1 / (0.6 * 3)
    machine = OneClassSVM(kernel="precomputed", nu=nu, tol=1e-6).fit(4e-7 * gram.numpy())
    shares = np.zeros(3)
    shares[machine.support_] = machine.dual_coef_[0] / (3 * nu)
    assert shares.tolist() == pytest.approx([0.6, 0.4, 0.0])
    found = min_norm_mixture(4e-7 * gram, 0.6)
    torch.testing.assert_close(found, min_norm_mixture(gram, 0.6))
    assert length(gram, found) < 0.99 * length(gram, torch.tensor(shares))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("cap", [1.0, 0.6, 0.4])
def test_gradients_at_the_logits_are_the_closed_form(temperature, cap):
    view = random_view(batch=16)
    student = Output(view.student.logits.clone().requires_grad_(), view.student.features)
    view = replace(view, student=student)
    objective = PerTeacher(SoftTargets(temperature), GradientSpace(cap))
    found = torch.stack(list(objective.judge(view).traces.values()))[:, 0]
    torch.testing.assert_close(
        found.double(), by_hand(view, temperature, cap), rtol=1e-4, atol=1e-5
    )


def test_without_a_cap_the_step_goes_downhill_for_every_teacher():
    view = formula_view()
    term = SoftTargets(4.0)
    parts = [term(view.student, t, view) for t in view.teachers.values()]
    z = view.student.logits
    v = torch.stack(
        [torch.autograd.grad(p.sum(), z, retain_graph=True)[0].mean(dim=0) for p in parts]
    )
    shares = GradientSpace(1.0)(torch.stack(parts), view)[:, 0]
    mixture = shares @ v
    assert mixture.norm() <= v.mean(dim=0).norm()
    assert (v @ mixture >= mixture.square().sum() - 1e-9).all()


def test_the_weights_are_constants_and_the_graph_survives():
    view = formula_view()
    z = view.student.logits
    objective = PerTeacher(SoftTargets(4.0), GradientSpace())
    judged = objective.judge(view)
    judged.loss.mean().backward()
    shares = torch.stack(list(judged.traces.values()))[:, :1].detach()
    again = z.detach().clone().requires_grad_()
    parts = [losses.soft_targets(again, t.logits, temperature=4.0) for t in view.teachers.values()]
    (shares * torch.stack(parts)).sum(dim=0).mean().backward()
    torch.testing.assert_close(z.grad, again.grad)


def test_it_works_beside_other_objectives_through_a_network():
    torch.manual_seed(0)
    network = torch.nn.Linear(6, 5)
    x = torch.randn(4, 6)
    view = formula_view()
    distiller = Distiller(
        {
            "labels": Weighted(Labels(), 0.1),
            "soft": Weighted(PerTeacher(SoftTargets(4.0), GradientSpace()), 0.9),
        }
    )
    found = distiller(replace(view, student=Output(network(x))))
    found.total.mean().backward()
    assert network.weight.grad.abs().sum() > 0
    assert set(found.traces) == {"soft.weight.sig", "soft.weight.pi", "soft.weight.gaf"}


def test_bf16_autocast_gives_nearly_the_same_weights():
    view = random_view(batch=16)
    z = view.student.logits.clone().requires_grad_()
    full = PerTeacher(SoftTargets(4.0), GradientSpace(1.0))
    exact = full.judge(replace(view, student=Output(z))).traces
    half = PerTeacher(SoftTargets(4.0), GradientSpace(1.0))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = half.judge(replace(view, student=Output(z.bfloat16()))).traces
    for name, row in exact.items():
        torch.testing.assert_close(rounded[name], row, rtol=0.05, atol=0.05)


def test_identical_teachers_are_one_teacher():
    student, teachers = logits()
    student.requires_grad_()
    alone = losses.soft_targets(student, teachers[1], temperature=4.0)
    for normalise in (False, True):
        made = GradientSpace(normalise=normalise)
        for count in (1, 2, 3, 6):
            view = view_of(student, [teachers[1]] * count)
            torch.testing.assert_close(PerTeacher(SoftTargets(4.0), made)(view), alone)


def test_a_perfect_student_gives_even_weights():
    teacher = logits()[1][0]
    view = view_of(teacher.clone().requires_grad_(), [teacher] * 3)
    parts = torch.stack([(view.student.logits - teacher).square().sum(dim=1)] * 3)
    for normalise in (False, True):
        found = GradientSpace(normalise=normalise)(parts, view)
        torch.testing.assert_close(found, torch.full((3, 1), 1 / 3, dtype=F64))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: GradientSpace(cap=0.0), r"cap: 0\.0 must be > 0"),
        (
            lambda: GradientSpace(cap=0.3).prepare(facts_of(formula_view())),
            r"cap: 0\.3 is less than one over 3 teachers.*at least 0\.3333",
        ),
        (
            lambda: GradientSpace(at="stage9").prepare(facts_of(formula_view())),
            r"at: the student has no feature 'stage9' \(there are: logits\)",
        ),
        (
            lambda: GradientSpace()(torch.ones(3, 4), formula_view()),
            "at: the student's logits carry no gradient",
        ),
        (
            lambda: GradientSpace()(torch.ones(3, 4, requires_grad=True), formula_view()),
            "at: the losses do not depend on the student's logits",
        ),
    ],
)
def test_impossible_requests_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("count", [2, 3, 4, 6])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e3])
def test_identical_teachers_have_equal_weights_in_single_precision(count, normalise, scale):
    torch.manual_seed(count)
    teacher = Output(3 * torch.randn(64, 12))
    student = Output(scale * torch.randn(64, 12).requires_grad_())
    view = replace(
        formula_view(),
        student=student,
        teachers={f"t{k}": teacher for k in range(count)},
    )
    kl = losses.soft_targets(student.logits, teacher.logits)
    found = GradientSpace(0.6, normalise=normalise)(torch.stack([kl] * count), view)
    torch.testing.assert_close(found, torch.full((count, 1), 1 / count), rtol=1e-4, atol=0)


def test_a_teacher_that_masks_the_true_class_counts_least():
    from tutelage.weighting.complement import complement

    scores = torch.tensor([[torch.inf, torch.inf], [1.0, torch.inf], [2.0, 1.0]])
    found = complement(scores)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(2))
    torch.testing.assert_close(found[:, 1], torch.tensor([0.25, 0.25, 0.5]))
    assert found[0, 0] == 0
