"""Networks with simulated int8, against integer arithmetic done by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tutelage.models import (
    CifarResNet,
    On,
    Quantised,
    SeparableNet,
    ShuffleNetV2,
    TinierHAR,
    WideResNet,
)
from tutelage.models.quantised.coding import ValueRange, coded_weight
from tutelage.models.quantised.plan import make_plan
from tutelage.types import Output


class Tiny(nn.Module):
    """One convolution with batch normalisation and ReLU, a mean, a linear layer."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 3, (1, 3), padding=(0, 1))
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        x = F.relu(self.norm(self.convolution(x.unsqueeze(2))))
        return Output(self.head(x.mean(dim=(2, 3))), {"stage1": x.squeeze(2)})


def shown(count=64, channels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, 16, generator=generator)


def settled(plain, channels=2, batches=20):
    torch.manual_seed(0)
    network = Quantised(network=plain, settle=batches).train()
    for number in range(batches):
        network(shown(channels=channels, seed=number))
    return network.eval()


def test_scores_are_those_of_integer_arithmetic():
    """The file's own arithmetic: int8 codes, 32-bit sums and biases, one multiplier per channel."""
    torch.manual_seed(1)
    network = settled(Tiny())
    x = shown(8, seed=99)
    scale = {name: network.ranges[name].coding() for name in network.ranges}
    layers = {o.kind: o for o in network.plan.operations}
    names = [o.name for o in network.plan.operations if o.coded]

    def codes(values, name):
        found = np.round(values / scale[name].scale) + scale[name].zero_point
        return np.clip(found, -128, 127).astype(np.int64)

    def layer(kind):
        weight, bias = (part.detach().double().numpy() for part in network.folded(layers[kind]))
        step = np.abs(weight).reshape(len(weight), -1).max(axis=1) / 127
        return np.round(weight / step.reshape(-1, *[1] * (weight.ndim - 1))), step, bias

    read = codes(x.double().numpy(), "input") - scale["input"].zero_point
    weight, step, bias = layer("convolution")
    padded = np.pad(read, ((0, 0), (0, 0), (1, 1)))
    sums = sum(
        np.einsum("bit,oi->bot", padded[:, :, k : k + 16], weight[:, :, 0, k]) for k in range(3)
    )
    unit = step * scale["input"].scale
    values = np.maximum(0, (sums + np.round(bias / unit)[:, None]) * unit[:, None])
    hidden = codes(values, names[0])
    assert hidden.min() == -128 and len(np.unique(hidden)) > 30
    mean = codes(
        ((hidden - scale[names[0]].zero_point) * scale[names[0]].scale).mean(axis=2), names[1]
    )
    weight, step, bias = layer("linear")
    unit = step * scale[names[1]].scale
    sums = (mean - scale[names[1]].zero_point) @ weight.T
    wanted = codes((sums + np.round(bias / unit)) * unit, names[2])
    with torch.no_grad():
        found = network(x)
    last = scale[names[2]]
    apart = codes(found.logits.double().numpy(), names[2]) - wanted
    assert np.abs(apart).max() <= 1 and (apart == 0).mean() > 0.9
    grid = found.logits / last.scale
    assert torch.allclose(grid, grid.round(), atol=1e-3)


def test_ranges_are_means_first_then_moving_and_hold_zero():
    found = ValueRange()
    for low, high in ((-1.0, 3.0), (-2.0, 5.0)):
        found.observe(torch.tensor([low, high]))
    assert (float(found.low), float(found.high)) == (-1.5, 4.0)
    for _ in range(400):
        found.observe(torch.tensor([2.0, 8.0]))
    assert float(found.low) == pytest.approx(0, abs=1e-6)
    assert float(found.high) == pytest.approx(8, abs=1e-5)
    coding = found.coding()
    assert coding.zero_point == -128 and coding.greatest == pytest.approx(8, abs=1e-5)


def test_weights_have_a_grid_per_channel_and_gradients_pass():
    weight = torch.tensor([[[[1.0, -0.5]]], [[[0.004, 0.3]]]], requires_grad=True)
    coded = coded_weight(weight)
    steps = coded.detach() / torch.tensor([1.0, 0.3]).view(-1, 1, 1, 1) * 127
    assert torch.allclose(steps.flatten(), torch.tensor([127.0, -64.0, 2.0, 127.0]), atol=1e-3)
    coded.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_it_learns_in_floating_point_until_it_has_settled_then_everything_is_frozen():
    torch.manual_seed(0)
    plain = SeparableNet(2, 3, width=4)
    network = Quantised(network=deepcopy(plain), settle=3).train()
    for number in range(3):
        x = shown(seed=number)
        assert torch.allclose(network(x).logits, plain.train()(x).logits, atol=1e-6)
    before = deepcopy(network.state_dict())
    logits = network(shown(seed=9)).logits
    logits.square().sum().backward()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    step = network.coding(network.plan.logits).scale
    assert (logits - network.eval()(shown(seed=9)).logits).abs().max() <= 1.01 * step


@pytest.mark.parametrize(
    "plain",
    [
        lambda: SeparableNet(2, 3, width=4),
        lambda: WideResNet(2, 3, depth=10, dimensions=1),
        lambda: CifarResNet(2, 3, depth=8, dimensions=1),
    ],
)
def test_a_plan_computes_what_the_network_computes(plain):
    torch.manual_seed(0)
    own = plain()
    for number in range(3):
        own.train()(shown(seed=number))
    network = Quantised(network=own).eval()
    found, wanted = network(shown()), own.eval()(shown())
    assert torch.allclose(found.logits, wanted.logits, atol=1e-5)
    assert found.features.keys() == wanted.features.keys()
    for name, value in wanted.features.items():
        assert torch.allclose(found.features[name], value, atol=1e-4), name


def test_every_normalisation_stands_in_its_convolution():
    operations = make_plan(SeparableNet(2, 3, width=4)).operations
    kinds = [operation.kind for operation in operations if operation.coded]
    assert kinds == ["convolution"] * 7 + ["mean", "linear"]
    assert all(o.norm and o.active for o in operations if o.kind == "convolution")


@pytest.mark.parametrize(
    ("plain", "what"),
    [
        (lambda: ShuffleNetV2(3, 2), "ShuffleNetV2 uses cat"),
        (lambda: TinierHAR((2, 16), 3), "TinierHAR uses GRU"),
    ],
)
def test_what_is_not_simulated_is_named(plain, what):
    with pytest.raises(ValueError, match=what):
        Quantised(network=plain())


def test_raw_inputs_are_coded_before_they_are_standardised():
    torch.manual_seed(0)
    on = On("signal", Quantised(network=Tiny(), settle=1), [5.0, -1.0], [2.0, 0.5]).train()
    raw = shown() * torch.tensor([2.0, 0.5]).view(1, 2, 1) + torch.tensor([5.0, -1.0]).view(1, 2, 1)
    on.on_tensor(raw)
    on.eval()
    coding = on.network.ranges["sensed"].coding()
    assert coding.least < -1 and coding.greatest > 5
    near = (torch.round(raw / coding.scale) * coding.scale).clamp(coding.least, coding.greatest)
    assert torch.equal(on.on_tensor(raw).logits, on.on_tensor(near).logits)
