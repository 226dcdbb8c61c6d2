"""Another memory order of weights: the same function, of the networks that allow it and of no other."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from tutelage.models import SeparableNet, Tapped, WideResNet
from tutelage.models.layout import channels_last
from tutelage.models.network import Network
from tutelage.runs.writer import layout_of
from tutelage.types import Output

FIRST_HOUSE = Path(__file__).parents[1] / "fixtures" / "runs-of-the-first-house"


def by_pixel(layer):
    return layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_outputs_and_gradients_are_those_of_the_other_order(dimensions):
    torch.manual_seed(0)
    plain = WideResNet(3, 4, depth=10, dimensions=dimensions).double()
    laid = copy.deepcopy(plain)
    channels_last(laid)
    wide = [m for m in laid.modules() if isinstance(m, nn.Conv2d) and m.weight.shape[1] > 1]
    assert all(by_pixel(layer) for layer in wide)
    x = torch.randn(5, 3, *[16] * dimensions, dtype=torch.float64)
    one, two = plain(x), laid(x)
    torch.testing.assert_close(two.logits, one.logits, rtol=0, atol=1e-12)
    for name, feature in one.features.items():
        torch.testing.assert_close(two.features[name], feature, rtol=0, atol=1e-12)
    one.logits.square().sum().backward()
    two.logits.square().sum().backward()
    for left, right in zip(plain.parameters(), laid.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-9, atol=1e-9)


class Viewed(Network):
    """A network of a user that takes ``view`` of a feature map."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return Output(self.layer(x).view(len(x), -1), {})


def test_networks_that_did_not_allow_it_stay_as_they_are():
    for network in (Viewed(), Tapped(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()))):
        before = [p.stride() for p in network.parameters()]
        channels_last(network)
        assert [p.stride() for p in network.parameters()] == before
    assert Viewed()(torch.randn(2, 3, 8, 8)).logits.shape == (2, 8 * 36)


def test_a_network_inside_of_another_decides_for_itself():
    outer = nn.ModuleDict({"mine": Viewed(), "small": SeparableNet(3, 4, width=8)})
    channels_last(outer)
    assert not by_pixel(outer["mine"].layer)
    assert any(by_pixel(m) and m.weight.shape[1] > 1
               for m in outer["small"].modules() if isinstance(m, nn.Conv2d))  # fmt: skip


def test_a_run_that_began_before_layouts_were_recorded_goes_on_as_it_began(tmp_path):
    records = sorted(FIRST_HOUSE.rglob("run.json"))
    assert records
    assert {layout_of(path.parent) for path in records} == {"contiguous"}
    assert layout_of(tmp_path) == "channels_last"
