"""The dynamic coefficient of mGLW-KD: the paper's two teachers literally, and N teachers against bisection."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.doubles.workspace import clipped
from tutelage.errors import UserError
from tutelage.objectives import PerTeacher
from tutelage.terms import SoftTargets
from tutelage.types import Batch, Clock, Output, View
from tutelage.weighting import Closeness
from tutelage.weighting.closeness import bounded


def view_at(**distances):
    """Teachers at these mean squared distances from the student in the feature ``slot_scores``."""
    random = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    own = drawn(4, 6, 3)
    teachers = {}
    for name, distance in distances.items():
        apart = drawn(4, 6, 3)
        apart *= (distance / apart.square().mean()).sqrt()
        teachers[name] = Output(2 * drawn(4, 5), {"slot_scores": own + apart})
    student = Output(drawn(4, 5), {"slot_scores": own})
    return View(student, teachers, Batch({}, torch.zeros(4), torch.arange(4)), Clock())


def weights_of(view, **arguments):
    found = Closeness(**arguments)(torch.zeros(len(view.teachers), 4, dtype=torch.float64), view)
    assert found.shape == (len(view.teachers), 1)
    return dict(zip(view.teachers, found[:, 0].tolist(), strict=True))


def test_the_published_trace():
    # Fig. 8: epoch 0, d_1 = 0.0285, d_2 = 0.0142, alpha = 0.333.
    found = weights_of(view_at(pi=0.0285, sig=0.0142))
    assert found["pi"] == pytest.approx(0.3325526932, abs=1e-9)
    assert round(found["pi"], 3) == 0.333
    assert found["sig"] == pytest.approx(1 - 0.3325526932, abs=1e-9)
    assert weights_of(view_at(pi=0.0285, sig=0.0142), more="farther")["pi"] == pytest.approx(
        1 - 0.3325526932, abs=1e-9
    )


@pytest.mark.parametrize("more", ["closer", "farther"])
@pytest.mark.parametrize(("floor", "cap"), [(0.0, 1.0), (0.1, 0.9), (0.4, 0.6), (0.5, 0.5)])
@pytest.mark.parametrize(("first", "second"), [(0.3, 0.4), (0.02, 0.9), (1e-9, 1e3), (0.7, 0.1)])
def test_two_teachers_literally(more, floor, cap, first, second):
    view = view_at(pi=first, sig=second)
    raw = (second if more == "closer" else first) / (first + second)
    alpha = max(floor, min(cap, raw))
    weighting = Closeness(more=more, floor=floor, cap=cap)
    found = weights_of(view, more=more, floor=floor, cap=cap)
    assert found == pytest.approx({"pi": alpha, "sig": 1 - alpha}, abs=1e-11)
    # L_Km = alpha T² KL_1 + (1 - alpha) T² KL_2
    kl = [
        F.kl_div(
            F.log_softmax(view.student.logits / 4, 1),
            F.softmax(teacher.logits / 4, 1),
            reduction="batchmean",
        )
        for teacher in view.teachers.values()
    ]
    expected = alpha * 4**2 * kl[0] + (1 - alpha) * 4**2 * kl[1]
    loss = PerTeacher(SoftTargets(4.0), weighting)(view).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("floor", "cap", "alpha"),
    [
        ({"pi": 0.4}, 0.9, 0.4),  # raw 0.2 for the image
        ({"pi": 0.15}, 0.9, 0.2),
        (0.1, {"pi": 0.15}, 0.15),
        (0.1, {"sig": 0.7}, 0.3),  # a cap of one teacher of two is a floor of the other
        ({"sig": 0.85}, 1.0, 0.15),
        ({"pi": 0.25, "sig": 0.1}, {"pi": 0.3, "sig": 0.9}, 0.25),
    ],
)
def test_bounds_by_name(floor, cap, alpha):
    found = weights_of(view_at(pi=0.4, sig=0.1), floor=floor, cap=cap)
    assert found == pytest.approx({"pi": alpha, "sig": 1 - alpha}, abs=1e-11)


@pytest.mark.parametrize("more", ["closer", "farther"])
@pytest.mark.parametrize("distance", [0.0, 0.25, 1e20])
@pytest.mark.parametrize("teachers", [1, 2, 3, 5])
def test_equal_distances_give_equal_weights(more, distance, teachers):
    found = weights_of(view_at(**dict.fromkeys("abcde"[:teachers], distance)), more=more)
    assert list(found.values()) == pytest.approx([1 / teachers] * teachers, abs=1e-9)


def test_a_teacher_without_distance_gets_all_that_the_cap_allows():
    assert weights_of(view_at(pi=0.0, sig=0.3))["pi"] == pytest.approx(0.9, abs=1e-11)
    assert weights_of(view_at(pi=0.0, sig=0.3), more="farther")["pi"] == pytest.approx(0.1)
    assert weights_of(view_at(pi=0.0, sig=0.3), floor=0, cap=1)["pi"] == pytest.approx(1, abs=1e-11)
    assert sum(weights_of(view_at(a=0.0, b=0.3, c=0.0)).values()) == pytest.approx(1, abs=1e-12)


def test_one_number_per_batch_without_gradient():
    view = view_at(pi=0.2, sig=0.1, gaf=0.4)
    for output in (view.student, *view.teachers.values()):
        output.features["slot_scores"].requires_grad_()
    found = Closeness()(torch.zeros(3, 4), view)
    assert found.dtype == torch.float32
    assert not found.requires_grad


distance = st.floats(1e-6, 1e3)


@settings(max_examples=60, deadline=None)
@given(st.lists(distance, min_size=3, max_size=6), st.data())
def test_many_teachers_stay_in_bounds_and_follow_their_names(distances, data):
    names = [f"t{k}" for k in range(len(distances))]
    even = 1 / len(names)
    floor = {n: data.draw(st.floats(0, even)) for n in names}
    cap = {n: data.draw(st.floats(even, 1)) for n in names}
    more = data.draw(st.sampled_from(["closer", "farther"]))
    given_distances = dict(zip(names, distances, strict=True))
    found = weights_of(view_at(**given_distances), floor=floor, cap=cap, more=more)
    assert sum(found.values()) == pytest.approx(1, abs=1e-9)
    for name, weight in found.items():
        assert floor[name] - 1e-12 <= weight <= cap[name] + 1e-12
    # The weights are those of the description: in proportion, clipped, the rest shared.
    d = np.array(distances)
    raw = (1 / d if more == "closer" else d) / (1 / d if more == "closer" else d).sum()
    low, high = list(floor.values()), list(cap.values())
    np.testing.assert_allclose(list(found.values()), clipped(raw, low, high), atol=1e-8)
    # Another order of the teachers is the same answer by name.
    order = data.draw(st.permutations(names))
    view = view_at(**given_distances)
    turned = View(view.student, {n: view.teachers[n] for n in order}, view.batch, view.clock)
    assert weights_of(turned, floor=floor, cap=cap, more=more) == pytest.approx(found, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 7), st.data())
def test_bounded_against_bisection(count, data):
    weights = np.array(data.draw(st.lists(st.floats(1e-9, 1), min_size=count, max_size=count)))
    weights /= weights.sum()
    low = np.array([data.draw(st.floats(0, 1 / count)) for _ in range(count)])
    high = np.array([data.draw(st.floats(1 / count, 1)) for _ in range(count)])
    found = bounded(*(torch.tensor(x, dtype=torch.float64) for x in (weights, low, high))).numpy()
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found >= low - 1e-15).all()
    assert (found <= high + 1e-15).all()
    np.testing.assert_allclose(found, clipped(weights, low, high), atol=1e-8)
    if (low <= weights).all() and (weights <= high).all():
        np.testing.assert_allclose(found, weights, atol=1e-9)


def test_bounds_that_leave_one_mix_give_it():
    low = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    weights = torch.tensor([0.9, 0.05, 0.05], dtype=torch.float64)
    torch.testing.assert_close(bounded(weights, low, torch.ones(3, dtype=torch.float64)), low)
    torch.testing.assert_close(bounded(weights, torch.zeros_like(low), low), low)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"floor": -0.1}, r"floor: -0\.1 must be in \[0, 1\]"),
        ({"cap": {"pi": 1.2}}, r"cap: 1\.2 must be in \[0, 1\]"),
        ({"floor": 0.6, "cap": 0.5}, r"leave no mix of pi, sig \(allowed: floor <= cap, "),
        ({"floor": 0.6}, "floors that sum to at most 1"),
        ({"floor": 0.1, "cap": 0.4}, "caps that sum to at least 1"),
        ({"floor": {"pie": 0.1}}, "floor: unknown teacher 'pie'; did you mean 'pi'"),
        ({"tap": "scores"}, r"no feature 'scores' \(there are: slot_scores\)"),
    ],
)
def test_mistakes_are_refused(arguments, sentence):
    with pytest.raises((ValueError, UserError), match=sentence):
        weights_of(view_at(pi=0.2, sig=0.1), **arguments)


def test_bounds_of_one_teacher_are_the_published_rule_and_a_number_bounds_both():
    view = view_at(pi=1.0, sig=99.0)  # 0.99 before the bounds
    published = weights_of(view, floor={"pi": 0.2}, cap={"pi": 0.9})
    assert published == pytest.approx(
        {"pi": 0.9, "sig": 0.1}
    )  # max(0.2, min(0.9, 0.99)), and the rest
    assert weights_of(view, floor=0.2, cap=0.9) == pytest.approx({"pi": 0.8, "sig": 0.2})
    other = view_at(pi=99.0, sig=1.0)
    assert weights_of(other, floor={"pi": 0.2}, cap={"pi": 0.9}) == pytest.approx(
        {"pi": 0.2, "sig": 0.8}
    )
    assert weights_of(other, floor=0.2, cap=0.9) == pytest.approx({"pi": 0.2, "sig": 0.8})
