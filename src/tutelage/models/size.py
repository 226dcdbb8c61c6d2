"""How large a network is and how much one prediction costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from tutelage.modes import device_of, evaluating


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a network on one input.

    Args:
        parameters: trainable numbers.
        macs: multiply-adds of one forward pass of one sample (convolutions and matrix products).
    """

    parameters: int
    macs: int


def measure(network: nn.Module, input_shape: Sequence[int]) -> Size:
    """Count parameters and multiply-adds.

    Args:
        network: takes one tensor [1, *input_shape].
        input_shape: shape of one sample without the batch axis.

    Returns:
        The counts; the network's mode and buffers are left as they were.
    """
    device = device_of(network)
    # Detached: a view of a parameter asks for a gradient even under no_grad, which the counter cannot follow.
    frozen = {name: parameter.detach() for name, parameter in network.named_parameters()}
    x = torch.zeros(1, *input_shape, device=device)
    with evaluating(network), torch.no_grad():
        # Once before: what is computed once for all predictions is no part of one.
        functional_call(network, frozen, (x,))
        with FlopCounterMode(display=False) as counter:
            functional_call(network, frozen, (x,))
    parameters = sum(p.numel() for p in network.parameters())
    return Size(parameters, counter.get_total_flops() // 2)
