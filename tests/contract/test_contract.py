"""What every exported objective, term and weighting owes, generated over ``__all__``.

A new method adds itself to ``EXAMPLES`` (how to build it); everything below then holds for it, or fails.
"""

import inspect
import pickle
from dataclasses import replace

import pytest
import torch

from tests.doubles.workspace import Tiny
from tutelage import objectives, terms, weighting
from tutelage.models import LatentWorkspace
from tutelage.objectives import Distiller, Objective, PerTeacher, Weighted
from tutelage.recipe.instantiate import build
from tutelage.terms import Term
from tutelage.types import Batch, Clock, Facts, Output, Survey, View
from tutelage.weighting import Weighting

MIX = {"sig": 0.2, "pi": 0.3, "gaf": 0.5}
EXAMPLES = {
    "Labels": {},
    "PerTeacher": {"term": "SoftTargets"},
    "MergedSimilarity": {"weights": MIX},
    "SoftTargets": {},
    "Standardised": {"term": "SoftTargets"},
    "SimilarityMap": {"taps": ["stage1", "stage3"]},
    "Uniform": {},
    "Fixed": {"weights": MIX},
    "AngularMargin": {"taps": ["stage1", "stage2"], "local_weight": 0.2},
    "AttentionFeature": {"width": 8},
    "AttentionMap": {},
    "ChannelAttention": {},
    "Hint": {},
    "AccuracyGap": {},
    "Confidence": {},
    "Entropy": {},
    "GradientSpace": {},
    "ConfidentFeatures": {},
    "PolicyWeighted": {"width": 8},
    "OrthogonalFeatures": {"weights": MIX, "patches": 2},
    "ClassRelations": {},
    "ContrastiveRepresentation": {"width": 8},
    "DecoupledTargets": {},
    "DiscriminativeConsistent": {"width": 8},
    "FeatureDistance": {"student_tap": "common", "teacher_tap": "common"},
    "FeatureStatistics": {"student_tap": "common", "teacher_tap": "common"},
    "ProjectorDistance": {},
    "PseudoLabels": {},
    "CurriculumLabels": {
        "classes": {"sig": ["a", "b"], "pi": ["c", "d", "e"]},
        "floors": {"sig": "many", "pi": 0.5},
    },
    "Experts": {"classes": {"sig": ["a", "b"], "pi": ["c", "d"], "gaf": ["e", "a"]}},
    "MetaFeatures": {},
    "MetaLogits": {},
    "ConceptExplanation": {},
    "ConceptSparsity": {},
    "MarginLabels": {},
    "SelfRegulation": {},
    "Closeness": {"tap": "common"},
    "KnowledgeBinding": {
        "objectives": {
            "labels": {"type": "Labels"},
            "soft": {"type": "PerTeacher", "term": "SoftTargets", "weighting": "Closeness"},
        }
    },
}
# Adapters that are learned, a contrast between samples, or hard answers: equal networks do not give zero.
LEARNED: set[str] = {
    "AttentionFeature",
    "Hint",
    "ConfidentFeatures",
    "PolicyWeighted",
    "ContrastiveRepresentation",
    "DiscriminativeConsistent",
    "ProjectorDistance",
    "PseudoLabels",
    "KnowledgeBinding",
}
# Asked of the student alone: what a teacher says does not count.
WITHOUT_TEACHERS = {
    "Labels",
    "CurriculumLabels",
    "ConceptExplanation",
    "ConceptSparsity",
    "MarginLabels",
    "SelfRegulation",
}
# Results that depend on the order inside the batch, as their method says.
IN_ORDER: set[str] = {"OrthogonalFeatures"}
SLOTS = {
    "tutelage.objectives": (objectives, Objective),
    "tutelage.terms": (terms, Term),
    "tutelage.weighting": (weighting, Weighting),
}


def exported(slot):
    module, base = SLOTS[slot]
    for name in module.__all__:
        cls = getattr(module, name)
        if inspect.isclass(cls) and issubclass(cls, base) and not inspect.isabstract(cls):
            yield name


ALL = [(slot, name) for slot in SLOTS for name in exported(slot)]
LOSSES = [(slot, name) for slot, name in ALL if slot != "tutelage.weighting"]
WEIGHTINGS = [name for slot, name in ALL if slot == "tutelage.weighting"]


def make(slot, name):
    return build(slot, {"type": name, **EXAMPLES[name]}, "here", base=SLOTS[slot][1])


def as_objective(slot, name):
    made = make(slot, name)
    return PerTeacher(made) if slot == "tutelage.terms" else made


def output(random, batch, classes, channels, scale=1.0, dimensions=1):
    features = {
        f"stage{i}": torch.randn(batch, channels * i, *(16 // 2**i,) * dimensions, generator=random)
        for i in (1, 2, 3)
    }
    features["embedding"] = torch.randn(batch, channels, generator=random)
    features["common"] = features["stage1"][:, :2].clone()  # as wide in every network
    for name, places in (("global", ()), ("spatial", (3,))):
        scores = torch.randn(batch, *places, 4, generator=torch.Generator().manual_seed(channels))
        features[f"{name}_attention"] = torch.softmax(scores, dim=-1)
    apart = torch.Generator().manual_seed(classes)
    features["cosine"] = torch.randn(batch, classes, generator=apart).tanh()
    features["length"] = torch.full((batch, 1), 30.0)
    features |= prompted(batch, classes, torch.Generator().manual_seed(channels))
    return Output(torch.randn(batch, classes, generator=random) * scale, features)


def prompted(batch, classes, random, channels=4):
    """What a network with prompts says with them and without."""
    found = {}
    for name, shape in (("image", (batch,)), ("text", (batch, classes))):
        for kind in (name, f"{name}_frozen"):
            found[kind] = torch.randn(*shape, channels, generator=random)
    return found | {"logits_frozen": torch.randn(batch, classes, generator=random)}


def view(seed=0, batch=6, classes=5, scale=1.0):
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (batch,), generator=random)
    # Teachers on signals (1-D) and on images (2-D), of other widths than the student.
    teachers = {
        name: output(random, batch, classes, channels, scale, dimensions)
        for name, (channels, dimensions) in zip(MIX, ((4, 1), (3, 2), (5, 2)), strict=True)
    }
    student = output(random, batch, classes, 2, scale)
    seen = Batch({}, labels, torch.arange(batch), annotated(labels))
    return View(student, teachers, seen, Clock())


def annotated(labels):
    """Concepts of whole samples, one not annotated, and of three places, of which the second never is."""
    whole = torch.nn.functional.one_hot(labels % 4, 4).float()
    whole[1] = torch.nan
    places = whole[:, None] + torch.tensor([0.0, torch.nan, 1.0])[:, None]
    return {"global": whole, "spatial": places}


def leafs(out):
    """The same output as leaf tensors that collect gradients."""
    return Output(
        out.logits.detach().requires_grad_(),
        {k: v.detach().requires_grad_() for k, v in out.features.items()},
    )


def tensors(out):
    return [out.logits, *out.features.values()]


def permuted(v, p):
    def pick(out):
        return Output(out.logits[p], {k: f[p] for k, f in out.features.items()})

    return View(
        pick(v.student),
        {k: pick(t) for k, t in v.teachers.items()},
        Batch(
            {}, v.batch.labels[p], v.batch.index[p], {k: h[p] for k, h in v.batch.concepts.items()}
        ),
        v.clock,
    )


class Head(torch.nn.Module):
    """The head of a network: pools its last stage and scores the classes."""

    last = "stage3"

    def __init__(self, channels, classes):
        super().__init__()
        self.linear = torch.nn.Linear(channels, classes)
        self.requires_grad_(False).eval()

    def decode(self, feature):
        embedding = feature.flatten(2).mean(dim=2)
        return self.linear(embedding), embedding


def facts(v):
    """All that an objective may learn before training, for a data set that is this one batch."""
    torch.manual_seed(0)
    heads = {
        name: Head(teacher.features["stage3"].shape[1], 5) for name, teacher in v.teachers.items()
    }

    def survey(teacher, split):
        return Survey(v.batch.index, v.batch.labels, v.teachers[teacher].logits.detach())

    counts = torch.bincount(v.batch.labels, minlength=5)
    names = ("a", "b", "c", "d", "e")
    size = len(v.batch.labels)
    # A student that has slots, with the stages of the view's student.
    student = LatentWorkspace((2, 8), network=Tiny(2, 5, widths=(2, 4, 6)), slots=3, heads=2)
    return Facts(v, counts, names, v.batch.labels, size, heads, survey, student.eval())


def prepared(slot, name, v):
    objective = as_objective(slot, name)
    objective.prepare(facts(v))
    return objective.eval()


def test_every_export_has_an_example():
    assert {name for _, name in ALL} == EXAMPLES.keys()


@pytest.mark.parametrize(("slot", "name"), ALL)
def test_docstring_gives_source_and_shapes(slot, name):
    text = inspect.getdoc(getattr(SLOTS[slot][0], name))
    assert "Source:" in text or name == "PerTeacher"
    assert "Shapes:" in text
    if "__init__" in vars(getattr(SLOTS[slot][0], name)):
        assert "Args:" in text


@pytest.mark.parametrize(("slot", "name"), ALL)
def test_pickles(slot, name):
    made = make(slot, name)
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is type(made)
    assert again.state_dict().keys() == made.state_dict().keys()


@pytest.mark.parametrize(("slot", "name"), LOSSES)
def test_one_number_per_sample_and_gradients_only_for_the_student(slot, name):
    v = view()
    v = replace(v, student=leafs(v.student), teachers={k: leafs(t) for k, t in v.teachers.items()})
    found = prepared(slot, name, v)(v)
    assert found.shape == (6,)
    assert found.dtype == torch.float32
    found.sum().backward()
    assert any(t.grad is not None and bool(t.grad.any()) for t in tensors(v.student))
    for teacher in v.teachers.values():
        assert all(t.grad is None or not t.grad.any() for t in tensors(teacher))


@pytest.mark.parametrize(("slot", "name"), LOSSES)
def test_alone_in_a_distiller_it_reaches_the_student(slot, name):
    v = view()
    v = replace(v, student=leafs(v.student))
    distiller = Distiller({"it": Weighted(as_objective(slot, name), 2.0)})
    distiller.prepare(facts(v))
    losses = distiller(v)
    torch.testing.assert_close(losses.total, 2.0 * losses.parts["it"])
    losses.total.mean().backward()
    assert any(t.grad is not None and bool(t.grad.any()) for t in tensors(v.student))


@pytest.mark.parametrize(("slot", "name"), LOSSES)
def test_finite_at_extreme_logits_and_in_bf16(slot, name):
    v = view(scale=1e4)
    v = replace(v, student=leafs(v.student))
    objective = prepared(slot, name, v)
    found = objective(v)
    found.sum().backward()
    assert found.isfinite().all()
    assert all(t.grad is None or bool(t.grad.isfinite().all()) for t in tensors(v.student))

    def lower(out):
        return Output(out.logits.bfloat16(), {k: f.bfloat16() for k, f in out.features.items()})

    v = view()
    half = replace(
        v, student=lower(v.student), teachers={k: lower(t) for k, t in v.teachers.items()}
    )
    objective = prepared(slot, name, v)  # anew: some ask the teachers before they begin
    with torch.autocast("cpu", torch.bfloat16):
        found = objective(half)
    assert found.isfinite().all()
    torch.testing.assert_close(found, objective(v), rtol=0.15, atol=0.15)


@pytest.mark.parametrize(("slot", "name"), LOSSES)
def test_permuting_the_batch_permutes_the_losses(slot, name):
    if name in IN_ORDER:
        pytest.skip("depends on the order inside the batch, as its docstring says")
    v = view()
    p = torch.tensor([3, 0, 5, 1, 4, 2])
    objective = prepared(slot, name, v)
    torch.testing.assert_close(objective(permuted(v, p)), objective(v)[p], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("slot", "name"), LOSSES)
def test_permuting_the_teachers_changes_nothing(slot, name):
    v = view()
    objective = prepared(slot, name, v)
    swapped = replace(v, teachers=dict(reversed(v.teachers.items())))
    torch.testing.assert_close(objective(swapped), objective(v), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("slot", "name"), LOSSES)
def test_identical_networks_have_nothing_to_teach(slot, name):
    if name in WITHOUT_TEACHERS or name in LEARNED:
        pytest.skip("nothing of a teacher in it, or an adapter that does not begin as the identity")
    v = view()
    v = replace(v, student=v.teachers["pi"], teachers=dict.fromkeys(MIX, v.teachers["pi"]))
    assert prepared(slot, name, v)(v).abs().max() < 1e-5


def weighting_of(name, v, **arguments):
    made = build("tutelage.weighting", {"type": name, **(arguments or EXAMPLES[name])}, "here")
    made.prepare(facts(v))
    return made.eval()


def soft_losses(v):
    term = terms.SoftTargets(4.0)
    return torch.stack([term(v.student, teacher, v) for teacher in v.teachers.values()])


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_are_a_mix_and_follow_their_teachers(name):
    v = view()
    v = replace(v, student=leafs(v.student))
    made = weighting_of(name, v)
    weights = made(soft_losses(v), v).expand(3, 6)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(6))
    swapped = replace(v, teachers=dict(reversed(v.teachers.items())))
    found = made(soft_losses(swapped), swapped).expand(3, 6)
    torch.testing.assert_close(found, weights.flip(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_one_teacher_is_plain_distillation(name):
    v = view()
    v = replace(v, student=leafs(v.student), teachers={"pi": v.teachers["pi"]})
    made = weighting_of(name, v, **({"weights": {"pi": 1.0}} if name == "Fixed" else {}))
    term = terms.SoftTargets(4.0)
    alone = term(v.student, v.teachers["pi"], v)
    torch.testing.assert_close(PerTeacher(term, made)(v), alone)
