"""Weights of convolutions in the order that the fast kernels read."""

from typing import Literal

import torch
from torch import nn

from tutelage.models.network import Network

__all__ = ["LAYOUT", "Layout", "channels_last"]

Layout = Literal["channels_last", "contiguous"]
LAYOUT: Layout = "channels_last"  # of a run that begins


def channels_last(module: nn.Module, within: bool = False) -> None:
    """Lay out the convolutions of networks that allow it with the channels of a pixel side by side, in place.

    Values stay what they are, sums are made in another order: outputs change at rounding.

    Args:
        module: a network, or what holds some.
        within: whether the network that the module is part of allows it.
    """
    if isinstance(module, Network):
        within = module.channels_last
    elif within and isinstance(module, nn.Conv2d):
        module.to(memory_format=torch.channels_last)
    for child in module.children():
        channels_last(child, within)
