"""A student with a workspace as it is deployed: sizes, modes, checkpoints and export, without any teacher."""

import io

import numpy as np
import pytest
import torch
from torch import nn

from tests.doubles.workspace import (
    Case,
    Tiny,
    below,
    decode,
    network_of,
    numbers,
    scrambled,
    transfer,
)
from tutelage.errors import UserError
from tutelage.models import CifarResNet, LatentWorkspace, On, ResNet, WideResNet, measure
from tutelage.recipe.instantiate import build
from tutelage.recipe.networks import load_network, make_network, save_network
from tutelage.training.student import start_from

TINY = {"type": "tests.doubles.workspace.Tiny"}
SHAPES = {1: (2, 16), 2: (2, 8, 6)}


def on(description, shape=(2, 16), seed=0):
    """A network as a recipe describes it, on an input of this shape."""
    return make_network(
        description,
        place="here",
        modality="signal",
        input_shape=shape,
        class_names=list("abcde"),
        statistics=(torch.tensor([0.5] * shape[0]), torch.tensor([2.0] * shape[0])),
        seed=seed,
    )


def teacher(channels, *space):
    """A network with one stage, and its output for a sample."""
    found = Tiny(2, 5, widths=(3, 4, channels), dimensions=len(space)).eval()
    with torch.no_grad():
        return found, found(torch.zeros(1, 2, *(4 * n for n in space)))


def adopted(network, **teachers):
    made = {name: teacher(*shape) for name, shape in teachers.items()}
    networks, outputs = ({n: pair[i] for n, pair in made.items()} for i in (0, 1))
    return network.adopt(networks, outputs)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("tokens", ["channels", "positions"])
def test_shapes(dimensions, tokens):
    case = Case({}, shape=SHAPES[dimensions], tokens=tokens)
    network = network_of(case)
    space = (4,) if dimensions == 1 else (2, 2)
    count, size = (6, 4) if tokens == "channels" else (4, 6)
    assert network.own == (count, size)
    assert network.slots.shape == (3, size)
    found = network(torch.randn(7, *case.shape))
    assert found.logits.shape == (7, 5)
    shapes = {name: tuple(f.shape[1:]) for name, f in found.features.items()}
    assert shapes["stage3"] == (6, *space)
    assert shapes["slot_scores"] == (count, 3)
    assert shapes["embedding"] == (6,)
    assert shapes.keys() == {"stage1", "stage2", "stage3", "slot_scores", "embedding"}


@pytest.mark.parametrize(("window", "size"), [(500, 125), (1000, 250)])
def test_published_sizes(window, size):
    inner = WideResNet(3, 14, depth=10, dimensions=1)
    alone = sum(p.numel() for p in inner.parameters())
    network = LatentWorkspace((3, window), network=inner)
    assert network.own == (64, size)
    assert network.slots.shape == (5, size)
    assert network.heads == 5
    # Slots, W_Q (D x D) and W_KV (D x 2 D), nothing else: no bias, no projection behind the heads.
    assert measure(network, (3, window)).parameters == alone + 5 * size + 3 * size**2
    limit = (6 / (5 + size)) ** 0.5  # Xavier, uniform
    assert 0.95 * limit < network.slots.abs().max() <= limit


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(
    ("tokens", "count", "size"), [("channels", None, None), ("channels", 4, 2), ("positions", 3, 4)]
)
def test_modes_against_the_slow_version(dimensions, tokens, count, size):
    case = Case({}, shape=SHAPES[dimensions], tokens=tokens, count=count, size=size)
    network = scrambled(network_of(case), 3).double().eval()
    x = torch.randn(4, *case.shape, dtype=torch.float64)
    p = numbers(network)
    for mode, slots in {"initial_slots": p["slots"], "ema_slots": p["average"]}.items():
        with network.predicting(mode):
            found = network(x)
        for i in range(len(x)):
            own = found.features["stage3"][i].detach().numpy()
            enriched, scores = transfer(own, slots, p, case.heads, tokens)
            statistics = p["network.norm.running_mean"], p["network.norm.running_var"]
            expected = decode(enriched, below(p, "network."), *statistics)
            np.testing.assert_allclose(found.logits[i].detach(), expected, rtol=1e-8)
            np.testing.assert_allclose(found.features["slot_scores"][i].detach(), scores, rtol=1e-8)
            assert abs(expected - decode(own, below(p, "network."), *statistics)).max() > 1e-3


@pytest.mark.parametrize("training", [False, True])
def test_plain_is_the_network_inside_exactly(training):
    case = Case({})
    network = network_of(case, inference="plain").train(training)
    x = torch.randn(4, *case.shape)
    found, inner = network(x), network.network(x)
    assert torch.equal(found.logits, inner.logits)
    assert found.features.keys() == inner.features.keys()
    assert all(torch.equal(found.features[name], f) for name, f in inner.features.items())


def test_variants_are_the_other_modes():
    x = torch.randn(4, 2, 16)
    modes = ("initial_slots", "ema_slots", "plain")
    networks = {m: scrambled(network_of(Case({}), inference=m), 1).eval() for m in modes}
    for mode, network in networks.items():
        assert network.variants == tuple(other for other in modes if other != mode)
        own = network(x).logits
        for other in network.variants:
            with network.predicting(other):
                assert torch.equal(network(x).logits, networks[other](x).logits)
                assert not torch.equal(network(x).logits, own)
        with pytest.raises(RuntimeError), network.predicting("plain"):
            raise RuntimeError
        assert network.inference == mode
        assert torch.equal(network(x).logits, own)


def test_scores_are_left_out_in_training_only():
    network = network_of(Case({}), dropout=0.5)
    feature = torch.randn(4, 6, 4)
    network.eval()
    assert torch.equal(*(network.transfer(feature, network.slots)[0] for _ in range(2)))
    network.train()
    assert not torch.equal(*(network.transfer(feature, network.slots)[0] for _ in range(2)))


@pytest.mark.parametrize(
    ("tokens", "teachers", "expected"),
    [
        ("channels", {"pi": (8, 3, 4), "sig": (9, 5)}, (6, 4)),
        ("channels", {"sig": (5, 2)}, (5, 2)),
        ("channels", {"pi": (3, 3, 3), "sig": (9, 2)}, (3, 2)),
        ("positions", {"pi": (8, 1, 2), "sig": (4, 5)}, (2, 4)),
        ("positions", {"sig": (9, 5)}, (4, 6)),
        ("channels", {}, (6, 4)),
    ],
)
def test_adopting_takes_the_smallest_sizes(tokens, teachers, expected):
    network = network_of(Case({}, tokens=tokens))
    settled = adopted(network, **teachers)
    assert settled == dict(zip(("count", "size"), expected, strict=True))
    assert (network.count, network.size) == expected
    assert network.slots.shape == network.average.shape == (3, expected[1])
    assert torch.equal(network.slots, network.average)
    assert (network.fewer is None) == (network.more is None) == (expected[0] == network.own[0])
    assert network(torch.zeros(2, 2, 16)).features["slot_scores"].shape == (2, expected[0], 3)


def test_sizes_that_are_given_stay():
    network = network_of(Case({}, count=5, size=2))
    kept = network.slots
    assert adopted(network, sig=(3, 2)) == {"count": 5, "size": 2}
    assert network.slots is kept
    network = network_of(Case({}, size=2))
    assert adopted(network, sig=(3, 1)) == {"count": 3, "size": 2}


def test_sizes_come_from_the_stage_that_objectives_ask_all_teachers_for():
    network = network_of(Case({}, heads=1))
    other = ResNet(2, 5, depth=18, dimensions=2)
    with torch.no_grad():
        output = other.eval()(torch.zeros(1, 2, 24, 64))
    assert (network.last, other.last) == ("stage3", "stage4")
    for tap in ("stage3", "stage4"):  # its own last stage where the student's name is unknown
        own = output.features[tap]
        assert network.adopt({"image": other}, {"image": output}) == {
            "count": min(6, own.shape[1]),
            "size": min(4, own.shape[2] * own.shape[3]),
        }
        del output.features[tap]
    with pytest.raises(UserError, match=r"teacher 'image' has no feature 'stage4', its last stage"):
        network.adopt({"image": other}, {"image": output})


@pytest.mark.parametrize("mode", ["initial_slots", "ema_slots", "plain"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_checkpoints_need_no_teacher(tmp_path, mode, dimensions):
    description = {
        "type": "LatentWorkspace", "network": TINY, "heads": 2, "slots": 3, "inference": mode
    }  # fmt: skip
    shape = SHAPES[dimensions]
    student = on(description, shape)
    settled = adopted(student.network, pi=(5, 1, 2), sig=(7, 3))
    assert settled == {"count": 5, "size": 2}
    scrambled(student.network, 5)
    student.eval()
    spec = {
        "network": description | settled,
        "modality": "signal",
        "input_shape": list(shape),
        "class_names": list("abcde"),
    }
    save_network(tmp_path / "it.safetensors", student, spec)
    found, read = load_network(tmp_path / "it.safetensors")
    assert read == spec
    state = found.state_dict()
    assert state.keys() == student.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in student.state_dict().items())
    x = torch.randn(6, *shape)
    assert torch.equal(found.on_tensor(x).logits, student.on_tensor(x).logits)
    for other in student.network.variants:
        with student.network.predicting(other), found.network.predicting(other):
            assert torch.equal(found.on_tensor(x).logits, student.on_tensor(x).logits)
    assert measure(found.network, shape) == measure(student.network, shape)


def test_a_start_takes_the_network_inside():
    plain, network = (
        on(TINY, seed=1),
        on({"type": "LatentWorkspace", "network": TINY, "heads": 2}, seed=2),
    )
    slots = network.network.slots.clone()
    start_from(network, plain, "stages.it", "alone")
    expected = plain.network.state_dict()
    own = network.network.network.state_dict()
    assert all(torch.equal(own[key], value) for key, value in expected.items())
    assert torch.equal(network.network.slots, slots)
    x = torch.randn(4, 2, 16)
    network.eval()
    plain.eval()
    with network.network.predicting("plain"):
        assert torch.equal(network.network(x).logits, plain.network(x).logits)
    other = on({"type": "LatentWorkspace", "network": TINY, "heads": 1, "slots": 7}, seed=3)
    start_from(network, other, "stages.it", "workspace")
    own = network.network.network.state_dict()
    expected = other.network.network.state_dict()
    assert all(torch.equal(own[key], value) for key, value in expected.items())
    assert torch.equal(network.network.slots, slots)
    wider = on({**TINY, "widths": [3, 4, 8]})
    with pytest.raises(
        UserError, match=r"stages\.it\.start_from: the network of 'wider' has other"
    ):
        start_from(network, wider, "stages.it", "wider")


def test_students_start_from_the_same_numbers_with_or_without_a_workspace():
    alone = on(TINY, seed=4).network.state_dict()
    for order in (("type", "network", "heads"), ("heads", "network", "type")):
        described = {"type": "LatentWorkspace", "network": TINY, "heads": 2}
        network = on({key: described[key] for key in order}, seed=4).network
        own = network.network.state_dict()
        assert all(torch.equal(own[key], value) for key, value in alone.items())
        assert torch.equal(network.slots, on(described, seed=4).network.slots)


class Alone(nn.Module):
    """What is exported: logits of a bare signal."""

    def __init__(self, student):
        super().__init__()
        self.student = student

    def forward(self, x):
        return self.student.on_tensor(x).logits


@pytest.mark.parametrize("mode", ["initial_slots", "ema_slots", "plain"])
@pytest.mark.parametrize("smaller", [False, True])
def test_exported_it_predicts_from_the_signal_alone(mode, smaller):
    description = {"type": "LatentWorkspace", "network": TINY, "heads": 2, "inference": mode}
    if smaller:
        description |= {"count": 4, "size": 2}
    student = on(description)
    scrambled(student.network, 5)
    student.eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(
        Alone(student), (torch.randn(3, 2, 16),), dynamic_shapes=({0: batch},)
    )
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    x = torch.randn(9, 2, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), student.on_tensor(x).logits)


@pytest.mark.parametrize(
    "family",
    ["WideResNet", "CifarResNet", "ResNet", "VGG", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2"],
)
def test_every_family_can_have_a_workspace(family):
    given = {"channels": 2, "classes": 5, "dimensions": 1, "shape": [2, 128]}
    network = build(
        "tutelage.models",
        {"type": "LatentWorkspace", "network": family, "heads": 1, "tokens": "positions"},
        "here",
        given=given,
    ).eval()
    found = network(torch.randn(2, 2, 128))
    assert found.logits.shape == (2, 5)
    scores = found.features["slot_scores"]
    torch.testing.assert_close(scores.sum(2), torch.ones_like(scores[:, :, 0]))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"slots": 0}, "slots: 0; allowed: at least 1"),
        ({"dropout": 1.0}, r"dropout: 1\.0; allowed: 0 <= dropout < 1"),
        ({"dropout": -0.1}, r"dropout: -0\.1"),
        (
            {"heads": 5},
            r"heads: 5 does not divide 4, the size of a token in .* \(allowed: 1, 2, 4\)",
        ),
        (
            {"size": 9},
            r"heads: 2 does not divide 9, the size of a token in the workspace \(allowed: 1, 3, 9\)",
        ),
        ({"inference": "teachers"}, "inference: found 'teachers'; allowed: 'initial_slots' or "),
        ({"network": "Timm"}, "unknown network 'Timm'"),
        ({"shape": [2, 16]}, "here.shape: follows from the data"),
    ],
)
def test_impossible_descriptions_are_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        on({"type": "LatentWorkspace", "network": TINY, "heads": 2} | changes)


def test_teachers_for_which_the_heads_do_not_divide_are_refused():
    network = network_of(Case({}))
    sentence = r"network: heads: 2 does not divide 3, .* in the workspace \(allowed: 1, 3\)"
    with pytest.raises(UserError, match=sentence):
        adopted(network, sig=(8, 3))


def test_it_is_only_built_on_networks_that_can_encode_and_decode():
    assert isinstance(on({"type": "LatentWorkspace", "network": TINY, "heads": 2}), On)
    inner = CifarResNet(2, 5, depth=8, widths=(4, 4, 4, 4), dimensions=1)
    network = LatentWorkspace((2, 32), network=inner, heads=1)
    assert network.last == inner.last == "stage3"
