"""The mode of networks: training, or evaluation for a while; and where they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

__all__ = ["device_of", "evaluating"]


def device_of(module: nn.Module) -> torch.device:
    """Return where a module is: where its first parameter is, or buffer; the CPU where it has neither."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Hold modules in evaluation mode; then every part of them is in the mode it was in before.

    Gradients are not switched off: whoever wants that says ``torch.no_grad()``.

    Args:
        modules: networks, objectives, or parts of them.
    """
    before = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training
