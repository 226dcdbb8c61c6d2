"""The network families of the published pairs, against the authors' own code and torchvision.

Golden numbers: HobbitLong/RepDistiller@b84f547c5db6a35318d4671d7d5c4de74c822403 (``models/``), run once; its
parameter counts equal those of megvii-research/mdistiller@a08d46f10d6102bd6e3f258ca5ac880b020ea259 where both
have the network.
"""

import copy
import inspect
import math
import pickle

import pytest
import torch
from torch import nn

from tutelage.models import (
    VGG,
    CifarResNet,
    MobileNetV2,
    On,
    ResNet,
    ShuffleNetV1,
    ShuffleNetV2,
    WideResNet,
)
from tutelage.models._layers import Staged
from tutelage.recipe.instantiate import build
from tutelage.types import Batch

X4 = (32, 64, 128, 256)


def named(value):
    """Short ids: classes by name, long rows of numbers by their first."""
    if isinstance(value, type):
        return value.__name__
    return str(value[0]) if isinstance(value, (list, tuple)) else str(value)


# family, arguments, parameters for 3 channels and 100 classes, and for 10 classes
COUNTS = [
    (CifarResNet, {"depth": 8}, 83_892, 78_042),
    (CifarResNet, {"depth": 14}, 181_108, 175_258),
    (CifarResNet, {"depth": 20}, 278_324, 272_474),
    (CifarResNet, {"depth": 26}, 375_540, 369_690),
    (CifarResNet, {"depth": 32}, 472_756, 466_906),
    (CifarResNet, {"depth": 44}, 667_188, 661_338),
    (CifarResNet, {"depth": 56}, 861_620, 855_770),
    (CifarResNet, {"depth": 110}, 1_736_564, 1_730_714),
    (CifarResNet, {"depth": 8, "widths": X4}, 1_233_540, 1_210_410),
    (CifarResNet, {"depth": 32, "widths": X4}, 7_433_860, 7_410_730),
    (ResNet, {"depth": 10, "stem": "cifar"}, 4_949_412, 4_903_242),
    (ResNet, {"depth": 18, "stem": "cifar"}, 11_220_132, 11_173_962),
    (ResNet, {"depth": 34, "stem": "cifar"}, 21_328_292, 21_282_122),
    (ResNet, {"depth": 50, "stem": "cifar"}, 23_705_252, 23_520_842),
    (VGG, {"depth": 8}, 3_965_028, 3_918_858),
    (VGG, {"depth": 11}, 9_277_284, 9_231_114),
    (VGG, {"depth": 13}, 9_462_180, 9_416_010),
    (VGG, {"depth": 16}, 14_774_436, 14_728_266),
    (VGG, {"depth": 19}, 20_086_692, 20_040_522),
    (VGG, {"depth": 8, "norm": False}, 3_962_084, 3_915_914),
    (VGG, {"depth": 19, "norm": False}, 20_075_684, 20_029_514),
    (MobileNetV2, {}, 812_836, 697_546),
    (MobileNetV2, {"width": 1.0}, 2_353_060, 2_237_770),
    (MobileNetV2, {"width": 1.4, "expansion": 3}, 2_732_776, 2_571_406),
    (ShuffleNetV1, {}, 949_258, 862_768),
    (ShuffleNetV2, {}, 1_355_528, 1_263_278),
    (ShuffleNetV2, {"width": 0.5}, 443_716, 351_466),
    (ShuffleNetV2, {"width": 1.5}, 2_580_548, 2_488_298),
]

# family, arguments, first logits of the second image, and one signature per stage and of the embedding
OUTPUTS = [
    (
        CifarResNet,
        {"depth": 20},
        [3.9418458, -1.8165948, 4.4169551],
        [0.024765322, 0.035921914, 0.030998545, -0.13739387],
    ),
    (
        CifarResNet,
        {"depth": 32, "widths": X4},
        [9.6996331, 3.7048114, 4.0321118],
        [0.048936582, 0.046437213, 0.16940855, 0.045409507],
    ),
    (
        ResNet,
        {"depth": 18, "stem": "cifar"},
        [13.7238, 0.99573034, 4.0867076],
        [0.037608207, 0.02124288, 0.083155833, 0.024457528, 0.11433486],
    ),
    (
        ResNet,
        {"depth": 50, "stem": "cifar"},
        [-0.27149345, 3.9521881, 0.10300023],
        [0.045969872, 0.071976696, 0.072101147, 0.0096120778, -0.017019576],
    ),
    (
        VGG,
        {"depth": 8},
        [0.79188951, 0.53458695, 0.45852377],
        [0.016682266, 0.0010829821, 0.017480272, 0.0034147195, 0.006265763],
    ),
    (
        VGG,
        {"depth": 13},
        [0.65070779, 0.46292618, 0.3865567],
        [0.016961426, 0.019852936, 0.00019432439, 0.0010665169, 0.0039496804],
    ),
    (
        VGG,
        {"depth": 11, "norm": False},
        [1.8318927, 0.43984169, -0.2118532],
        [0.035373955, 0.0042085804, 0.0099181084, 0.018761395, -0.00054867146],
    ),
    (
        MobileNetV2,
        {},
        [5.2979416, 0.52616188, -0.23079417],
        [0.01066887, 0.0051725283, 0.012423935, -0.0049794488, 0.015204921],
    ),
    (
        ShuffleNetV1,
        {},
        [-4.0822357, -9.3774756, -14.256756],
        [0.035882865, 0.1043185, 0.050296539, 0.074477778],
    ),
    (
        ShuffleNetV2,
        {},
        [0.39930536, -0.47003709, -0.66727975],
        [0.012588916, 0.013109508, 0.014698599, -0.012609069],
    ),
]

# one small network per family and form: family, arguments, channels of the stages, reduction of the stages
FORMS = [
    (WideResNet, {"depth": 10}, (16, 32, 64), (1, 2, 4)),
    (CifarResNet, {"depth": 8}, (16, 32, 64), (1, 2, 4)),
    (CifarResNet, {"depth": 8, "widths": X4}, (64, 128, 256), (1, 2, 4)),
    (ResNet, {"depth": 10}, (64, 128, 256, 512), (4, 8, 16, 32)),
    (ResNet, {"depth": 10, "stem": "cifar"}, (64, 128, 256, 512), (1, 2, 4, 8)),
    (ResNet, {"depth": 50}, (256, 512, 1024, 2048), (4, 8, 16, 32)),
    (VGG, {"depth": 8}, (128, 256, 512, 512), (2, 4, 8, 8)),
    (VGG, {"depth": 8, "norm": False, "halvings": 4}, (128, 256, 512, 512), (2, 4, 8, 16)),
    (MobileNetV2, {}, (12, 16, 48, 160), (2, 4, 8, 16)),
    (ShuffleNetV1, {}, (240, 480, 960), (2, 4, 8)),
    (ShuffleNetV2, {}, (116, 232, 464), (2, 4, 8)),
]
FAMILIES = [CifarResNet, ResNet, VGG, MobileNetV2, ShuffleNetV1, ShuffleNetV2, WideResNet]


def count(network):
    return sum(p.numel() for p in network.parameters())


def filled(number, shape):
    """Numbers in [-1, 1] that any machine computes alike."""
    k = torch.arange(math.prod(shape))
    return (((31 * k * k + 17 * k + 101 * number) % 1009).double() / 504 - 1).view(shape)


def fill(network):
    """Give every parameter and buffer a value by its place in the order, which is the authors' order too."""
    for number, p in enumerate(network.parameters()):
        values = filled(number, p.shape)
        kernel = p.ndim > 1
        p.data = values * math.sqrt(6 * len(p) / p.numel()) if kernel else 0.5 + 0.25 * values
    statistics = [b for b in network.buffers() if b.is_floating_point()]
    for number, b in enumerate(statistics):  # running mean and variance in turn
        values = filled(number, b.shape)
        b.data = 1 + 0.5 * values if number % 2 else 0.2 * values
    return network.eval()


def stirred(network, x):
    """The network after one batch, so that running statistics are not 0 and 1."""
    network(x)
    return network.eval()


@pytest.mark.parametrize(("family", "arguments", "hundred", "ten"), COUNTS, ids=named)
def test_parameter_counts_of_the_authors(family, arguments, hundred, ten):
    assert count(family(3, 100, **arguments)) == hundred
    assert count(family(3, 10, **arguments)) == ten


@pytest.mark.parametrize(("family", "arguments", "logits", "signatures"), OUTPUTS, ids=named)
def test_outputs_and_features_of_the_authors(family, arguments, logits, signatures):
    network = fill(family(3, 100, **arguments))
    with torch.no_grad():
        output = network(filled(7, (2, 3, 32, 32)))
    assert output.logits[1, :3].tolist() == pytest.approx(logits, rel=1e-6)
    found = [
        float((f.flatten() * filled(0, (f.numel(),))).mean()) for f in output.features.values()
    ]
    assert found == pytest.approx(signatures, rel=1e-6)


@pytest.mark.parametrize("depth", [10, 18, 34, 50])
def test_imagenet_form_is_torchvisions(depth):
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    if depth == 10:
        theirs = models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
    else:
        theirs = getattr(models, f"resnet{depth}")()
    ours = ResNet(3, 1000, depth=depth)
    assert count(ours) == count(theirs)
    with torch.no_grad():
        for source, target in (
            (theirs.parameters(), ours.parameters()),
            (theirs.buffers(), ours.buffers()),
        ):
            for a, b in zip(source, target, strict=True):
                b.copy_(a)
        for size in (64, 75):
            x = torch.randn(4, 3, size, size)
            for training in (True, False):
                expected = theirs.train(training)(x)
                torch.testing.assert_close(
                    ours.train(training)(x).logits, expected, rtol=1e-5, atol=1e-5
                )


def test_imagenet_form_at_its_own_size():
    network = ResNet(3, 7, depth=10).eval()
    with torch.no_grad():
        output = network(torch.randn(1, 3, 224, 224))
    assert output.features["stage1"].shape == (1, 64, 56, 56)
    assert output.features["stage4"].shape == (1, 512, 7, 7)
    assert output.features["embedding"].shape == (1, 512)


@pytest.mark.parametrize(("family", "arguments", "widths", "reductions"), FORMS, ids=named)
@pytest.mark.parametrize("shape", [(6, 128), (6, 100), (3, 32, 32), (3, 64, 64), (3, 50, 37)])
def test_taps(family, arguments, widths, reductions, shape):
    network = family(shape[0], 5, **arguments, dimensions=len(shape) - 1).eval()
    x = torch.randn(2, *shape)
    with torch.no_grad():
        output, again = network(x), network(x)
        logits, embedding = network.decode(network.encode(x)[network.last])
    assert list(output.features) == [*(f"stage{i + 1}" for i in range(len(widths))), "embedding"]
    assert network.last == list(output.features)[-2]
    # VGG pools without padding and rounds down; strides elsewhere round up.
    rounded = math.floor if family is VGG else math.ceil
    for stage, width, reduction in zip(output.features.values(), widths, reductions, strict=False):
        assert stage.shape == (2, width, *(rounded(n / reduction) for n in shape[1:]))
    assert output.logits.shape == (2, 5)
    assert torch.equal(output.logits, again.logits)
    torch.testing.assert_close(logits, output.logits)
    torch.testing.assert_close(embedding, output.features["embedding"])
    assert embedding.shape == (2, network.head.in_features)


def in_one_dimension(module):
    """The same layers as PyTorch's own 1-D classes."""
    kinds = {nn.MaxPool2d: nn.MaxPool1d, nn.AvgPool2d: nn.AvgPool1d}
    for name, child in module.named_children():
        made = None
        if isinstance(child, nn.Conv2d):
            made = nn.Conv1d(
                child.in_channels,
                child.out_channels,
                child.kernel_size[1],
                stride=child.stride[1],
                padding=child.padding[1],
                groups=child.groups,
                bias=child.bias is not None,
            )
            made.load_state_dict(
                {k: v.squeeze(2) if v.ndim == 4 else v for k, v in child.state_dict().items()}
            )
        elif isinstance(child, nn.BatchNorm2d):
            made = nn.BatchNorm1d(child.num_features)
            made.load_state_dict(child.state_dict())
        elif type(child) in kinds:
            made = kinds[type(child)](child.kernel_size[1], child.stride[1], child.padding[1])
        if made is None:
            in_one_dimension(child)
        else:
            setattr(module, name, made.eval())
    return module


@pytest.mark.parametrize(("family", "arguments"), [form[:2] for form in FORMS[1:]], ids=named)
def test_signals_give_what_conv1d_gives(family, arguments):
    torch.manual_seed(0)
    network = stirred(family(6, 5, **arguments, dimensions=1), torch.randn(16, 6, 90))
    oracle = in_one_dimension(copy.deepcopy(network))
    y = x = torch.randn(4, 6, 90)
    with torch.no_grad():
        y = oracle.stem(y)
        for stage in oracle.stages:
            y = stage(y)
        if isinstance(oracle, (MobileNetV2, ShuffleNetV2)):
            y = oracle.top(y)
        torch.testing.assert_close(network(x).logits, oracle.head(y.mean(-1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("family", "arguments"), [form[:2] for form in FORMS], ids=named)
def test_gradient_reaches_every_parameter(family, arguments):
    torch.manual_seed(0)
    network = family(3, 5, **arguments, dimensions=1)
    logits = network(torch.randn(8, 3, 128)).logits
    nn.functional.cross_entropy(logits, torch.arange(8) % 5).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


@pytest.mark.parametrize(("family", "arguments"), [form[:2] for form in FORMS], ids=named)
def test_pickles_and_runs_on_a_modality_in_channels_last(family, arguments):
    network = family(2, 4, **arguments).eval()
    again = pickle.loads(pickle.dumps(network))
    on = On("image", again, [0.0, 0.0], [1.0, 1.0]).to(memory_format=torch.channels_last)
    x = torch.randn(2, 2, 32, 32)
    batch = Batch({"image": x}, torch.zeros(2, dtype=torch.int64), torch.arange(2))
    with torch.no_grad():
        torch.testing.assert_close(on(batch).logits, network(x).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_docstrings_are_complete(family):
    text = inspect.getdoc(family)
    for section in ("Args:", "Shapes:", "Raises:", "Source:"):
        assert section in text
    for name in inspect.signature(family).parameters:
        assert f"    {name}: " in text
    assert issubclass(family, Staged)


@pytest.mark.parametrize(
    ("family", "arguments", "message"),
    [
        (CifarResNet, {"depth": 18}, r"depth: 18 is not 6n \+ 2; allowed: 8, 14, 20, 26"),
        (CifarResNet, {"depth": 2}, r"depth: 2 is not 6n \+ 2"),
        (CifarResNet, {"widths": (16, 0, 32, 64)}, r"widths: \[16, 0, 32, 64\]; allowed: four"),
        (CifarResNet, {"widths": (16, 32, 64)}, r"widths: \[16, 32, 64\]; allowed: four"),
        (ResNet, {"depth": 20}, r"^depth: 20; allowed: 10, 18, 34, 50$"),
        (ResNet, {"stem": "deep"}, r"^stem: 'deep'; allowed: 'imagenet', 'cifar'$"),
        (VGG, {"depth": 12}, r"^depth: 12; allowed: 8, 11, 13, 16, 19$"),
        (VGG, {"halvings": 5}, r"^halvings: 5; allowed: 3, 4$"),
        (MobileNetV2, {"width": 0.01}, r"^width: 0.01 must be >= 0.0625"),
        (MobileNetV2, {"expansion": 0}, r"^expansion: 0 must be >= 1$"),
        (ShuffleNetV1, {"dimensions": 3}, r"^dimensions: 3 is not allowed; allowed: 1, 2$"),
        (ShuffleNetV2, {"width": 0.7}, r"^width: 0.7; allowed: 0.5, 1, 1.5, 2$"),
    ],
)
def test_impossible_arguments_are_refused_in_one_sentence(family, arguments, message):
    with pytest.raises(ValueError, match=message):
        family(3, 10, **arguments)


@pytest.mark.parametrize(
    ("described", "parameters"),
    [
        ({"type": "CifarResNet", "depth": 8, "widths": [32, 64, 128, 256]}, 1_233_540),
        ({"type": "ResNet", "depth": 50, "stem": "cifar"}, 23_705_252),
        ({"type": "VGG", "depth": 8, "norm": False}, 3_962_084),
        ({"type": "MobileNetV2", "width": 0.5}, 812_836),
        ("ShuffleNetV1", 949_258),
        ({"type": "ShuffleNetV2", "width": 1}, 1_355_528),
    ],
    ids=named,
)
def test_a_recipe_can_name_them(described, parameters):
    given = {"channels": 3, "classes": 100, "dimensions": 2}
    network = build("tutelage.models", described, "network", base=nn.Module, given=given)
    assert count(network) == parameters


def test_shufflenet_v2_has_the_papers_widths_at_two():
    # Table 5 of arXiv:1807.11164 and torchvision's shufflenet_v2_x2_0; RepDistiller has 224 for 244.
    features = ShuffleNetV2(3, 10, width=2).eval()(torch.randn(1, 3, 32, 32)).features
    assert [f.shape[1] for f in features.values()] == [244, 488, 976, 2048]


@pytest.mark.parametrize(("family", "arguments"), [form[:2] for form in FORMS], ids=named)
def test_initialisation_is_the_sources(family, arguments):
    torch.manual_seed(0)
    network = family(3, 100, **arguments)
    largest = max(
        (m for m in network.modules() if isinstance(m, nn.Conv2d)),
        key=lambda m: m.weight.numel(),
    )
    kernel = largest.weight.detach()
    if family in (ShuffleNetV1, ShuffleNetV2):  # the authors leave PyTorch's: U(±1/sqrt(fan-in))
        bound = 1 / math.sqrt(kernel[0].numel())
        assert kernel.abs().max() <= bound
        spread = bound / math.sqrt(3)
    else:  # N(0, 2 / fan-out)
        spread = math.sqrt(2 / (largest.out_channels * math.prod(largest.kernel_size)))
        assert kernel.abs().max() > 3 * spread
    assert float(kernel.std()) == pytest.approx(spread, rel=0.02)
    for module in network.modules():  # every source sets scale 1 and shift 0, or leaves them so
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
            assert (module.eps, module.momentum) == (1e-5, 0.1)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            assert (module.bias == 0).all()
    if family in (VGG, MobileNetV2):
        assert float(network.head.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    else:
        bound = 1 / math.sqrt(network.head.in_features)
        assert float(network.head.weight.detach().std()) == pytest.approx(
            bound / math.sqrt(3), rel=0.05
        )
    assert bool((network.head.bias == 0).all()) == (family in (VGG, MobileNetV2, WideResNet))
