"""The mode of networks: training, or evaluation for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["evaluating"]


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
