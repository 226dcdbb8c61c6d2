"""The two losses of CCT, and a CCT student under every other objective."""

import math
from dataclasses import replace

import pytest
import torch

from tests.contract.test_contract import EXAMPLES, SLOTS, facts, leafs
from tests.doubles.waves import wave
from tutelage import losses
from tutelage.losses.concepts import on_grid
from tutelage.models import ConceptTransformer, Network, WideResNet
from tutelage.objectives import ConceptExplanation, ConceptSparsity, PerTeacher
from tutelage.recipe.instantiate import build
from tutelage.types import Batch, Clock, Facts, Output, View

# jyhong0304/concept_centric_transformers@90a2875, ctc/loss.py, on the same tensors in float64.
ATTENTION = torch.softmax(2 * wave(3, 4, 5, step=0.7, phase=30), -1)
PRESENT = (wave(3, 4, 5, step=0.7, phase=31) > 0).double()
PRESENT[0, 1] = PRESENT[2] = torch.nan
PRESENT[1, 0, 2] = torch.nan
WHOLE = torch.softmax(2 * wave(3, 5, step=0.7, phase=32), -1)
CLASSES = torch.eye(5, dtype=torch.float64)[[1, 4, 0]]
CLASSES[1] = torch.nan


def test_values_are_the_authors():
    spatial = losses.concept_distance(ATTENTION, PRESENT)
    # Theirs rounds what is wanted to float32.
    assert float(spatial.mean()) == pytest.approx(0.33837199142944174, abs=1e-9)
    whole = losses.concept_distance(WHOLE, CLASSES)
    assert float(whole.mean()) == pytest.approx(0.5305858118729093, abs=1e-15)
    entropy = losses.attention_entropy(WHOLE) + losses.attention_entropy(ATTENTION)
    assert float(entropy.mean()) == pytest.approx(0.46617515269276877, abs=1e-15)


def rows(attention, present):
    """Squared distance of each annotated row, sample by sample, in loops."""
    found = []
    for a, h in zip(attention.tolist(), present.tolist(), strict=True):
        own = []
        for place, marks in zip(a, h, strict=True):
            total = sum(marks)
            if total > 0:
                own.append(sum((x - y / total) ** 2 for x, y in zip(place, marks, strict=True)))
        found.append(own)
    return found


def test_distance_is_that_of_a_loop_in_both_reductions():
    expected = rows(ATTENTION, PRESENT)
    count = sum(map(len, expected))
    row = losses.concept_distance(ATTENTION, PRESENT)
    assert row.tolist() == pytest.approx([3 / count * sum(own) for own in expected])
    assert float(row.mean()) == pytest.approx(sum(map(sum, expected)) / count)
    norm = losses.concept_distance(ATTENTION, PRESENT, reduction="frobenius")
    assert norm.tolist() == pytest.approx([sum(own) for own in expected])


def test_distance_is_zero_at_the_annotation_alone():
    wanted = PRESENT / PRESENT.sum(-1, keepdim=True)
    same = torch.where(wanted.isnan(), ATTENTION, wanted)
    for reduction in ("row", "frobenius"):
        found = losses.concept_distance(same, PRESENT, reduction=reduction)
        assert float(found.abs().max()) < 1e-30
        other = torch.where(PRESENT.isnan(), same, same.roll(1, -1))
        assert losses.concept_distance(other, PRESENT, reduction=reduction)[0] > 0.01
        # Twice as much of everything is the same distribution.
        double = losses.concept_distance(ATTENTION, 2 * PRESENT, reduction=reduction)
        single = losses.concept_distance(ATTENTION, PRESENT, reduction=reduction)
        torch.testing.assert_close(double, single)


@pytest.mark.parametrize("reduction", ["row", "frobenius"])
def test_rows_without_annotation_change_neither_value_nor_gradient(reduction):
    attention = ATTENTION.clone().requires_grad_()
    value = losses.concept_distance(attention, PRESENT, reduction=reduction)
    (gradient,) = torch.autograd.grad(value.sum(), attention)
    ignored = ~(PRESENT.sum(-1) > 0)
    assert gradient.isfinite().all()
    assert not gradient[ignored].any()
    assert gradient[~ignored].any()
    changed = torch.where(ignored[..., None], 0.2, ATTENTION)
    again = losses.concept_distance(changed, PRESENT, reduction=reduction)
    assert torch.equal(again, value)
    empty = PRESENT.clone()
    empty[ignored] = 0  # annotated with no concept at all: as little to ask for
    assert torch.equal(losses.concept_distance(ATTENTION, empty, reduction=reduction), value)


def test_nothing_annotated_is_zero_with_a_graph():
    attention = ATTENTION.clone().requires_grad_()
    found = losses.concept_distance(attention, torch.full_like(ATTENTION, torch.nan))
    found.sum().backward()
    assert not found.any()
    assert attention.grad is not None
    assert not attention.grad.any()


def test_gradients_are_those_of_finite_differences():
    for reduction in ("row", "frobenius"):
        torch.autograd.gradcheck(
            lambda a, r=reduction: losses.concept_distance(a, PRESENT, reduction=r),
            ATTENTION.clone().requires_grad_(),
        )
    for reduction in ("mean", "row"):
        torch.autograd.gradcheck(
            lambda a, r=reduction: losses.attention_entropy(a, reduction=r),
            ATTENTION.clone().requires_grad_(),
        )


def test_entropy_is_zero_where_decided_and_largest_where_not():
    decided = torch.eye(5)[[0, 3, 3, 1]].view(2, 2, 5)
    uniform = torch.full((2, 2, 5), 0.2)
    for reduction, most in (("mean", math.log(5) / 5), ("row", math.log(5))):
        none = losses.attention_entropy(decided, reduction=reduction)
        assert float(none.abs().max()) < 1e-6
        all_ = losses.attention_entropy(uniform, reduction=reduction)
        torch.testing.assert_close(all_, torch.full((2,), most))
        between = losses.attention_entropy(ATTENTION, reduction=reduction)
        assert bool(((between > 0) & (between < most)).all())
    grad = decided.clone().requires_grad_()
    losses.attention_entropy(grad).sum().backward()
    assert grad.grad.isfinite().all()


def test_annotations_on_another_grid():
    marks = torch.full((1, 4, 4, 2), torch.nan)
    marks[0, 0, 1] = torch.tensor([1.0, 0.0])
    marks[0, 1, 0] = torch.tensor([0.0, 1.0])
    coarse = on_grid(marks, (2, 2))
    assert coarse[0, 0, 0].tolist() == [1, 1]
    assert coarse.isnan().sum() == 6
    fine = on_grid(coarse, (4, 4))
    assert fine.shape == marks.shape
    assert fine[0, :2, :2].tolist() == [[[1, 1]] * 2] * 2
    assert torch.equal(on_grid(marks, (4, 4)).isnan(), marks.isnan())
    assert on_grid(marks[:, 0], [2]).shape == (1, 2, 2)
    assert on_grid(marks[:, 0, 0], []).shape == (1, 2)
    for space in ((3, 4), (4,), (8, 6)):
        with pytest.raises(ValueError, match="annotated at 4 x 4 places, attended to at"):
            on_grid(marks, space)


def shown(concepts, names=None, student=None, **features):
    """What an objective may learn before training, for a student with these attentions."""
    count = len(next(iter(features.values())))
    labels = torch.zeros(count, dtype=torch.long)
    batch = Batch({}, labels, torch.arange(count), concepts)
    view = View(Output(torch.zeros(count, 2), features), {}, batch, Clock())
    names = names or {k: tuple("abcdefgh"[: v.shape[-1]]) for k, v in concepts.items()}
    return Facts(view, torch.tensor([count, 0]), student=student, concept_names=names)


BOTH = {"global_attention": WHOLE, "spatial_attention": ATTENTION}
MARKS = {"global": CLASSES, "spatial": PRESENT}


def test_streams_are_added_up():
    known = shown(MARKS, **BOTH)
    objective = ConceptExplanation()
    objective.prepare(known)
    expected = losses.concept_distance(WHOLE, CLASSES) + losses.concept_distance(ATTENTION, PRESENT)
    torch.testing.assert_close(objective(known.view), expected)
    one = ConceptExplanation("frobenius", ["spatial"])
    one.prepare(known)
    alone = losses.concept_distance(ATTENTION, PRESENT, reduction="frobenius")
    torch.testing.assert_close(one(known.view), alone)
    sparse = ConceptSparsity("row")
    sparse.prepare(known)
    entropy = losses.attention_entropy(WHOLE, reduction="row")
    entropy = entropy + losses.attention_entropy(ATTENTION, reduction="row")
    torch.testing.assert_close(sparse(known.view), entropy)


def test_only_what_is_annotated_and_attended_to_is_compared():
    known = shown({"spatial": PRESENT}, **BOTH)
    objective = ConceptExplanation()
    objective.prepare(known)
    assert objective.streams == ("spatial",)
    expected = losses.concept_distance(ATTENTION, PRESENT)
    torch.testing.assert_close(objective(known.view), expected)


class Named(Network):
    def __init__(self):
        super().__init__()
        self.concept_names = {"global": ("b", "a", "c", "d", "e")}

    def forward(self, x):
        raise NotImplementedError


REFUSED = {
    "nothing annotated": (
        ConceptExplanation(),
        shown({}, {"none": ()}, **BOTH),
        "the data set annotates no concepts",
    ),
    "nothing attended to": (
        ConceptExplanation(),
        shown(MARKS, stage1=WHOLE),
        "stream 'global' is annotated: yes, attended to: no; allowed: a stream that is both",
    ),
    "not this stream": (
        ConceptExplanation(streams=["global"]),
        shown({"spatial": PRESENT}, **BOTH),
        "stream 'global' is annotated: no, attended to: yes",
    ),
    "another number": (
        ConceptExplanation(),
        shown({"global": CLASSES[:, :3]}, **BOTH),
        "the student attends to 5 concepts, the data set annotates 3",
    ),
    "other concepts": (
        ConceptExplanation(),
        shown({"global": CLASSES}, student=Named(), **BOTH),
        r"other concepts than are annotated \('b' in place of 'a'\); leave out global_concepts",
    ),
    "another grid": (
        ConceptExplanation(),
        shown({"spatial": PRESENT[:, :3]}, **BOTH),
        "annotated at 3 places, attended to at 4",
    ),
    "no attention": (
        ConceptSparsity(),
        shown({}, {"none": ()}, stage1=WHOLE),
        "the student has no feature 'global_attention'",
    ),
    "not this attention": (
        ConceptSparsity(streams=["spatial"]),
        shown({}, {"none": ()}, global_attention=WHOLE),
        "the student has no feature 'spatial_attention'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_one_sentence(case):
    objective, known, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=sentence) as caught:
        objective.prepare(known)
    assert "\n" not in str(caught.value)


def test_mixed_inputs_are_refused():
    known = shown(MARKS, **BOTH)
    objective = ConceptExplanation()
    objective.prepare(known)
    mixed = replace(known.view.batch, partner=known.view.batch.labels, share=torch.ones(3))
    with pytest.raises(ValueError, match="inputs are mixed, so annotated concepts do not hold"):
        objective(replace(known.view, batch=mixed))


# What a real network gives where the generated outputs of the contract suite have a tap of their own.
OF_NETWORKS = {
    "FeatureDistance": {"student_tap": "embedding", "teacher_tap": "embedding"},
    "Closeness": {"tap": "embedding"},
}
# They ask for a network with a workspace, and for a prompted dual encoder.
OF_ONE_NETWORK = {"FeatureStatistics", "KnowledgeBinding", "MarginLabels", "SelfRegulation"}
UNDER = [
    (slot, name)
    for slot, (module, _) in SLOTS.items()
    for name in module.__all__
    if name in EXAMPLES and name not in OF_ONE_NETWORK
]


CONCEPTS = {"global": ("a", "b", "c"), "spatial": ("left", "right")}


def situation(dimensions, wide=2):
    """A CCT student beside three plain teachers, on signals or on images."""
    torch.manual_seed(0)
    shape, places = ((2, 16), (4,)) if dimensions == 1 else ((2, 8, 8), (2, 2))
    network = WideResNet(2, 5, depth=10, dimensions=dimensions)
    student = ConceptTransformer(shape, 5, CONCEPTS, network=network)
    concepts = {"global": torch.eye(3)[[0, 1, 2, 0, 1, 2]], "spatial": torch.rand(6, *places, 2)}
    batch = Batch({}, torch.tensor([0, 1, 2, 3, 4, 0]), torch.arange(6), concepts)
    x = torch.randn(6, *shape)
    teachers = {}
    for name, kind, width in (("sig", dimensions, 1), ("pi", 2, wide), ("gaf", 2, 1)):
        made = WideResNet(2, 5, depth=10, width=width, dimensions=kind).eval()
        with torch.no_grad():
            teachers[name] = made(x if kind == dimensions else torch.randn(6, 2, 8, 8))
    return student, View(student(x), teachers, batch, Clock())


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("slot", "name"), UNDER)
def test_a_student_of_concepts_under_every_objective(slot, name, dimensions):
    student, view = situation(dimensions, wide=1 if name in OF_NETWORKS else 2)
    described = {"type": name, **EXAMPLES[name], **OF_NETWORKS.get(name, {})}
    made = build(slot, described, "here", base=SLOTS[slot][1])
    if slot == "tutelage.terms":
        made = PerTeacher(made)
    elif slot == "tutelage.weighting":
        made = PerTeacher(build("tutelage.terms", "SoftTargets", "here"), made)
    if name in ("GradientSpace", "MetaFeatures", "MetaLogits", "PolicyWeighted"):
        view = replace(view, student=leafs(view.student))  # what their steps hand to them
        watched = [*view.student.features.values(), view.student.logits]
    else:
        watched = list(student.parameters())
    made.prepare(replace(facts(view), student=student, concept_names=CONCEPTS))
    found = made(view)
    assert found.shape == (6,)
    assert found.isfinite().all()
    found.mean().backward()
    assert any(t.grad is not None and bool(t.grad.any()) for t in watched)


def test_a_teacher_of_concepts_teaches_its_attention():
    (teacher, view), (student, _) = situation(1), situation(1)
    for parameter in student.streams.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(6, 2, 16)
    with torch.no_grad():
        said = teacher.eval()(x)
    view = replace(view, student=student(x), teachers={"cct": said})
    for tap in ("global_attention", "spatial_attention"):
        term = build(
            "tutelage.terms",
            {"type": "FeatureDistance", "student_tap": tap, "teacher_tap": tap},
            "here",
        )
        made = PerTeacher(term)
        made.prepare(facts(view))
        found = made(view)
        expected = (view.student.features[tap] - said.features[tap]).square().flatten(1).mean(1)
        torch.testing.assert_close(found, expected)
        student.zero_grad()
        found.mean().backward(retain_graph=True)
        assert any(p.grad is not None and bool(p.grad.any()) for p in student.parameters())
