"""Grad-CAM is captum's; on an input whose answer is known it finds the place."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tutelage.interpret.grad_cam import grad_cam
from tutelage.models import SeparableNet, Tapped, WideResNet
from tutelage.types import Output

captum = pytest.importorskip("captum.attr")


class Scores(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).logits


@pytest.mark.parametrize(
    ("make", "dimensions"),
    [
        (lambda: WideResNet(3, 4, dimensions=1), 1),
        (lambda: WideResNet(3, 4, dimensions=2), 2),
        (lambda: SeparableNet(3, 4, width=8), 1),
    ],
)
def test_it_is_that_of_captum(make, dimensions):
    torch.manual_seed(0)
    net = make()
    for layer in net.modules():  # statistics of an untrained network say nothing
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
    net.eval()
    x, classes = torch.randn(5, 3, *[32] * dimensions), torch.tensor([0, 1, 2, 3, 0])
    found, name = grad_cam(net, x, classes)
    theirs = captum.LayerGradCam(Scores(net), net.stages[-1]).attribute(
        x, classes, relu_attributions=True
    )
    assert name == net.last and found.shape == (5, *x.shape[2:])
    theirs = theirs.squeeze(2) if dimensions == 1 else theirs
    mode = "linear" if dimensions == 1 else "bilinear"
    expected = F.interpolate(theirs, x.shape[2:], mode=mode).squeeze(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert not any(p.grad is not None for p in net.parameters())


class Bump(nn.Module):
    """The score of class 1 is the mean of the first channel; there are no features."""

    def forward(self, x):
        return torch.stack([-x[:, 0].mean(dim=1), x[:, 0].mean(dim=1)], dim=1)


def test_a_network_without_features_gives_its_input_times_the_gradient():
    x = torch.zeros(1, 2, 16)
    x[0, 0, 4:7] = 3.0
    found, name = grad_cam(Tapped(Bump()), x, torch.tensor([1]))
    assert name == "input"
    assert found[0].nonzero().flatten().tolist() == [4, 5, 6]
    torch.testing.assert_close(found[0, 4:7], torch.full((3,), 3.0 / 16))


def test_frozen_networks_and_networks_around_others_have_evidence_too():
    torch.manual_seed(0)
    inner = SeparableNet(3, 4, width=8)
    inner.requires_grad_(False)
    found, _ = grad_cam(inner, torch.randn(2, 3, 64), torch.tensor([0, 1]))
    assert found.shape == (2, 64) and found.isfinite().all()
    assert isinstance(inner(torch.randn(2, 3, 64)), Output)
