"""mGLW-KD: one whole forward pass against the description in NumPy, gradients against autograd, invariants."""

import copy
import functools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from tests.doubles.workspace import (
    CLASSES,
    Case,
    Tiny,
    described,
    facts_of,
    made,
    network_of,
    prepared,
    scrambled,
    slowly,
    view_of,
)
from tutelage.models import LatentWorkspace, On
from tutelage.objectives import Distiller, Labels, Objective, Weighted
from tutelage.objectives._slots import head_norms, swapped_statistics
from tutelage.objectives.knowledge_binding import SCORES, KnowledgeBinding
from tutelage.recipe.instantiate import build
from tutelage.recipe.keys import Train
from tutelage.steps import GradientStep
from tutelage.training.settings import make_fabric
from tutelage.types import Clock, Needs, Output, View

PAIR = {"pi": (7, 3, 4), "sig": (8, 5)}
THREE = {"sig": (8, 5), "pi": (7, 3, 4), "gaf": (9, 2, 3)}
# The student's last stage is [6, 4]: six tokens of four numbers, or four of six.
CASES = {
    "one signal": Case({"sig": (8, 5)}),
    "one image": Case({"pi": (7, 3, 4)}, floor=0.4),
    "the paper's two": Case(PAIR),
    "two, farther, bounds by name, shares": Case(
        PAIR, {"pi": 0.3, "sig": 0.7}, more="farther", floor={"pi": 0.1}, cap={"sig": 0.45}
    ),
    "two, floor at work": Case(PAIR, floor=0.45),
    "as many tokens, no mixing": Case({"pi": (6, 2, 3), "sig": (6, 4)}),
    "three": Case(THREE),
    "three, tight bounds, other shares": Case(
        {"sig": (8, 5), "pi": (6, 3, 4), "gaf": (9, 2, 3)},
        {"sig": 0.5, "pi": 0.2, "gaf": 0.3},
        floor=0.3,
        cap=0.36,
    ),
    "positions": Case(PAIR, tokens="positions"),
    "positions, as many": Case({"pi": (7, 2, 2), "sig": (9, 4)}, tokens="positions", heads=3),
    "larger student": Case(PAIR, count=4, size=2),
    "larger student, positions": Case(THREE, tokens="positions", count=3, size=4),
    "fewer tokens only": Case(PAIR, count=3),
    "smaller tokens only": Case(PAIR, size=2),
    "image student": Case(PAIR, shape=(2, 8, 6)),
    "one iteration": Case(PAIR, iterations=1),
    "one slot": Case(PAIR, slots=1),
    "one head": Case(PAIR, heads=1, slots=5, iterations=5),
}


@pytest.mark.parametrize("name", CASES)
def test_one_forward_pass_from_the_description(name):
    case = CASES[name]
    network, objective, view = made(case)
    truth = slowly(case, network, objective, view)
    judged = objective.judge(view)
    found = judged.loss
    assert found.dtype == torch.float64
    assert found.shape == (case.samples,)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10)
    with torch.no_grad():
        seen, slots, kis = objective.see(view)
        own = view.student.features["stage3"]
        enriched, kts = network.transfer(own, slots)
    same(slots, truth["slots"])
    for teacher in case.teachers:
        same(kis[teacher], truth["kis"][teacher])
        same(seen.teachers[teacher].features[SCORES], truth["kis"][teacher].transpose(0, 2, 1))
    same(kts, truth["kts"])
    same(seen.student.features[SCORES], truth["kts"])
    same(enriched, truth["enriched"])
    same(seen.student.logits, truth["logits"])
    traces = {key: value.double().mean().item() for key, value in judged.traces.items()}
    for teacher, distance in truth["distances"].items():
        same(traces[f"distance.{teacher}"], distance)
        same(traces[f"soft.weight.{teacher}"], truth["weights"][teacher])
        for slot in range(case.slots):
            same(traces[f"bound.{teacher}.{slot + 1}"], truth["kis"][teacher][:, slot].mean())
    for slot in range(case.slots):
        same(traces[f"read.{slot + 1}"], truth["kts"][:, :, slot].mean())
    for part, value in truth["parts"].items():
        same(traces[part], value)
    hits = truth["logits"].argmax(axis=1) == view.batch.labels.numpy()
    assert traces["correct"] == pytest.approx(hits.mean())
    same(found.mean().item(), truth["total"])


def test_the_comparison_covers_what_it_claims():
    """Tokens are mixed or not, bounds are reached or not, as the names of the cases say."""
    for name, case in CASES.items():
        network, objective, view = made(case)
        mixed = {key: source.fewer is not None for key, source in objective.sources.items()}
        assert any(mixed.values()) == ("as many" not in name), name
        assert (network.fewer is not None) == ("larger" in name or "fewer" in name), name
    _, objective, view = made(CASES["two, floor at work"])
    traces = objective.judge(view).traces
    assert {round(traces[f"soft.weight.{n}"][0].item(), 9) for n in PAIR} == {
        0.45,
        0.55,
    }


@pytest.mark.parametrize("name", CASES)
def test_scores_sum_to_one_and_have_their_shapes(name):
    case = CASES[name]
    network, objective, view = made(case)
    truth = slowly(case, network, objective, view)
    own_tokens = network.own[0]
    for training in (False, True):
        network.train(training)
        objective.train(training)
        seen, slots, kis = objective.see(view)
        kts = seen.student.features[SCORES]
        assert slots.shape == (case.samples, case.slots, network.size)
        assert kts.shape == (case.samples, network.count, case.slots)
        torch.testing.assert_close(kts.sum(dim=2), torch.ones_like(kts[:, :, 0]))
        for scores in kis.values():
            assert scores.shape == (case.samples, case.slots, network.count)
            torch.testing.assert_close(scores.sum(dim=1), torch.ones_like(scores[:, 0]))
        assert seen.student.logits.shape == (case.samples, CLASSES)
    # What the slots take is a mean over tokens: shown of the slow version, whose slots are the same.
    for rows in truth["rows"].values():
        np.testing.assert_allclose(rows.sum(axis=2), 1, atol=1e-6)
    deployed = view.student.features[SCORES]
    assert deployed.shape == (case.samples, network.count, case.slots)
    assert own_tokens == (
        6 if case.tokens == "channels" else math.prod(view.student.features["stage3"].shape[2:])
    )


def test_scores_behind_dropout_are_the_authors():
    case = CASES["the paper's two"]
    torch.manual_seed(0)
    network = scrambled(network_of(case, dropout=0.5, returned="after_dropout"), 3)
    objective = prepared(case, network)
    view = view_of(case, network)
    evaluated = objective.see(view)[0].student.features[SCORES]
    torch.testing.assert_close(evaluated.sum(2), torch.ones_like(evaluated[:, :, 0]))
    network.train()
    trained = objective.see(view)[0].student.features[SCORES]
    # Mean over two heads of scores that are dropped or doubled.
    assert (trained.sum(2) - 1).abs().max() > 0.1
    assert (trained == 0).any()
    network.returned = "before_dropout"
    trained = objective.see(view)[0].student.features[SCORES]
    torch.testing.assert_close(trained.sum(2), torch.ones_like(trained[:, :, 0]))


def gradients(total, *modules):
    """Gradient of every parameter by name, None where there is none."""
    named = {
        f"{number}.{name}": p
        for number, m in enumerate(modules)
        for name, p in m.named_parameters()
    }
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True, retain_graph=True)
    return dict(zip(named, found, strict=True))


def explicitly(objective, features, bilevel):
    """Refined slots and KIS by autograd, teacher by teacher; detach and attach again as the paper says."""
    network, heads = objective.network, {}
    for name, x in features.items():
        source = objective.sources[name]
        e = x.flatten(2) + source.position
        if source.fewer is not None:
            e = source.fewer.norm(source.fewer.mix(e.transpose(1, 2)).transpose(1, 2))
        e = source.norm(e)
        heads[name] = source.key(e), source.value(e)
    start = torch.stack([network.slots] * len(x))
    s = start
    for r in range(objective.iterations):
        if bilevel and r == objective.iterations - 1:
            s = s.detach() + start - start.detach()
        kis, mixed = {}, 0
        for name, (k, v) in heads.items():
            logits = torch.einsum("bkd,bld->bkl", objective.query(objective.norm(s)), k)
            kis[name] = torch.softmax(logits / math.sqrt(network.size), dim=1)
            mean = kis[name] / (kis[name].sum(dim=2, keepdim=True) + 1e-8)
            mixed = mixed + torch.einsum("bkl,bld->bkd", mean, v) / len(heads)
        s = objective.update(mixed.flatten(0, 1), s.flatten(0, 1)).view(s.shape)
    return s, kis


@pytest.mark.parametrize("bilevel", [True, False])
@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("teachers", [PAIR, THREE], ids=["two", "three"])
def test_gradients_through_the_slots(bilevel, iterations, teachers):
    case = Case(teachers, iterations=iterations)
    network, objective, view = made(case)
    objective.bilevel = bilevel
    features = {name: t.features["stage3"] for name, t in view.teachers.items()}

    def judged(slots, kis):
        parts = [slots, *kis.values()]
        return sum((torch.sin(torch.arange(p.numel()).view(p.shape)) * p).sum() for p in parts)

    expected = gradients(judged(*explicitly(objective, features, bilevel)), network, objective)
    found = gradients(judged(*objective.bind(features)), network, objective)
    for name, value in expected.items():
        if value is None or not value.any():
            assert found[name] is None or not found[name].any(), name
        else:
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)
    reached = {name for name, value in found.items() if value is not None and value.any()}
    assert {"0.slots", "1.query.weight", "1.norm.weight"} < reached
    assert {f"1.update.{p}_{q}" for p in ("weight", "bias") for q in ("ih", "hh")} < reached
    for name in teachers:
        assert {
            f"1.sources.{name}.{p}" for p in ("position", "key.weight", "value.weight")
        } < reached


def test_bilevel_changes_gradients_and_no_values():
    case = CASES["the paper's two"]
    network, objective, view = made(case)
    values, found = [], []
    for bilevel in (True, False):
        objective.bilevel = bilevel
        total = objective(view)
        values.append(total)
        found.append(gradients(total.mean(), network, objective))
    torch.testing.assert_close(values[0], values[1], rtol=1e-12, atol=0)
    for name in ("0.slots", "1.query.weight", "1.update.weight_hh", "1.sources.sig.value.weight"):
        assert not torch.allclose(found[0][name], found[1][name]), name


def test_everything_learned_gets_a_gradient_and_teachers_none():
    case = CASES["larger student"]
    network, objective, view = made(case)
    teachers = {
        name: Output(
            t.logits.requires_grad_(), {k: f.requires_grad_() for k, f in t.features.items()}
        )
        for name, t in view.teachers.items()
    }
    view = View(view.student, teachers, view.batch, view.clock)
    total = objective(view).mean()
    found = gradients(total, network, objective)
    for name, value in found.items():
        assert value is not None, name
        assert value.any(), name
        assert value.isfinite().all(), name
    leaves = [x for t in teachers.values() for x in (t.logits, *t.features.values())]
    assert torch.autograd.grad(total, leaves, allow_unused=True) == (None,) * len(leaves)


def test_no_gradient_through_the_coefficient():
    case = CASES["the paper's two"]
    network, objective, view = made(case)
    judged = objective.judge(view)
    total = judged.loss
    weights = {n: judged.traces[f"soft.weight.{n}"][0].item() for n in PAIR}
    changed = described(case)
    for item in changed["objectives"].values():
        if "weighting" in item:
            item["weighting"] = {"type": "Fixed", "weights": weights}
    fixed = prepared(case, network, changed)
    fixed.load_state_dict(objective.state_dict())
    view = view_of(case, network)
    total, again = objective(view), fixed(view)
    # Fixed keeps its weights in float32.
    torch.testing.assert_close(again, total, rtol=1e-6, atol=1e-6)
    expected, found = (
        gradients(t.mean(), network, o) for t, o in ((again, fixed), (total, objective))
    )
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_swapping_two_teachers_swaps_everything():
    shares = {"pi": 0.3, "sig": 0.7}
    case = Case(PAIR, shares)
    network, objective, view = made(case)
    judged = objective.judge(view)
    total = judged.loss
    kis = objective.see(view)[2]
    weights = {n: judged.traces[f"soft.weight.{n}"][0].item() for n in PAIR}
    other = {"pi": "sig", "sig": "pi"}
    swapped = Case({n: PAIR[other[n]] for n in PAIR}, {n: shares[other[n]] for n in PAIR})
    second = prepared(swapped, network)
    state = objective.state_dict()
    turned = {}
    for key, value in state.items():
        parts = key.split(".")
        turned[".".join(other.get(part, part) for part in parts)] = value
    second.load_state_dict(turned)
    view = View(view.student, {n: view.teachers[other[n]] for n in PAIR}, view.batch, view.clock)
    torch.testing.assert_close(second(view), total, rtol=1e-10, atol=1e-12)
    found = second.see(view)[2]
    for name in PAIR:
        torch.testing.assert_close(found[name], kis[other[name]], rtol=1e-10, atol=1e-12)
        weight = second.judge(view).traces[f"soft.weight.{name}"][0].item()
        assert weight == pytest.approx(1 - weights[name], abs=1e-12)
        assert weight != pytest.approx(weights[name], abs=1e-3)


@pytest.mark.parametrize("name", ["the paper's two", "three", "positions", "larger student"])
def test_the_order_of_the_slots_does_not_matter(name):
    case = CASES[name]
    network, objective, view = made(case)
    total = objective(view)
    seen, slots, kis = objective.see(view)
    own = view.student.features["stage3"]
    before, _ = network.transfer(own, slots)
    p = torch.tensor([2, 0, 1])
    with torch.no_grad():
        network.slots.copy_(network.slots[p])
    view = view_of(case, network)
    again, moved, turned = objective.see(view)
    same = functools.partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)
    same(moved, slots[:, p])
    same(network.transfer(own, moved)[0], before)
    same(again.student.logits, seen.student.logits)
    same(again.student.features[SCORES], seen.student.features[SCORES][:, :, p])
    for teacher, scores in kis.items():
        same(turned[teacher], scores[:, p])
    same(objective(view), total)


def test_alignment_is_zero_where_scores_agree():
    """One teacher whose tokens are the student's, and slots that stay as they are."""
    case = Case({"sig": (6, 4)}, heads=1, iterations=1)
    network, objective, view = made(case)
    source, eye = objective.sources["sig"], torch.eye(4, dtype=torch.float64)
    with torch.no_grad():
        slots = network.slots - network.slots.mean(1, keepdim=True)
        network.slots.copy_(slots / slots.square().mean(1, keepdim=True).sqrt())
        for layer in (network.query, network.key, objective.query, source.key):
            layer.weight.copy_(eye)
        for norm in (objective.norm, source.norm):
            norm.weight.fill_(1)
            norm.bias.fill_(0)
        objective.norm.eps = 0.0
        objective.update.bias_ih[4:8] = 1e3  # the update gate keeps the slots
        shown = source(view.teachers["sig"].features["stage3"], "channels")
    features = {**view.student.features, "stage3": shown}
    equal = View(Output(view.student.logits, features), view.teachers, view.batch, view.clock)
    alike = objective.judge(equal)
    scores = objective.see(equal)[0].student.features[SCORES]
    assert scores.std() > 0.1
    assert alike.traces["alignment"].abs().max() < 1e-24
    assert objective.judge(view).traces["alignment"].mean() > 1e-3


@pytest.mark.parametrize("reaches", ["both", "student"])
def test_whom_the_regulariser_reaches(reaches):
    case = CASES["the paper's two"]
    network, objective, view = made(case, alignment_reaches=reaches)
    truth = slowly(case, network, objective, view)
    total = objective(view).mean()
    assert total.item() == pytest.approx(truth["total"], rel=1e-9)
    # The gradient is linear in the coefficient: what the regulariser adds is the difference.
    objective.alignment = 0.0
    alone = gradients(objective(view).mean(), network, objective)
    objective.alignment = 1.0
    both = gradients(objective(view).mean(), network, objective)
    for name, value in both.items():
        added = 0 if value is None else (value - alone[name]).abs().max().item()
        if name.startswith("1.") and reaches == "student":
            assert added < 1e-12, name
        elif name in ("0.query.weight", "0.key.weight") or name.startswith("1.sources"):
            assert added > 1e-9, name
    assert (both["0.network.stages.2.0.weight"] - alone["0.network.stages.2.0.weight"]).any()


def test_noise_is_for_training_only():
    case = CASES["the paper's two"]
    network, objective, view = made(case, noise=0.5)
    quiet = made(case)[1]
    features = {name: t.features["stage3"] for name, t in view.teachers.items()}
    assert torch.equal(objective.bind(features)[0], quiet.bind(features)[0])
    objective.train()
    torch.manual_seed(0)
    first, second = objective.bind(features)[0], objective.bind(features)[0]
    assert not torch.equal(first, second)
    # mu + sigma · eps · sg(mu), of each sample
    objective.iterations = quiet.iterations = 1
    torch.manual_seed(1)
    noisy, _ = objective.bind(features)
    torch.manual_seed(1)
    drawn = torch.randn_like(network.slots.expand(case.samples, -1, -1))
    start = network.slots * (1 + 0.5 * drawn)
    slots, total = quiet.network.slots, 0
    for sample in range(case.samples):
        slots.data = start[sample].detach()
        one, _ = quiet.bind({n: f[sample : sample + 1] for n, f in features.items()})
        torch.testing.assert_close(noisy[sample], one[0], rtol=1e-10, atol=1e-12)
        total = total + torch.autograd.grad(one.sum(), slots)[0]
    (found,) = torch.autograd.grad(noisy.sum(), network.slots)
    torch.testing.assert_close(found, total, rtol=1e-10, atol=1e-12)


def test_the_deployed_heads_statistics_stay_its_own():
    case = CASES["the paper's two"]
    network, objective, view = made(case)
    network.train()
    objective.train()
    network.dropout.p = 0.0
    network.network.norm.momentum = 1.0  # running numbers are then those of the last batch

    def same(kept):
        after = network.state_dict()
        return all(torch.equal(after[key], value) for key, value in kept.items())

    kept = copy.deepcopy(network.state_dict())
    _, slots, _ = objective.see(view)
    assert same(kept)
    # This branch's own statistics took the batch in.
    own = view.student.features["stage3"]
    enriched = network.transfer(own, slots)[0].transpose(0, 1).flatten(1)
    (statistics,) = objective.statistics
    torch.testing.assert_close(statistics.running_mean, enriched.mean(1))
    torch.testing.assert_close(statistics.running_var, enriched.var(1))
    assert statistics.num_batches_tracked == 1
    # An error inside leaves the head as it was.
    with (
        pytest.raises(RuntimeError),
        swapped_statistics(head_norms(network), list(objective.statistics)),
    ):
        raise RuntimeError
    assert same(kept)
    # The deployed student's own forward pass moves its own alone.
    branch = copy.deepcopy(statistics.state_dict())
    network(view.batch.inputs["signal"])
    assert not same(kept)
    assert all(torch.equal(statistics.state_dict()[key], value) for key, value in branch.items())


def test_the_average_of_refined_slots():
    case = CASES["the paper's two"]
    network, objective, view = made(case, momentum=0.75)
    objective(view)
    assert not network.averaged
    assert torch.equal(network.average, made(case)[0].average)  # evaluation remembers nothing
    objective.train()
    seen = []
    for seed in range(7):
        view = view_of(case, network, seed)
        seen.append(objective.see(view)[1].detach().mean(0))
        objective(view)
        if seed < 4:  # up to 1 / (1 - 0.75) batches the plain mean
            expected = torch.stack(seen).mean(0)
        else:
            expected = 0.75 * expected + 0.25 * seen[-1]
        torch.testing.assert_close(network.average, expected, rtol=1e-6, atol=1e-7)
    assert network.averaged == 7
    assert network.average.dtype == torch.float64


@pytest.mark.parametrize("mode", ["initial_slots", "ema_slots", "plain"])
def test_it_trains_in_every_mode(mode):
    case = CASES["the paper's two"]
    network = network_of(case, inference=mode)
    objective = prepared(case, network, dtype=torch.float32)
    network.train()
    objective.train()
    view = view_of(case, network)
    deployed = nn.functional.cross_entropy(view.student.logits, view.batch.labels)
    (objective(view).mean() + deployed).backward()
    for module in (network, objective):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_heads_that_do_not_divide_name_what_would():
    case = Case(PAIR)
    for tokens, heads, divisors in (("channels", 3, "1, 2, 4"), ("positions", 4, "1, 2, 3, 6")):
        size = 4 if tokens == "channels" else 6
        sentence = rf"heads: {heads} does not divide {size}, .* \(allowed: {divisors}\)"
        with pytest.raises(ValueError, match=sentence):
            LatentWorkspace(case.shape, network=Tiny(2, CLASSES), heads=heads, tokens=tokens)
    with pytest.raises(ValueError, match="heads: 0 does not divide"):
        LatentWorkspace(case.shape, network=Tiny(2, CLASSES), heads=0)


def test_a_student_without_slots_is_refused():
    case = Case(PAIR)
    objective = build("tutelage.objectives", described(case), "here")
    plain = Tiny(2, CLASSES)
    for network, name in ((plain, "Tiny"), (None, "NoneType")):
        sentence = (
            f"^the student's network is {name}, which has no slots "
            r"\(allowed: network: \{type: LatentWorkspace, network: \{\.\.\.\}\}\)$"
        )
        with pytest.raises(ValueError, match=sentence):
            objective.prepare(facts_of(view_of(case, plain), network))


def flat(teachers):
    return {n: Output(t.logits, {"stage3": t.logits}) for n, t in teachers.items()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"alignment": -1.0}, r"alignment: -1\.0 must be >= 0"),
        ({"iterations": 0}, "iterations: 0 must be >= 1"),
        ({"noise": -0.1}, r"noise: -0\.1 must be >= 0"),
        ({"momentum": 1.0}, r"momentum: 1\.0 must be in \[0, 1\)"),
        ({"weights": {"pi": 0.5, "sig": 0.6}}, r"sum to 1\.1, not to 1"),
        ({"objectives": {}}, "there is no objective"),
    ],
)
def test_wrong_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        KnowledgeBinding(**({"objectives": {"labels": Weighted(Labels())}} | arguments))


def test_teachers_that_do_not_fit_are_refused():
    case = Case(PAIR)
    network = network_of(case)
    view = view_of(case, network)
    for teachers, weights, sentence in (
        (flat(view.teachers), None, r"a feature of shape \[4, 5\] has no positions"),
        ({n: Output(t.logits) for n, t in view.teachers.items()}, None, "no feature 'stage3'"),
        (view.teachers, {"pi": 0.5, "gaf": 0.5}, "unknown teacher 'gaf'"),
    ):
        objective = KnowledgeBinding({"labels": Weighted(Labels())}, weights)
        with pytest.raises(ValueError, match=sentence):
            objective.prepare(facts_of(View(view.student, teachers, view.batch, Clock()), network))


def test_a_part_of_the_teachers_alone():
    """``weights`` names who binds; the inner objectives see these alone."""
    case = Case(THREE)
    network = network_of(case)
    subset = described(Case(PAIR, {"pi": 0.5, "sig": 0.5}))
    objective = prepared(case, network, subset)
    view = view_of(case, network)
    assert objective.see(view)[0].teachers.keys() == {"pi", "sig"}
    assert objective(view).isfinite().all()


class Reader(Objective):
    """Reads scores, which no teacher has to be asked for, and what only a batch can give."""

    def needs(self):
        return Needs(frozenset({"stage1", SCORES}), frozenset({SCORES, "stage2"}), concepts=True)

    def forward(self, view):
        return view.student.logits.sum(1)


def test_what_is_asked_of_the_teachers():
    objective = build("tutelage.objectives", described(Case(PAIR)), "here")
    taps = frozenset({"stage1", "stage2", "stage3"})
    assert objective.needs() == Needs(frozenset({"stage3"}), taps)
    objective = KnowledgeBinding({"it": Weighted(Reader())}, tap="last")
    assert objective.needs() == Needs(frozenset({"stage1", "last"}), frozenset({"stage2"}), True)


def test_every_parameter_is_trained_and_saved_once():
    case = CASES["larger student"]
    network = network_of(case)
    student = On("signal", network, torch.zeros(2), torch.ones(2))
    distiller = Distiller(
        {
            "labels": Weighted(Labels()),
            "workspace": Weighted(prepared(case, network, dtype=torch.float32)),
        }
    )
    step = GradientStep(functools.partial(torch.optim.SGD, lr=0.0))
    descent = step.bind(make_fabric(Train(), "cpu"), student, distiller)
    held = [id(p) for p in descent.parameters]
    assert len(held) == len(set(held))
    assert {id(p) for p in network.parameters()} <= set(held)
    grouped = [id(p) for group in descent.optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(held)
    saved = [*student.state_dict().items(), *distiller.state_dict().items()]
    places = [value.data_ptr() for _, value in saved]
    assert len(places) == len(set(places))
    own = {value.data_ptr() for value in network.state_dict().values()}
    assert not own & {value.data_ptr() for value in distiller.state_dict().values()}
    assert {id(p) for p in distiller.parameters()}.isdisjoint(id(p) for p in student.parameters())
    prefixes = {key.split(".")[3] for key in distiller.state_dict() if key.count(".") > 2}
    assert not prefixes & {"network", "slots", "average", "student"}


def joint_states(student, distiller):
    return [{k: v.clone() for k, v in m.state_dict().items()} for m in (student, distiller)]


def test_states_give_the_same_training_back():
    """Student and distiller loaded from their states go on bit for bit."""
    case = CASES["the paper's two"]

    def start():
        network = network_of(case)
        student = On("signal", network, torch.zeros(2), torch.ones(2))
        objective = build("tutelage.objectives", described(case), "here")
        view = view_of(case, network)
        objective.prepare(facts_of(view, network))
        distiller = Distiller({"labels": Weighted(Labels()), "it": Weighted(objective)})
        factory = functools.partial(torch.optim.SGD, lr=0.0, momentum=0.9)
        step = GradientStep(factory, 0.01).bind(make_fabric(Train(), "cpu"), student, distiller)
        return student.train(), distiller.train(), step, view

    torch.manual_seed(0)
    student, distiller, step, view = start()
    for _ in range(3):
        step(view.batch, view.teachers, Clock())
    kept, state = joint_states(student, distiller), copy.deepcopy(step.state())
    torch.manual_seed(5)
    for _ in range(3):
        step(view.batch, view.teachers, Clock())
    torch.manual_seed(99)
    other, second, resumed, _ = start()
    other.load_state_dict(kept[0])
    second.load_state_dict(kept[1])
    resumed.restore(state)
    torch.manual_seed(5)
    for _ in range(3):
        resumed(view.batch, view.teachers, Clock())
    for a, b in zip(joint_states(student, distiller), joint_states(other, second), strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("teachers", [PAIR, THREE], ids=["two", "three"])
def test_a_tiny_batch_is_learned_by_heart(teachers):
    """Both students, the one that reads refined slots and the deployed one, also in evaluation mode."""
    case = Case(teachers, samples=16)
    network = network_of(case)
    view = view_of(case, network)
    teachers = {  # teachers that are right, or the student would have to choose
        name: Output(4.0 * nn.functional.one_hot(view.batch.labels, CLASSES).float(), t.features)
        for name, t in view.teachers.items()
    }
    x, batch = view.batch.inputs["signal"], view.batch
    description = described(case)
    description["objectives"] = {k: description["objectives"][k] for k in ("labels", "soft")}
    objective = build("tutelage.objectives", description, "here")
    objective.prepare(facts_of(view, network))
    labels = Labels()
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=0.02)
    torch.manual_seed(0)
    errors = []
    for step in range(201):
        train = bool(step % 20)
        network.train(train)
        objective.train(train)
        seen = View(network(x), teachers, batch, Clock())
        judged = objective.judge(seen)
        total = judged.loss + labels(seen)
        if not train:
            wrong = (seen.student.logits.argmax(1) != batch.labels).float().mean().item()
            errors.append((wrong, 1 - judged.traces["correct"].mean().item()))
            if errors[-1] == (0, 0):
                break
            continue
        optimizer.zero_grad()
        total.mean().backward()
        optimizer.step()
    assert min(errors[0]) > 0.5
    assert errors[-1] == (0, 0)


@pytest.mark.parametrize("tokens", ["channels", "positions"])
def test_under_autocast_scores_keep_their_precision(tokens):
    case = Case(THREE, tokens=tokens)
    network = network_of(case, dropout=0.0)
    objective = prepared(case, network, dtype=torch.float32)
    network.train()
    objective.train()
    view = view_of(case, network)
    x = view.batch.inputs["signal"]

    def lower(output):
        return Output(
            output.logits.bfloat16(), {k: f.bfloat16() for k, f in output.features.items()}
        )

    teachers = {name: lower(t) for name, t in view.teachers.items()}
    with torch.autocast("cpu", torch.bfloat16):
        low = View(network(x), teachers, view.batch, Clock())
        assert low.student.features["stage1"].dtype == torch.bfloat16
        judged = objective.judge(low)
        found = judged.loss
        seen, slots, kis = objective.see(low)
    assert found.isfinite().all()
    kts = seen.student.features[SCORES]
    for scores, axis in ((kts, 2), *((a, 1) for a in kis.values())):
        assert scores.dtype == torch.float32
        total = scores.sum(dim=axis)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)
    assert slots.dtype == torch.float32
    shares = [judged.traces[f"soft.weight.{n}"] for n in THREE]
    torch.testing.assert_close(sum(shares), torch.ones(case.samples), rtol=0, atol=1e-6)
    (found.mean() + low.student.logits.float().square().mean()).backward()
    for module in (network, objective):
        assert all(p.grad.isfinite().all() for p in module.parameters())


class Joint(nn.Module):
    """Student and objectives as one function of all their parameters and buffers."""

    def __init__(self, student, objective):
        super().__init__()
        self.student, self.objective = student, objective

    def forward(self, x, teachers, batch):
        view = View(self.student(x), teachers, batch, Clock())
        deployed = nn.functional.cross_entropy(view.student.logits, batch.labels)
        return self.objective(view).mean() + deployed


@pytest.mark.filterwarnings("error:There is a performance drop")
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("the paper's two", "initial_slots"),
        ("larger student", "ema_slots"),
        ("three, tight bounds, other shares", "initial_slots"),
    ],
)
def test_several_seeds_at_once(name, mode):
    """``torch.vmap`` over seeds: losses, gradients and running numbers of one network after the other."""
    case = CASES[name]

    def joints():
        found = []
        for seed in range(3):
            network = network_of(case, seed, dropout=0.0, inference=mode)
            objective = prepared(case, network, None, seed, torch.float32)
            found.append(Joint(network, objective).train())
        return found

    alone, together = joints(), joints()
    view = view_of(case, network_of(case))
    x, batch = view.batch.inputs["signal"], view.batch
    parameters, buffers = stack_module_state(together)
    base = copy.deepcopy(together[0])

    def loss(parameters, buffers):
        return functional_call(base, (parameters, buffers), (x, view.teachers, batch))

    total = vmap(loss)(parameters, buffers)
    names = list(parameters)
    found = torch.autograd.grad(
        total.sum(), [parameters[name] for name in names], allow_unused=True
    )
    fresh = stack_module_state(joints())
    inside = vmap(grad(loss))(*fresh)
    for seed, joint in enumerate(alone):
        expected = joint(x, view.teachers, batch)
        torch.testing.assert_close(total[seed], expected, rtol=1e-5, atol=1e-5)
        expected.backward()
        for key, value in zip(names, found, strict=True):
            own = joint.get_parameter(key).grad
            for other in (value, inside[key]):
                if own is None:
                    assert other is None or not other.any(), key
                else:
                    torch.testing.assert_close(other[seed], own, rtol=1e-4, atol=1e-4)
        for key, value in joint.named_buffers():
            for stacked in (buffers, fresh[1]):
                torch.testing.assert_close(stacked[key][seed], value, rtol=1e-5, atol=1e-6)


def test_what_there_is_to_look_at():
    for name in ("the paper's two", "as many tokens, no mixing", "positions", "positions, as many"):
        case = CASES[name]
        network, objective, view = made(case)
        truth = slowly(case, network, objective, view)
        found = objective.inspect(view)
        mixed = "as many" not in name
        expected = {"logits", "read", "read_alone", "place", "bound.pi", "bound.sig"}
        assert found.keys() == expected | (set() if mixed else {"place.pi", "place.sig"})
        np.testing.assert_allclose(found["logits"].detach(), truth["logits"], rtol=1e-8)
        np.testing.assert_allclose(found["read"].detach(), truth["kts"].mean(axis=1), rtol=1e-8)
        for teacher in PAIR:
            np.testing.assert_allclose(
                found[f"bound.{teacher}"].detach(), truth["kis"][teacher].mean(axis=2), rtol=1e-8
            )
        places = {"place": view.student} | (
            {} if mixed else {f"place.{n}": view.teachers[n] for n in PAIR}
        )
        for key, output in places.items():
            shown = output.features["stage3"]
            assert found[key].shape == (case.samples, case.slots, *shown.shape[2:])
            summed = (
                found[key].flatten(2).sum(2) if case.tokens == "channels" else found[key].sum(1)
            )
            torch.testing.assert_close(summed, torch.ones_like(summed), rtol=0, atol=1e-5)
