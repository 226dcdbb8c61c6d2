import pytest
import torch
from torch import nn

from tutelage.errors import UserError
from tutelage.models import On, Tapped, Timm, WideResNet, measure
from tutelage.types import Batch

# dimensions, channels, classes, spatial, depth, width -> parameters (kd-methods, section 1.1)
PUBLISHED = [
    (2, 3, 10, (32, 32), 16, 1, 175_066),
    (2, 3, 10, (32, 32), 16, 3, 1_549_530),
    (2, 3, 10, (32, 32), 28, 1, 369_498),
    (2, 3, 10, (32, 32), 28, 3, 3_294_042),
    (2, 3, 10, (32, 32), 40, 2, 2_243_546),
    (2, 6, 10, (50, 50), 16, 3, 1_549_962),
    (2, 40, 12, (64, 64), 16, 1, 180_524),
    (2, 40, 12, (64, 64), 28, 3, 3_299_756),
    (1, 3, 14, (500,), 16, 1, 61_374),
    (1, 3, 14, (500,), 16, 3, 536_254),
    (1, 3, 14, (500,), 28, 1, 126_782),
    (1, 3, 14, (500,), 28, 3, 1_119_550),
    (1, 40, 12, (100,), 16, 1, 63_020),
    (1, 40, 12, (100,), 40, 2, 761_516),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=str)
def test_published_parameter_counts(row):
    dimensions, channels, classes, _, depth, width, parameters = row
    network = WideResNet(channels, classes, depth=depth, width=width, dimensions=dimensions)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("dimensions", "channels", "shape", "classes", "depth", "width", "macs"),
    [
        (2, 3, (32, 32), 10, 16, 1, 26.66e6),
        (2, 3, (32, 32), 10, 16, 3, 223.0e6),
        (1, 3, (500,), 14, 16, 1, 10.06e6),
        (1, 40, (100,), 12, 16, 1, 2.19e6),
    ],
)
def test_published_multiply_adds(dimensions, channels, shape, classes, depth, width, macs):
    network = WideResNet(channels, classes, depth=depth, width=width, dimensions=dimensions)
    assert measure(network, (channels, *shape)).macs == pytest.approx(macs, rel=0.01)


def test_taps_have_the_published_shapes():
    output = WideResNet(3, 14, dimensions=1)(torch.randn(2, 3, 500))
    shapes = {name: tuple(f.shape[1:]) for name, f in output.features.items()}
    assert shapes == {
        "stage1": (16, 500),
        "stage2": (32, 250),
        "stage3": (64, 125),
        "embedding": (64,),
    }
    output = WideResNet(6, 10, width=3)(torch.randn(2, 6, 50, 50))
    assert [tuple(output.features[f"stage{i}"].shape[1:]) for i in (1, 2, 3)] == [
        (48, 50, 50),
        (96, 25, 25),
        (192, 13, 13),
    ]


class Oracle(nn.Module):
    """The same network written with Conv1d, block by block, from the description."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    @staticmethod
    def convolve(layer, x):
        weight = layer.weight.squeeze(2)
        return nn.functional.conv1d(
            x, weight, stride=layer.stride[1], padding=weight.shape[-1] // 2
        )

    @staticmethod
    def norm(layer, x):
        scale = layer.weight / (layer.running_var + layer.eps).sqrt()
        return (x - layer.running_mean[:, None]) * scale[:, None] + layer.bias[:, None]

    def forward(self, x):
        n = self.network
        x = self.convolve(n.stem, x)
        for stage in n.stages:
            for block in stage:
                active = self.norm(block.norm1, x).relu()
                skip = x if block.shortcut is None else self.convolve(block.shortcut, active)
                y = self.norm(block.norm2, self.convolve(block.convolution1, active)).relu()
                x = skip + self.convolve(block.convolution2, y)
        return n.head(self.norm(n.norm, x).relu().mean(-1))


def test_signals_give_what_conv1d_gives():
    torch.manual_seed(0)
    network = WideResNet(3, 5, dimensions=1)
    network(torch.randn(16, 3, 64))  # moves the running statistics away from 0 and 1
    network.eval()
    x = torch.randn(4, 3, 64)
    torch.testing.assert_close(network(x).logits, Oracle(network)(x), rtol=1e-4, atol=1e-5)


def test_decode_of_encode_is_forward():
    network = WideResNet(2, 4, dimensions=1).eval()
    x = torch.randn(3, 2, 40)
    logits, _ = network.decode(network.encode(x)["stage3"])
    torch.testing.assert_close(logits, network(x).logits)


def test_on_standardises_and_carries_its_statistics():
    network = WideResNet(2, 4, dimensions=1)
    on = On("signal", network, [1.0, -2.0], [2.0, 0.5]).eval()
    x = (
        torch.randn(3, 2, 40) * torch.tensor([2.0, 0.5])[:, None]
        + torch.tensor([1.0, -2.0])[:, None]
    )
    batch = Batch({"signal": x}, torch.zeros(3, dtype=torch.int64), torch.arange(3))
    by_hand = torch.stack([(x[:, 0] - 1) / 2, (x[:, 1] + 2) / 0.5], dim=1)
    torch.testing.assert_close(on(batch).logits, network(by_hand).logits)
    assert {"mean", "std"} <= on.state_dict().keys()
    with pytest.raises(ValueError, match="positive"):
        On("signal", network, [0.0], [0.0])


def test_any_module_with_taps():
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    output = Tapped(module, {"hidden": "1"})(torch.randn(5, 4))
    assert output.logits.shape == (5, 3)
    assert output.features["hidden"].shape == (5, 6)
    assert (output.features["hidden"] >= 0).all()
    assert not any(m._forward_hooks for m in module.modules())
    with pytest.raises(UserError, match="unknown layer 'one'"):
        Tapped(module, {"hidden": "one"})


def test_timm_by_name():
    output = Timm(3, 7, name="resnet18")(torch.randn(2, 3, 32, 32))
    assert output.logits.shape == (2, 7)
    assert output.features["stage5"].shape[:2] == (2, 512)
    with pytest.raises(UserError, match=r"did you mean 'resnet18'"):
        Timm(3, 7, name="resnet_18")


@pytest.mark.parametrize(("depth", "width"), [(17, 1), (4, 1), (16, 0)])
def test_impossible_sizes_are_refused(depth, width):
    with pytest.raises(ValueError, match=r"depth|width"):
        WideResNet(3, 10, depth=depth, width=width)
