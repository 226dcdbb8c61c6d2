"""What every network answers, and plain modules of a user's own that become networks without moving a name."""

import hashlib
from copy import deepcopy

import pytest
import torch
from torch import nn

from tests.models.plain import Chosen, Plain
from tutelage import checkpoint, models
from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.models import (
    VGG,
    CifarResNet,
    ConceptBottleneck,
    ConceptTransformer,
    LatentWorkspace,
    LinearProbe,
    MobileNetV2,
    Network,
    On,
    ResNet,
    ReusedHead,
    ShuffleNetV1,
    ShuffleNetV2,
    Tapped,
    WideResNet,
    as_network,
    network_class,
)
from tutelage.models.network import concept_numbers, only_teacher
from tutelage.recipe.networks import content_of, load_network, reads_as_is
from tutelage.teachers import state_hash

SIGNAL = {"depth": 10, "dimensions": 1}
MADE = {
    "WideResNet": lambda: WideResNet(3, 5, depth=16, width=2, dimensions=1),
    "VGG": lambda: VGG(3, 5, depth=11),
    "CifarResNet": lambda: CifarResNet(3, 5, depth=14),
    "ResNet": lambda: ResNet(3, 5, depth=50, stem="cifar"),
    "MobileNetV2": lambda: MobileNetV2(3, 5),
    "ShuffleNetV1": lambda: ShuffleNetV1(3, 5),
    "ShuffleNetV2": lambda: ShuffleNetV2(3, 5),
    "LinearProbe": lambda: LinearProbe(3, 5),
    "Tapped": lambda: Tapped(nn.Sequential(nn.Linear(3, 5)), {"a": "0"}),
    "ReusedHead": lambda: ReusedHead(
        3, network=WideResNet(3, 5, depth=10), teacher=CifarResNet(3, 5, depth=8)
    ),
    "LatentWorkspace": lambda: LatentWorkspace(
        (3, 32), network=WideResNet(3, 5, **SIGNAL), heads=2, size=4, count=8
    ),
    "ConceptTransformer": lambda: ConceptTransformer(
        (3, 32),
        5,
        network=WideResNet(3, 5, **SIGNAL),
        spatial_concepts=3,
        global_concepts=2,
    ),
    "ConceptBottleneck": lambda: ConceptBottleneck(
        3, ["a", "b"], selected={"red": ["a"], "long": ["a", "b"]}
    ),
}
# Hash of names and shapes in a checkpoint, and the sum of all sizes at seed 0, before networks had a base class.
LAYOUTS = {
    "WideResNet": ("2c5c154e1b45d235", 17717.1),
    "VGG": ("7d08ef0283aea170", 166152),
    "CifarResNet": ("6d47385b790fd091", 10623.6),
    "ResNet": ("dd86e1cbc94ab862", 768446),
    "MobileNetV2": ("6dfeb69814c2ab1a", 68659.2),
    "ShuffleNetV1": ("9fc2326613109796", 68137),
    "ShuffleNetV2": ("eff73811fc97eb70", 59358.9),
    "LinearProbe": ("472d88538321b0ec", 4.96332),
    "Tapped": ("33cdff03b0141cdb", 4.96332),
    "ReusedHead": ("b608815612735ce2", 5580.7),
    "LatentWorkspace": ("6c2daab2dc840a13", 3438.3),
    "ConceptTransformer": ("d9807875df262192", 11023),
    "ConceptBottleneck": ("b6465c201a61a96b", 6),
}


def names_of(state):
    return "\n".join(f"{name} {list(values.shape)}" for name, values in state.items())


@pytest.mark.parametrize("name", MADE)
def test_checkpoints_keep_their_layout_and_networks_their_first_numbers(name):
    torch.manual_seed(0)
    state = MADE[name]().state_dict()
    layout, total = LAYOUTS[name]
    assert hashlib.sha256(names_of(state).encode()).hexdigest()[:16] == layout
    assert sum(float(v.double().abs().sum()) for v in state.values()) == pytest.approx(total, 1e-4)


def test_all_networks_have_one_base():
    classes = {getattr(models, name) for name in models.__all__}
    networks = {cls for cls in classes if isinstance(cls, type) and issubclass(cls, nn.Module)}
    assert {cls.__name__ for cls in networks if not issubclass(cls, Network)} == {"On"}
    answers = {
        cls.__name__: "".join(
            letter
            for letter, yes in zip(
                "adopt fit names decode explain".split(),
                (cls.adopts(), cls.fits_labels(), cls.knows_names(), cls.decodes(), cls.explains()),
                strict=True,
            )
            if yes
        )
        for cls in networks - {On}
    }
    staged = (
        VGG,
        CifarResNet,
        MobileNetV2,
        ResNet,
        models.SeparableNet,
        ShuffleNetV1,
        ShuffleNetV2,
        WideResNet,
    )
    assert answers == {cls.__name__: "decode" for cls in staged} | {
        "AngularHead": "",
        "Answered": "",
        "ChannelSelection": "decode",
        "ConceptBottleneck": "fitexplain",
        "ConceptTransformer": "decodeexplain",
        "DistilledClip": "adopt",
        "LatentWorkspace": "adopt",
        "LinearProbe": "",
        "Network": "",
        "PromptedClip": "names",
        "Quantised": "",
        "ReusedHead": "adopt",
        "Tapped": "",
        "Timm": "",
        "TinierHAR": "decode",
    }


def test_what_a_network_does_not_write_does_nothing_or_refuses():
    network = LinearProbe(3, 2)
    x = torch.zeros(2, 3)
    assert network.adopt({}, {}) == {} and network.fit_once(x, torch.zeros(2), ["a", "b"]) == {}
    assert network.variants == () and network.concept_names == {} and network.last == ""
    assert not network.as_is and network.content({}) == ""
    network.restrict_classes(["a"])
    other = LinearProbe(3, 2)
    network.start(other)
    assert torch.equal(network.head.weight, other.head.weight)
    for refused in (
        lambda: network.ask(["c"]),
        lambda: network.decode(x),
        lambda: network.explain(x),
        lambda: network.without(x, "text", 0),
        lambda: network.predicting("plain"),
    ):
        with pytest.raises(NotImplementedError, match="LinearProbe"):
            refused()


def test_a_plain_module_becomes_a_network_and_keeps_names_modes_and_copies():
    module = Plain(3, 2)
    before, layers = names_of(module.state_dict()), [name for name, _ in module.named_modules()]
    on = On("vector", module, torch.zeros(3), torch.ones(3))
    assert on.network is module and isinstance(module, Network) and isinstance(module, Plain)
    assert type(module).__name__ == "Plain" and type(module) is network_class(Plain)
    assert names_of(module.state_dict()) == before
    assert [name for name, _ in module.named_modules()] == layers
    assert next(name for name, _ in on.named_parameters()) == "network.shift"
    assert (module.adopts(), module.knows_names(), module.explains()) == (False, False, False)
    again = deepcopy(on)
    again.train()
    assert type(again.network) is type(module) and state_hash(again) == state_hash(on)
    again.network(torch.zeros(4, 3))
    assert float(again.network.seen) == 1 and float(module.seen) == 0
    assert as_network(module) is module  # twice is once


def test_what_a_plain_module_writes_itself_counts():
    network = as_network(Chosen(3, ["a", "b"]))
    assert network.as_is and network.fits_labels() and network.knows_names()
    assert network.fit_once(torch.zeros(5, 3), torch.zeros(5), ["a", "b"]) == {"file": "5 samples"}
    network.restrict_classes(["b"])
    network.ask(["c", "d"])
    assert network.competing == ("b",) and network.class_names == ("c", "d")
    described = {"type": "tests.models.plain.Chosen", "file": "x"}
    assert content_of(described, "network") == "file x" and reads_as_is(described, "network")
    assert content_of({"type": "WideResNet"}, "network") == ""
    assert not reads_as_is({"type": "tests.models.plain.Plain"}, "network")


def test_a_checkpoint_from_before_is_read(tmp_path):
    old = (
        nn.Module()
    )  # as it was: the plain module below ``network``, with the statistics beside it
    old.register_buffer("mean", torch.full((3,), 0.5))
    old.register_buffer("std", torch.full((3,), 2.0))
    old.network = Plain(3, 2).eval()
    nn.init.ones_(old.network.shift)
    spec = {
        "network": {"type": "tests.models.plain.Plain"}, "modality": "vector", "input_shape": [3],
        "class_names": ["a", "b"],
    }  # fmt: skip
    path = tmp_path / "best.safetensors"
    checkpoint.write(path, {"spec": spec, "state": old.state_dict()})
    network, _ = load_network(path)
    assert isinstance(network.network, Network) and state_hash(network) == state_hash(old)
    x = torch.randn(4, 3)
    expected = old.network((x - 0.5) / 2).logits
    torch.testing.assert_close(network.on_tensor(x).logits, expected)


def test_the_mode_of_a_plain_module_is_put_back():
    module = Plain(3, 2)
    on = On("vector", module, torch.zeros(3), torch.ones(3)).train()
    samples = Samples({"vector": torch.randn(6, 3)}, torch.zeros(6, dtype=torch.long), ("a", "b"))
    predict(on, samples, torch.arange(6))
    assert module.training and module.norm.training and float(module.seen) == 0


def test_one_teacher_and_numbers_of_concepts():
    network = LinearProbe(3, 2)
    assert only_teacher({"sig": network}, "it needs one") == ("sig", network)
    with pytest.raises(UserError, match=r"it needs one \(found: none\)"):
        only_teacher({}, "it needs one")
    with pytest.raises(UserError, match=r"\(found: a, b\)"):
        only_teacher({"a": network, "b": network}, "it needs one")
    names = {"text": ("red", "long")}
    assert concept_numbers(names, "text", 1) == [1] and concept_numbers(names, "text", (0, 1)) == [
        0,
        1,
    ]
    for stream, number in (("text", 2), ("text", -1), ("other", 0)):
        with pytest.raises(ValueError, match="allowed: text 0 to 1"):
            concept_numbers(names, stream, number)
