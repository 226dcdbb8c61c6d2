"""Channels chosen by each input: by hand, at full density, and what is exported."""

import numpy as np
import pytest
import torch

from tutelage.models import (
    VGG,
    ChannelSelection,
    CifarResNet,
    MobileNetV2,
    ShuffleNetV2,
    WideResNet,
)

FAMILIES = {
    "WideResNet": lambda: WideResNet(3, 4, depth=10),
    "CifarResNet": lambda: CifarResNet(3, 4, depth=8),
    "VGG": lambda: VGG(3, 4, depth=8),
    "MobileNetV2": lambda: MobileNetV2(3, 4),
    "ShuffleNetV2": lambda: ShuffleNetV2(3, 4),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_of_every_sample_the_most_promising_channels_stay(name):
    torch.manual_seed(0)
    network = ChannelSelection((3, 32, 32), network=FAMILIES[name](), density=0.3).eval()
    for gate in network.gates:
        torch.nn.init.normal_(gate.weight)  # so that samples differ in what they choose
    with torch.no_grad():
        features = network(torch.randn(4, 3, 32, 32) + 3 * torch.randn(4, 3, 1, 1)).features
    for tap in (tap for tap in features if tap.startswith("stage")):
        alive = (features[tap].flatten(2).abs().sum(dim=2) > 0).sum(dim=1)
        assert (alive <= np.ceil(0.3 * features[tap].shape[1])).all()
        assert (alive > 0).any()
    chosen = features["stage1"].flatten(2).abs().sum(dim=2) > 0
    assert not torch.equal(chosen[0], chosen[1])


def test_a_gate_by_hand():
    network = ChannelSelection((3, 16, 16), network=WideResNet(3, 4, depth=10), density=0.5)
    gate = torch.nn.Linear(2, 4)
    gate.weight.data = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [1, 1]])
    gate.bias.data = torch.tensor([0.0, 0.5, 9.0, 0])
    x = torch.tensor(
        [[[[1.0, 3]], [[0.0, 2]]], [[[-4.0, -4]], [[1.0, 1]]]]
    )  # means (2, 1) and (-4, 1)
    # Saliencies: (2, 1.5, 7, 3) and (0, 1.5, 13, 0): the two largest of four stay.
    expected = torch.tensor([[0.0, 0, 7, 3], [0, 1.5, 13, 0]])
    torch.testing.assert_close(network.promise(x, gate), expected)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_with_all_channels_and_even_gates_it_is_the_network_itself(dimensions):
    torch.manual_seed(1)
    plain = WideResNet(3, 4, depth=10, dimensions=dimensions).eval()
    under = WideResNet(3, 4, depth=10, dimensions=dimensions)
    network = ChannelSelection((3, *(16,) * dimensions), network=under, density=1.0).eval()
    network.start(plain)
    for gate in network.gates:
        torch.nn.init.zeros_(gate.weight)
    x = torch.randn(2, 3, *(16,) * dimensions)
    with torch.no_grad():
        ours, theirs = network(x), plain(x)
    torch.testing.assert_close(ours.logits, theirs.logits)
    assert ours.features.keys() == theirs.features.keys()
    assert all(torch.allclose(ours.features[k], theirs.features[k]) for k in theirs.features)


def test_gates_learn_from_the_labels():
    torch.manual_seed(2)
    network = ChannelSelection((3, 16, 16), network=WideResNet(3, 4, depth=10), density=0.5)
    torch.nn.functional.cross_entropy(
        network(torch.randn(8, 3, 16, 16)).logits, torch.arange(8) % 4
    ).backward()
    assert all(bool(p.grad.abs().sum() > 0) for p in network.gates.parameters())


@pytest.mark.parametrize("density", [0.0, 1.5])
def test_a_share_out_of_range_is_refused(density):
    with pytest.raises(ValueError, match="density"):
        ChannelSelection((3, 16, 16), network=WideResNet(3, 4, depth=10), density=density)


def test_it_is_exported_as_it_predicts(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(3)
    network = ChannelSelection(
        (2, 32), network=WideResNet(2, 4, depth=10, dimensions=1), density=0.4
    )
    network.eval()

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x).logits

    x = torch.randn(1, 2, 32)
    torch.onnx.export(Logits().eval(), (x,), tmp_path / "it.onnx", dynamo=False)
    session = runtime.InferenceSession(tmp_path / "it.onnx")
    (said,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(said, network(x).logits.detach().numpy(), rtol=1e-3, atol=1e-4)
