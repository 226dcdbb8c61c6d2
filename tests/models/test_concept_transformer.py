"""CCT: slot attention against a loop, golden numbers of the authors' code, and every invariant it claims."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.doubles.waves import wave
from tutelage.errors import UserError
from tutelage.models import CifarResNet, ConceptTransformer, On, Timm, WideResNet, measure
from tutelage.models.backbone import Backbone, StagedBackbone, TimmBackbone
from tutelage.models.concept_slots import (
    BilevelSlots,
    ConceptTable,
    ImplicitSlots,
    SampledSlots,
    floored,
    normalised,
)
from tutelage.models.concept_transformer import _Stream
from tutelage.types import Batch

# jyhong0304/concept_centric_transformers@90a2875, run on the same tensors in float64.
B, L, D, M, N = 2, 5, 6, 4, 3
SOURCES = ("bilevel", "implicit", "sampled", "table")
SLOTS = {"bilevel": BilevelSlots, "implicit": ImplicitSlots, "sampled": SampledSlots}
TOKENS = wave(B, L, D, step=0.7, phase=0.1)
START = 0.9 * wave(M, D, step=0.7, phase=12)
READER = wave(B, 1, D, step=0.7, phase=24)
NOISE = wave(B, M, D, step=0.7, phase=15)


def fill(parameter, phase, scale=0.3, shift=0.0):
    parameter.data = scale * wave(*parameter.shape, step=0.7, phase=phase) + shift


def filled(slots):
    """Slots whose numbers are given by formulas."""
    slots.double()
    attend = slots.attend
    fill(attend.norm.weight, 1, shift=1.0)
    fill(attend.norm.bias, 2)
    for layer, phase in ((attend.query, 3), (attend.key, 4), (attend.value, 5)):
        fill(layer.weight, phase, 0.8)
    for name, phase in (("weight_ih", 6), ("weight_hh", 7), ("bias_ih", 8), ("bias_hh", 9)):
        fill(getattr(attend.update, name), phase)
    if hasattr(slots, "norm"):
        fill(slots.norm.weight, 10, shift=1.0)
        fill(slots.norm.bias, 11)
    if hasattr(slots, "start"):
        slots.start.data = START.clone()
    else:
        fill(slots.mean, 13, 0.9)
        fill(slots.log_std, 14)
    return slots


def stream(source, count=M, classes=N):
    """A stream with given numbers, without dropout."""
    found = _Stream(source, count, D, classes, 2, (0.0, 0.0)).double()
    fill(found.query.weight, 20, 0.8)
    both = 0.8 * wave(2 * D, D, step=0.7, phase=21)
    found.key.weight.data, found.value.weight.data = both[:D].clone(), both[D:].clone()
    fill(found.score.weight, 22, 0.8)
    fill(found.score.bias, 23)
    return found


def check(found, total, squares, first):
    assert float(found.detach().sum()) == pytest.approx(total, abs=2e-9)
    assert float(found.detach().square().sum()) == pytest.approx(squares, abs=2e-9)
    few = found.detach().flatten()[:: max(1, found.numel() // 8)][: len(first)]
    torch.testing.assert_close(few, torch.tensor(first, dtype=torch.float64), rtol=0, atol=2e-9)


def drawn(monkeypatch):
    monkeypatch.setattr(torch, "randn_like", lambda x: NOISE)


@pytest.mark.parametrize(
    ("rounds", "slots", "attention"),
    [
        (
            1,
            (6.116817665, 21.717763273, [1.001270695, 0.832798077, -0.717106321]),
            (10.0, 6.435722202, [5.1399e-05, 0.003852488, 1e-09, 9.2592e-05]),
        ),
        (
            3,
            (0.478392227, 16.523277263, [0.147460677, 0.466627942, -0.587109431]),
            (10.0, 6.970895484, [0.001050935, 0.004126017, 1.02e-07, 0.001497965]),
        ),
    ],
)
def test_sampled_slots_give_the_authors_numbers(monkeypatch, rounds, slots, attention):
    drawn(monkeypatch)
    found = filled(SampledSlots(M, D, rounds))(TOKENS)
    check(found[0], *slots)
    check(found[1], *attention)


@pytest.mark.parametrize(
    ("rounds", "slots"),
    [
        (0, (-2.72977353, 11.995123779, [-0.482890381, -0.470907139, 0.722477425])),
        (3, (-5.383308752, 13.205669696, [-0.533369048, -0.471814781, 0.001581539])),
    ],
)
def test_implicit_slots_give_the_authors_numbers(rounds, slots):
    check(filled(ImplicitSlots(M, D, rounds))(TOKENS)[0], *slots)


def test_gradients_of_implicit_slots_are_the_authors():
    slots = filled(ImplicitSlots(M, D, 3))
    (slots(TOKENS)[0] * wave(B, M, D, step=0.7, phase=16)).sum().backward()
    query = slots.attend.query.weight.grad
    check(query, -0.000432379, 0.008249644, [-0.003538971, 0.027133649, 0.007798082])
    recurrent = slots.attend.update.weight_hh.grad
    check(recurrent, 0.221474415, 0.401232121, [0.053036393, -0.004894568, 0.009727481])


@pytest.mark.parametrize(
    ("rounds", "slots", "attention"),
    [
        (
            1,
            (-2.729699795, 11.99585662, [-0.482897857, -0.470918977, 0.72249842]),
            (10.0, 8.003353373, [0.489051303, 0.999917142, 0.999999706]),
        ),
        (
            2,
            (-4.733426318, 12.20287611, [-0.503179491, -0.477558517, 0.454634426]),
            (10.0, 7.994825085, [0.502955634, 0.999603313, 0.999996202]),
        ),
    ],
)
def test_bilevel_slots_give_the_authors_numbers(rounds, slots, attention):
    found = filled(BilevelSlots(M, D, rounds))(TOKENS)
    check(found[0], *slots)
    check(found[1], *attention)


def test_gradients_of_bilevel_slots_are_the_authors():
    slots = filled(BilevelSlots(M, D, 2))
    (slots(TOKENS)[0] * wave(B, M, D, step=0.7, phase=16)).sum().backward()
    check(slots.start.grad, -1.84915272, 4.615676337, [0.289083808, -0.527738843, 0.106151858])
    query = slots.attend.query.weight.grad
    check(query, 1.8966e-05, 1.3387e-05, [0.000159731, 0.000411877, 4.0701e-05])


HEADS = {
    "bilevel": (
        [[-0.04012117532, -2.78059747111, 1.27476354660], [0.1624058413, -2.3056818935, 0.6065715277]],
        (2.0, 1.107656905, [0.485698171, 0.00079937, 0.007268983]),
        (10.0, 3.876393772, [0.017952398, 0.010077558, 0.027185658]),
    ),
    "implicit": (
        [[0.02149313201, -2.78342334177, 1.21592006662], [0.0918422154, -2.4331779342, 0.8021477808]],
        (2.0, 0.899319815, [0.47479053, 0.003015032, 0.028409547]),
        (10.0, 3.202914425, [0.066712976, 0.078371232, 0.072086841]),
    ),
    "table": (
        [[-0.36945943516, -1.80895612898, 0.65138644155], [-0.0764332737, -1.1234725243, -0.31377123]],
        (2.0, 1.299826055, [0.494336211, 0.001064523, 0.002394708]),
        (10.0, 4.001850012, [0.000392156, 4.4626e-05, 0.001163904]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADS)
def test_whole_heads_give_the_authors_numbers(kind):
    """Class token alone writes and reads the global concepts, as in the authors' code for ViT."""

    def source(count, phase):
        start = 0.9 * wave(count, D, step=0.7, phase=phase)
        if kind == "table":
            table = ConceptTable(count, D).double()
            table.table.data = start
            return table
        slots = filled(SLOTS[kind](count, D, {"bilevel": 2, "implicit": 3}[kind]))
        slots.start.data = start
        return slots

    over_all, places = stream(source(M, 12)), stream(source(M + 1, 17), M + 1)
    if kind != "table":
        over_all.position.data = 0.5 * wave(M, D, step=0.7, phase=18)
    first, of_all = over_all(READER, READER)
    second, of_places = places(TOKENS, TOKENS)
    logits, global_, spatial = HEADS[kind]
    torch.testing.assert_close(
        first + second, torch.tensor(logits, dtype=torch.float64), rtol=0, atol=1e-9
    )
    check(of_all.mean(1), *global_)
    check(of_places.mean(1), *spatial)


def loop(slots, tokens, rounds, *, norm_slots, floor, start):
    """Slot attention of one sample in NumPy, number by number."""
    attend = slots.attend
    get = lambda t: t.detach().double().numpy()  # noqa: E731

    def norm(x, layer):
        mean, var = x.mean(), x.var()
        return (x - mean) / math.sqrt(var + 1e-5) * get(layer.weight) + get(layer.bias)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def gru(x, h):
        gates_x = get(attend.update.weight_ih) @ x + get(attend.update.bias_ih)
        gates_h = get(attend.update.weight_hh) @ h + get(attend.update.bias_hh)
        reset = sigmoid(gates_x[:D] + gates_h[:D])
        keep = sigmoid(gates_x[D : 2 * D] + gates_h[D : 2 * D])
        new = np.tanh(gates_x[2 * D :] + reset * gates_h[2 * D :])
        return (1 - keep) * new + keep * h

    keys = [get(attend.key.weight) @ norm(t, attend.norm) for t in tokens]
    values = [get(attend.value.weight) @ norm(t, attend.norm) for t in tokens]
    now = [row.copy() for row in start]
    for _ in range(rounds):
        asking = [norm(s, slots.norm) if norm_slots else s for s in now]
        queries = [get(attend.query.weight) @ s for s in asking]
        attention = np.zeros((len(tokens), len(now)))
        for i, key in enumerate(keys):
            scores = [key @ query / math.sqrt(D) for query in queries]
            attention[i] = np.exp(scores) / np.exp(scores).sum()
        updated = []
        for j, slot in enumerate(now):
            column = attention[:, j] + (1e-8 if floor else 0)
            shares = column / (column.sum() + (0 if floor else 1e-8))
            updated.append(gru(sum(s * v for s, v in zip(shares, values, strict=True)), slot))
        now = updated
    return np.array(now)


@pytest.mark.parametrize("kind", SLOTS)
def test_slots_are_those_of_a_loop(monkeypatch, kind):
    drawn(monkeypatch)
    slots = filled(SLOTS[kind](M, D, 2))
    found = slots(TOKENS)[0].detach().numpy()
    for b in range(B):
        start = START.numpy()
        if kind == "sampled":
            start = (slots.mean + slots.log_std.exp() * NOISE)[0 if B == 1 else b].detach().numpy()
        expected = loop(
            slots,
            TOKENS[b].numpy(),
            3 if kind == "implicit" else 2,
            norm_slots=kind != "implicit",
            floor=kind == "sampled",
            start=start,
        )
        np.testing.assert_allclose(found[b], expected, atol=1e-12)


@pytest.mark.parametrize("kind", SLOTS)
def test_tokens_are_shared_out_among_slots(kind):
    torch.manual_seed(0)
    slots = SLOTS[kind](7, 8, 2)
    _, attention = slots(torch.randn(3, 11, 8))
    assert attention.shape == (3, 11, 7)
    torch.testing.assert_close(attention.sum(2), torch.ones(3, 11), atol=1e-5, rtol=0)
    for shares in (floored, normalised):
        torch.testing.assert_close(shares(attention).sum(1), torch.ones(3, 7), atol=1e-5, rtol=0)


def test_a_slot_that_no_token_wants_takes_all_alike_or_nothing():
    none = torch.zeros(1, 4, 2)
    torch.testing.assert_close(floored(none), torch.full((1, 4, 2), 0.25))
    assert not normalised(none).any()


@pytest.mark.parametrize("kind", SLOTS)
def test_a_single_token_is_taken_in_by_all_slots_alike(kind):
    """Then the competition decides nothing: queries and keys matter to no output and get no gradient."""
    torch.manual_seed(0)
    slots = SLOTS[kind](5, 8, 2).eval()
    token = torch.randn(3, 1, 8)
    found, _ = slots(token)
    (found * torch.randn(3, 5, 8)).sum().backward()
    for layer in (slots.attend.query, slots.attend.key):
        assert float(layer.weight.grad.abs().max()) < 1e-5
        nn.init.normal_(layer.weight, std=0.2)
    torch.testing.assert_close(slots(token)[0], found, atol=1e-6, rtol=0)


def test_gradient_reaches_the_start_of_bilevel_slots_alone():
    torch.manual_seed(0)
    bilevel, implicit = BilevelSlots(4, 8, 3), ImplicitSlots(4, 8, 3)
    tokens, weights = torch.randn(2, 6, 8), torch.randn(2, 4, 8)
    (bilevel(tokens)[0] * weights).sum().backward()
    assert float(bilevel.start.grad.abs().sum()) > 0
    implicit.start.requires_grad_()
    (implicit(tokens)[0] * weights).sum().backward()
    assert implicit.start.grad is None or not implicit.start.grad.any()
    assert "start" not in dict(implicit.named_parameters())


def test_the_start_of_bilevel_slots_gets_the_gradient_of_the_last_round():
    slots = filled(BilevelSlots(M, D, 3))
    weights = wave(B, M, D, step=0.7, phase=16)
    (slots(TOKENS)[0] * weights).sum().backward()
    shorter = filled(BilevelSlots(M, D, 2))
    before = shorter(TOKENS)[0].detach().requires_grad_()
    read = slots.attend.read(TOKENS)
    last, _ = slots.attend(before, slots.norm(before), read, normalised)
    (last * weights).sum().backward()
    torch.testing.assert_close(slots.start.grad, before.grad.sum(0))


def test_no_rounds_leave_the_start():
    bilevel, sampled = BilevelSlots(4, 8, 0), SampledSlots(4, 8, 0).eval()
    tokens = torch.randn(2, 6, 8)
    assert torch.equal(bilevel(tokens)[0], bilevel.start.expand(2, -1, -1))
    assert torch.equal(sampled(tokens)[0], sampled.mean.expand(2, 4, -1))


@pytest.mark.parametrize("kind", SLOTS)
def test_an_update_without_weights_halves_the_slots(kind):
    """A GRU of zeros keeps half of the state and adds half of tanh(0)."""
    slots = SLOTS[kind](4, 8, 1).eval()
    for parameter in slots.attend.update.parameters():
        nn.init.zeros_(parameter)
    start = slots.mean.expand(2, 4, -1) if kind == "sampled" else slots.start.expand(2, -1, -1)
    rounds = 2 if kind == "implicit" else 1
    torch.testing.assert_close(slots(torch.randn(2, 6, 8))[0], start * 0.5**rounds)


def test_sampled_slots_draw_in_training_only_unless_asked():
    torch.manual_seed(0)
    tokens = torch.randn(2, 6, 8)
    slots = SampledSlots(4, 8, 1)
    assert not torch.equal(slots(tokens)[0], slots(tokens)[0])
    assert torch.equal(slots.eval()(tokens)[0], slots(tokens)[0])
    released = SampledSlots(4, 8, 1, sample_in_evaluation=True).eval()
    assert not torch.equal(released(tokens)[0], released(tokens)[0])


def spread(source):
    """A stream in evaluation whose slots have positions of their own."""
    found = stream(source).eval()
    if found.position is not None:
        fill(found.position, 40, 0.7)
    return found


def sources():
    yield from (filled(kind(M, D, 2)) for kind in SLOTS.values())
    table = ConceptTable(M, D).double()
    table.table.data = START.clone()
    yield table


@pytest.mark.parametrize("source", [*sources()], ids=(*SLOTS, "table"))
def test_moving_tokens_moves_their_rows_and_nothing_else(source):
    it, order = spread(source), torch.tensor([3, 0, 4, 1, 2])
    logits, attention = it(TOKENS, TOKENS)
    moved, rows = it(TOKENS[:, order], TOKENS[:, order])
    torch.testing.assert_close(moved, logits, atol=1e-6, rtol=0)
    torch.testing.assert_close(rows, attention[:, :, order], atol=1e-6, rtol=0)


@pytest.mark.parametrize("source", [*sources()], ids=(*SLOTS, "table"))
def test_renaming_concepts_renames_their_columns_and_nothing_else(source):
    it, order = spread(source), torch.tensor([2, 0, 3, 1])
    logits, attention = it(TOKENS, TOKENS)
    for owner, name in ((it, "position"), (source, "start"), (source, "table")):
        value = getattr(owner, name, None)
        if value is not None:
            value.data = value.data[order].clone()
    again, columns = it(TOKENS, TOKENS)
    torch.testing.assert_close(again, logits, atol=1e-9, rtol=0)
    torch.testing.assert_close(columns, attention[:, :, :, order], atol=1e-9, rtol=0)


def test_a_table_is_the_concept_transformer():
    """Equal bit for bit to a Concept Transformer written on its own."""
    torch.manual_seed(0)
    shape = (3, 16, 16)
    network = ConceptTransformer(
        shape, 4, network=CifarResNet(3, 4), spatial_concepts=6, source="table"
    ).eval()
    it = network.streams["spatial"]
    assert it.position is None
    x = torch.randn(2, *shape)
    found = network(x)
    places = network.backbone.tokens(found.features["stage3"])[1].flatten(1, 2)
    split = lambda t: t.view(t.shape[0], t.shape[1], 2, -1).transpose(1, 2)  # noqa: E731
    linear, table = nn.functional.linear, it.source.table[None]
    queries = split(linear(places, it.query.weight))
    keys, values = split(linear(table, it.key.weight)), split(linear(table, it.value.weight))
    attention = torch.softmax(queries @ keys.transpose(2, 3) / math.sqrt(32), dim=3)
    read = (attention @ values.expand(2, -1, -1, -1)).transpose(1, 2).flatten(2)
    logits = linear(read, it.score.weight, it.score.bias).mean(1)
    assert torch.equal(found.logits, logits)
    assert torch.equal(found.features["spatial_attention"].flatten(1, 2), attention.mean(1))


def cct(dimensions=1, source="bilevel", **changed):
    torch.manual_seed(0)
    shape = (3, 32) if dimensions == 1 else (3, 16, 16)
    arguments = {"global_concepts": 3, "spatial_concepts": ["up", "down"], "source": source}
    network = WideResNet(3, 4, depth=10, dimensions=dimensions)
    made = ConceptTransformer(shape, 4, network=network, **(arguments | changed))
    for part in made.streams.values():
        if part.position is not None:
            nn.init.normal_(part.position)
    return made, torch.randn(5, *shape)


CASES = [(d, s) for d in (1, 2) for s in SOURCES]


@pytest.mark.parametrize(("dimensions", "source"), CASES)
def test_contributions_and_biases_are_the_logits(dimensions, source):
    network, x = cct(dimensions, source)
    network.train()  # an explanation is one of a prediction, whatever the mode
    network.backbone.eval()
    found = network.explain(x)
    assert network.training
    assert not network.backbone.training
    logits = network.eval()(x).logits
    torch.testing.assert_close(found.logits, logits, atol=1e-5, rtol=0)
    biases = sum(part.score.bias for part in network.streams.values())
    torch.testing.assert_close(found.rest, biases.expand(5, -1))
    spatial = found.streams["spatial"]
    assert spatial.names == ("up", "down")
    assert spatial.space == ((8,) if dimensions == 1 else (4, 4))
    count = math.prod(spatial.space)
    assert spatial.contributions.shape == (5, count, 2, 4)
    assert spatial.attention.shape == (5, count, 2)
    assert found.streams["global"].names == ("concept 1", "concept 2", "concept 3")


@pytest.mark.parametrize(("dimensions", "source"), CASES)
def test_without_a_concept_its_contribution_is_gone(dimensions, source):
    network, x = cct(dimensions, source)
    logits, found = network.eval()(x).logits, network.explain(x)
    for name, part in found.streams.items():
        for concept in range(len(part.names)):
            lost = part.contributions[:, :, concept].sum(1)
            torch.testing.assert_close(
                network.without(x, name, concept), logits - lost, atol=1e-5, rtol=0
            )
    both = found.streams["spatial"].contributions.sum(dim=(1, 2))
    torch.testing.assert_close(
        network.without(x, "spatial", [0, 1]), logits - both, atol=1e-5, rtol=0
    )


def test_contributions_of_some_classes():
    network, x = cct()
    logits = network.eval()(x).logits
    some = network.explain(x, torch.tensor([2, 0]))
    torch.testing.assert_close(some.logits, logits[:, [2, 0]], atol=1e-5, rtol=0)
    own = torch.stack([logits.argmax(1), torch.arange(5) % 4], dim=1)
    each = network.explain(x, own)
    assert each.streams["global"].contributions.shape[3] == 2
    torch.testing.assert_close(each.logits, logits.gather(1, own), atol=1e-5, rtol=0)


def test_the_mean_over_heads_would_not_rebuild_the_logits():
    """That is why contributions are taken head by head."""
    torch.manual_seed(0)
    it = stream(ConceptTable(M, D).double())
    for parameter in it.parameters():
        nn.init.normal_(parameter)
    logits, attention = it(TOKENS, TOKENS)
    _, values = it._read(TOKENS, TOKENS)
    read = (attention.mean(1, keepdim=True) @ values).transpose(1, 2).flatten(2)
    assert (it.score(read).mean(1) - logits).abs().max().item() > 0.1


@pytest.mark.parametrize(("dimensions", "source"), CASES)
def test_prediction_is_the_same_every_time_and_in_every_batch(dimensions, source):
    network, x = cct(dimensions, source)
    network.eval()
    logits = network(x).logits
    assert torch.equal(network(x).logits, logits)
    torch.testing.assert_close(network(x[2:3]).logits, logits[2:3], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_attention_sums_to_one_in_training_too(dimensions):
    network, x = cct(dimensions, dropout=0.5)
    features = network.train()(x).features
    for name, shape in (("global_attention", (5, 3)), ("spatial_attention", (5, 8, 2))):
        wanted = shape if dimensions == 1 or name[0] == "g" else (5, 4, 4, 2)
        assert features[name].shape == wanted
        torch.testing.assert_close(features[name].sum(-1), torch.ones(wanted[:-1]))


def test_attention_sums_to_one_under_autocast():
    network, x = cct(2)
    with torch.autocast("cpu", torch.bfloat16):
        found = network.eval()(x)
    rows = found.features["spatial_attention"].sum(-1)
    torch.testing.assert_close(rows, torch.ones(5, 4, 4))
    assert found.logits.dtype == torch.float32


def test_dropout_leaves_out_attention_and_scores_in_training_alone():
    network, x = cct(dropout=0.5, logit_dropout=0.5)
    assert torch.equal(network.eval()(x).logits, network(x).logits)
    network.train()
    for part in network.backbone.modules():  # batch statistics apart
        part.eval()
    assert not torch.equal(network(x).logits, network(x).logits)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_token_is_the_embedding_of_its_place(dimensions):
    torch.manual_seed(0)
    plain = WideResNet(3, 4, depth=10, dimensions=dimensions).eval()
    x = torch.randn(2, 3, *(16,) * dimensions)
    embedding = plain(x).features["embedding"]
    backbone = StagedBackbone(plain)
    first, places = backbone.tokens(backbone.encode(x)["stage3"])
    assert first is None
    torch.testing.assert_close(places.flatten(1, -2).mean(1), embedding)
    assert backbone.facts(x.shape[1:]) == (False, (4,) * dimensions, 64)
    assert "head" not in dict(plain.named_children())


TIMM = {
    "test_vit": (True, (10, 10), {}, 160),  # a class token, normed before the head
    "test_vit2": (True, (10, 10), {}, 160),  # normed in the head
    "test_vit3": (True, (10, 10), {}, 160),  # pools by attention in its head
    "test_convnext": (False, (2, 2), {}, 64),  # a map, normed in the head
    "test_resnet": (False, (2, 2), {}, 64),
    "swin_tiny_patch4_window7_224": (
        False,
        (8, 8),
        {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": (1, 1), "num_heads": (2, 2)},
        64,
    ),  # a map with channels last
}


@pytest.mark.parametrize("name", TIMM)
def test_models_of_timm(name):
    pytest.importorskip("timm")
    torch.manual_seed(0)
    first, space, options, size = TIMM[name]
    network = ConceptTransformer(
        (3, size, size),
        4,
        {"global": ["a", "b"]},
        network=Timm(3, 4, name=name, options=options),
        spatial_concepts=3,
    )
    x = torch.randn(2, 3, size, size)
    found = network.eval()(x)
    assert found.features["spatial_attention"].shape == (2, *space, 3)
    assert found.features["global_attention"].shape == (2, 2)
    explained = network.explain(x)
    torch.testing.assert_close(explained.logits, found.logits, atol=1e-5, rtol=0)
    assert explained.streams["global"].space == ((1,) if first else space)
    decoded, embedding = network.decode(found.features[network.last])
    torch.testing.assert_close(decoded, found.logits)
    torch.testing.assert_close(embedding, found.features["embedding"])
    network.train()(x).logits.sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["test_vit2", "test_convnext", "test_resnet"])
def test_tokens_of_timm_average_to_its_own_embedding(name):
    """Where a model pools by the mean, norms and layers behind it are those of its head."""
    pytest.importorskip("timm")
    torch.manual_seed(0)
    network = Timm(3, 4, name=name)
    size = TIMM[name][3]
    x = torch.randn(2, 3, size, size)
    model = network.model.eval()
    backbone = TimmBackbone(network).eval()
    last = backbone.encode(x)["tokens"]
    _, places = backbone.tokens(last)
    if name == "test_resnet":  # nothing between the map and the mean
        own = model.forward_head(model.forward_features(x), pre_logits=True)
        torch.testing.assert_close(places.flatten(1, 2).mean(1), own)
    else:  # a norm of the mean is no mean of norms, but that of one place is
        row = model.forward_features(x)
        alone = row[:, 1:2] if name == "test_vit2" else row[:, :, :1, :1]
        token = model.fc_norm(alone)[:, 0] if name == "test_vit2" else model.forward_head(alone)
        torch.testing.assert_close(places[:, 0, 0], token)


def test_maps_of_timm_have_channels_first():
    pytest.importorskip("timm")
    options = TIMM["swin_tiny_patch4_window7_224"][2]
    network = Timm(3, 4, name="swin_tiny_patch4_window7_224", options=options).eval()
    found = network(torch.randn(1, 3, 64, 64)).features
    assert {k: tuple(v.shape) for k, v in found.items()} == {
        "stage1": (1, 24, 16, 16),
        "stage2": (1, 48, 8, 8),
    }


def test_images_of_another_size_are_resized_inside():
    pytest.importorskip("timm")
    network = Timm(3, 4, name="test_convnext", size=64).eval()
    x = torch.randn(2, 3, 64, 64)
    small = nn.functional.interpolate(x, (32, 32), mode="bilinear", antialias=True)
    large = nn.functional.interpolate(small, (64, 64), mode="bilinear", antialias=True)
    torch.testing.assert_close(network(small).logits, network(large).logits)
    assert torch.equal(network(x).logits, network.tapped(x).logits)


def test_tokens_are_put_on_another_grid():
    network, x = cct(2, places=(8, 8))
    features = network.eval()(x).features
    assert features["spatial_attention"].shape == (5, 8, 8, 2)
    assert network.explain(x).streams["spatial"].space == (8, 8)
    same, _ = cct(2, places=(4, 4))
    assert torch.equal(same.eval()(x).logits, cct(2)[0].eval()(x).logits)
    signal, y = cct(1, places=[16])
    assert signal.eval()(y).features["spatial_attention"].shape == (5, 16, 2)


def test_the_class_token_reads_what_all_places_wrote_or_what_it_wrote_alone():
    pytest.importorskip("timm")
    made = {}
    for writer in ("places", "class_token"):
        torch.manual_seed(0)
        network = Timm(3, 4, name="test_vit", size=160)
        made[writer] = ConceptTransformer(
            (3, 160, 160), 4, network=network, global_concepts=3, global_input=writer
        ).eval()
    x = torch.randn(1, 3, 160, 160)
    all_places, alone = (made[w](x).logits for w in ("places", "class_token"))
    assert not torch.allclose(all_places, alone)
    source = made["class_token"].streams["global"].source
    attention = source(torch.randn(2, 1, 64))[1]
    torch.testing.assert_close(normalised(attention), torch.ones(2, 1, 3), atol=1e-5, rtol=0)


def test_names_follow_from_the_data_unless_given():
    data = {"global": ("dog", "cat"), "spatial": ("ear",)}

    def names(**given):
        network = WideResNet(3, 4, depth=10, dimensions=1)
        return ConceptTransformer((3, 32), 4, data, network=network, **given).concept_names

    assert names() == data
    assert names(spatial_concepts=0) == {"global": ("dog", "cat")}
    assert names(global_concepts=0, spatial_concepts=["x", "y"]) == {"spatial": ("x", "y")}


def test_a_start_gives_the_backbone_or_everything():
    network, x = cct()
    other, _ = cct()
    for parameter in other.parameters():
        nn.init.normal_(parameter, std=0.1)
    network.start(other)
    assert torch.equal(network.eval()(x).logits, other.eval()(x).logits)
    plain = WideResNet(3, 4, depth=10, dimensions=1).eval()
    network.start(plain)
    torch.testing.assert_close(network(x).features["embedding"], plain(x).features["embedding"])
    with pytest.raises(RuntimeError, match="Unexpected key"):
        network.start(WideResNet(3, 4, depth=16, dimensions=1))
    with pytest.raises(RuntimeError, match="a CifarResNet is no WideResNet"):
        network.start(CifarResNet(3, 4, dimensions=1))


def test_it_runs_on_a_modality_and_is_measured():
    network, x = cct()
    on = On("signal", network, [0.0] * 3, [1.0] * 3).eval()
    batch = Batch({"signal": x}, torch.zeros(5, dtype=torch.long), torch.arange(5))
    assert torch.equal(on(batch).logits, network(x).logits)
    size = measure(network, (3, 32))
    assert size.parameters == sum(p.numel() for p in network.parameters())
    assert size.macs > measure(WideResNet(3, 4, depth=10, dimensions=1), (3, 32)).macs


class Own(Backbone):
    """A backbone of the user's own."""

    last = "map"

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv1d(3, 8, 4, stride=4)

    def encode(self, x):
        return {"map": self.layer(x)}

    def tokens(self, feature):
        return None, feature.movedim(1, -1)


def test_a_backbone_of_ones_own():
    network = ConceptTransformer((3, 32), 4, network=Own(), spatial_concepts=5).eval()
    x = torch.randn(2, 3, 32)
    assert network(x).features["spatial_attention"].shape == (2, 8, 5)
    other = Own()
    network.start(other)
    assert torch.equal(network(x).features["map"], other.layer(x))


REFUSED = {
    "no concepts": ({"global_concepts": 0, "spatial_concepts": 0}, "there are no concepts"),
    "a name twice": ({"spatial_concepts": ["a", "b", "a"]}, "spatial_concepts: 'a' is there twice"),
    "heads": ({"heads": 5}, r"heads: 5 does not divide 64.*allowed: 1, 2, 4, 8, 16, 32, 64"),
    "dropout": ({"dropout": 1.0}, "dropout: 1.0; allowed: 0 <= dropout < 1"),
    "logit dropout": ({"logit_dropout": -0.1}, "logit_dropout: -0.1"),
    "rounds": ({"rounds": -1}, "rounds: -1; allowed: 0 or more"),
    "places": ({"places": [4, 4]}, r"places: \[4, 4\]; allowed: 1 numbers"),
    "class token": ({"global_input": "class_token"}, "no class token"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_one_sentence(case):
    arguments, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=sentence) as caught:
        cct(**arguments)
    assert "\n" not in str(caught.value)


def test_refuses_networks_without_tokens():
    with pytest.raises(UserError, match="network: found Linear; allowed: a network with stages"):
        ConceptTransformer((3, 32), 4, network=nn.Linear(3, 4), spatial_concepts=2)
    pytest.importorskip("timm")
    mixer = Timm(3, 4, name="mixer_s32_224")
    with pytest.raises(UserError, match="network: MlpMixer ends in a feature of shape"):
        ConceptTransformer((3, 224, 224), 4, network=mixer, spatial_concepts=2)
    with pytest.raises(UserError, match=r"options: timm's 'test_convnext' refuses them"):
        Timm(3, 4, name="test_convnext", options={"depht": 3})


@pytest.mark.parametrize(
    "wrong", [("nowhere", 0), ("spatial", 2), ("spatial", -1), ("global", [0, 7])]
)
def test_refuses_concepts_that_are_not_there(wrong):
    network, x = cct()
    with pytest.raises(ValueError, match="allowed: global 0 to 2, spatial 0 to 1"):
        network.without(x, *wrong)


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_resnet", "test_vit3"])
def test_a_start_from_a_model_of_timm(name):
    pytest.importorskip("timm")
    size = TIMM[name][3]
    plain = Timm(3, 4, name=name)
    network = ConceptTransformer(
        (3, size, size), 4, network=Timm(3, 4, name=name), spatial_concepts=3
    )
    network.start(plain)
    own = network.backbone.network.state_dict()
    theirs = plain.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in own.items())
    assert len(theirs) > len(own)
