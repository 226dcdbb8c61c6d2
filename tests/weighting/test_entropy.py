"""Entropy weights: EBKD in both scales, the two forms of the DE-MKD reconstruction, and their limits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.teachers import facts_of, formula_view, logits, view_of
from tutelage import losses
from tutelage.objectives import PerTeacher
from tutelage.terms import DecoupledTargets, SoftTargets
from tutelage.types import Output
from tutelage.weighting import Entropy

FORMS = ("normalised", "legacy", "softmax", "complement")
# Section 12 of the specification: three teachers on one sample.
ROWS = torch.tensor([[2.0, 1, 0, -1], [3, 0, 0, 0], [0.1, 0, 0, 0]], dtype=torch.float64)
GOLDEN = {
    "legacy": (0.66891606, 0.81513805, 0.51594589),
    "normalised": (0.33445803, 0.40756903, 0.25797294),
    "softmax": (0.31594518, 0.48012423, 0.20393060),
    "complement": (0.34410693, 0.39741475, 0.25847831),
}


def weights(form, teachers):
    view = view_of(teachers[0], teachers, torch.zeros(len(teachers[0]), dtype=torch.int64))
    return Entropy(form)(torch.ones(len(teachers), len(teachers[0])), view)


def test_entropy_golden_vector_and_loop():
    assert losses.entropy(ROWS).tolist() == pytest.approx(
        [0.94753696, 0.52906079, 1.38532594], rel=1e-7
    )
    student, _ = logits()
    for row, found in zip(student.tolist(), losses.entropy(student).tolist(), strict=True):
        total = sum(math.exp(z) for z in row)
        p = [math.exp(z) / total for z in row]
        assert found == pytest.approx(-sum(q * math.log(q) for q in p), rel=1e-12)
    assert torch.autograd.gradcheck(losses.entropy, student.clone().requires_grad_())


def test_entropy_of_a_certain_teacher_is_zero_and_has_a_gradient():
    z = torch.tensor([[200.0, 0, 0], [1e4, -1e4, 0]], requires_grad=True)
    found = losses.entropy(z)
    found.sum().backward()
    assert found.abs().max() < 1e-6
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
def test_golden_vectors(form):
    found = weights(form, [row[None] for row in ROWS]).squeeze(1)
    assert found.tolist() == pytest.approx(GOLDEN[form], rel=1e-7)


def by_loop(form, entropies):
    total, count = sum(entropies), len(entropies)
    if form == "legacy":
        return [1 - h / total for h in entropies]
    if form == "normalised":
        return [(1 - h / total) / (count - 1) for h in entropies]
    if form == "softmax":
        return [math.exp(-h) / sum(math.exp(-g) for g in entropies) for h in entropies]
    return [
        (1 - math.exp(h) / sum(math.exp(g) for g in entropies)) / (count - 1) for h in entropies
    ]


@given(st.integers(0, 10_000), st.sampled_from(FORMS), st.integers(2, 6))
def test_every_form_equals_a_loop_and_prefers_the_sure_teacher(seed, form, count):
    random = torch.Generator().manual_seed(seed)
    teachers = list(torch.randn(count, 3, 4, generator=random, dtype=torch.float64) * 3)
    found = weights(form, teachers)
    for sample in range(3):
        entropies = [losses.entropy(t)[sample].item() for t in teachers]
        column = found[:, sample].tolist()
        assert column == pytest.approx(by_loop(form, entropies), rel=1e-9)
        assert sum(column) == pytest.approx(count - 1 if form == "legacy" else 1)
        assert entropies.index(min(entropies)) == column.index(max(column))
        assert all(0 <= w <= 1 for w in column)


@pytest.mark.parametrize("form", FORMS)
def test_equal_entropies_weigh_the_same_even_when_they_are_all_zero(form):
    share = 2 / 3 if form == "legacy" else 1 / 3
    same = torch.tensor([[1.0, 2.0, 0.0]])
    shifted = [same, same + 5, same.flip(1)]
    certain = [torch.tensor([[900.0, 0.0, 0.0]]).roll(k, 1) for k in range(3)]
    for teachers in (shifted, certain):
        torch.testing.assert_close(weights(form, teachers), torch.full((3, 1), share))


# Rorozhl/CA-MKD@c2f39a9: train_distill_multi_teacher with --ensemble_method EBKD, -r 0 -a 1, T = 4, on
# tests.doubles.teachers.logits() in float64: the loss and the gradient at the first sample's logits.
AUTHORS = 0.19014285928105878
AUTHORS_GRADIENT = [
    -0.03626608002726109,
    0.004657154640477367,
    0.027167981644665683,
    0.009040041594271594,
    -0.004599097852153643,
]


@pytest.mark.parametrize(("form", "factor"), [("legacy", 3), ("normalised", 3 / 2)])
def test_loss_and_gradient_of_the_released_code_up_to_the_stated_factor(form, factor):
    view = formula_view()
    loss = PerTeacher(SoftTargets(4.0), Entropy(form))(view).mean()
    assert loss.item() == pytest.approx(factor * AUTHORS, rel=1e-9)
    loss.backward()
    expected = [factor * value for value in AUTHORS_GRADIENT]
    assert view.student.logits.grad[0].tolist() == pytest.approx(expected, rel=1e-9)


def test_identical_teachers_are_one_teacher():
    student, teachers = logits()
    view = view_of(student, [teachers[1]] * 3)
    alone = losses.soft_targets(student, teachers[1], temperature=4.0)
    for form in ("normalised", "softmax", "complement"):
        torch.testing.assert_close(PerTeacher(SoftTargets(4.0), Entropy(form))(view), alone)
    legacy = PerTeacher(SoftTargets(4.0), Entropy("legacy"))(view)
    torch.testing.assert_close(legacy, 2 * alone)  # the K - 1 of the unnormalised weights


def test_decoupled_targets_weighted_by_entropy_are_the_sum_by_hand():
    view = formula_view()
    term = DecoupledTargets()
    found = PerTeacher(DecoupledTargets(), Entropy("softmax"))(view)
    entropies = [losses.entropy(t.logits) for t in view.teachers.values()]
    shares = torch.softmax(-torch.stack(entropies), dim=0)
    parts = [term(view.student, teacher, view) for teacher in view.teachers.values()]
    torch.testing.assert_close(found, (shares * torch.stack(parts)).sum(dim=0))


def test_legacy_with_one_teacher_is_refused_and_the_others_give_it_all():
    one = view_of(logits()[0], logits()[1][:1])
    with pytest.raises(
        ValueError, match="'legacy' weights sum to the number of teachers minus one"
    ):
        Entropy("legacy").prepare(facts_of(one))
    for form in ("normalised", "softmax", "complement"):
        torch.testing.assert_close(
            Entropy(form)(torch.ones(1, 4), one), torch.ones(1, 4, dtype=torch.float64)
        )


def test_no_gradient_flows_through_the_weights():
    student, teachers = logits()
    teachers = [Output(t.requires_grad_()) for t in teachers]
    assert not Entropy("softmax")(torch.ones(3, 4), view_of(student, teachers)).requires_grad


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("size", [1.0, 1e-20, 1e-38, 1e-41, 1e-44])
@pytest.mark.parametrize("form", ["normalised", "softmax", "complement"])
def test_weights_of_very_sure_teachers_sum_to_one(form, size, count):
    from tutelage.weighting.entropy import weights as of

    entropies = torch.tensor([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]])[:count] * size
    found = of(entropies, form)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(2))
    if form == "normalised" and size > 1e-43:
        shares = torch.arange(1.0, count + 1) / sum(range(1, count + 1))
        torch.testing.assert_close(found[:, 0], (1 - shares) / (count - 1), rtol=1e-2, atol=0)
