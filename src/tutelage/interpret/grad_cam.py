"""Where in its input a network sees a class: Grad-CAM on the last feature map that has places."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.models import Network
from tutelage.modes import evaluating

__all__ = ["grad_cam", "last_map"]


def grad_cam(network: Network, x: Tensor, classes: Tensor) -> tuple[Tensor, str]:
    """Return how much each place of an input speaks for a class.

    Of each channel of the last feature map the mean gradient of the class score is its weight; the weighted sum of
    the channels, where it is positive, is stretched to the input. Where a network has no such map, it is the input
    times its gradient, summed over channels.

    Args:
        network: from standardised inputs to scores.
        x: standardised inputs, [B, channels, ...].
        classes: whose scores, [B].

    Returns:
        The evidence, [B, ...] with the axes of the input after its channels, at least 0; and the name of the
        feature it was read from, ``input`` where there was none.

    Source:
        Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391.
    """
    with evaluating(network), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        output = network(x)
        score = output.logits.gather(1, classes.unsqueeze(1)).sum()
        reached = {name: one for name, one in output.features.items() if one.requires_grad}
        name = last_map(reached, x.ndim, network.last)
        feature = x if name is None else output.features[name]
        (gradient,) = torch.autograd.grad(score, feature)
    if name is None:
        return F.relu((x * gradient).sum(dim=1)).detach(), "input"
    weights = gradient.flatten(2).mean(dim=2)
    weighed = F.relu(torch.einsum("bc,bc...->b...", weights, feature)).detach().unsqueeze(1)
    mode = "linear" if x.ndim == 3 else "bilinear"
    return F.interpolate(weighed, x.shape[2:], mode=mode, align_corners=False).squeeze(1), name


def last_map(features: Mapping[str, Tensor], axes: int, last: str) -> str | None:
    """Return the name of the last feature with places, the network's own choice first; None where none has.

    Args:
        features: of a network, by name.
        axes: how many a feature with places has: those of the input.
        last: what the network calls its last one.
    """
    there = [name for name, value in features.items() if value.ndim == axes]
    return last if last in there else there[-1] if there else None
