"""Which layer of a network a file cannot hold: each is tried alone."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.models import On

__all__ = ["layer_that_fails"]

Attempt = Callable[[nn.Module, tuple[Tensor, ...]], object]
"""Writes a module for an example of its inputs; raises whatever goes wrong."""


def layer_that_fails(network: On, example: Tensor, attempt: Attempt) -> str:
    """Return the first layer that cannot be written even alone, with its class, or an empty text where all can.

    Parts come before the whole, so a module is named only where each of its parts can be written: then it is what
    it does between them.

    Args:
        network: in evaluation mode, on the CPU.
        example: one batch of inputs, as they are stored.
        attempt: writes a module.
    """
    names = {module: name for name, module in network.network.named_modules()}
    seen = set[str]()
    for module, inputs in _inputs_of(network, example):
        kind = f"{module!r} {[tuple(value.shape) for value in inputs]}"
        if kind in seen:
            continue
        seen.add(kind)
        try:
            attempt(module, inputs)
        except Exception:  # the writers raise whatever a layer made them raise
            name = names[module]
            return f"{name!r} ({type(module).__name__})" if name else type(module).__name__
    return ""


def _inputs_of(network: On, example: Tensor) -> list[tuple[nn.Module, tuple[Tensor, ...]]]:
    """Return every module that is called with tensors alone, in the order in which they end: parts first."""
    found: dict[nn.Module, tuple[Tensor, ...]] = {}

    def note(module: nn.Module, inputs: tuple[Any, ...], _: object) -> None:
        if inputs and all(isinstance(value, Tensor) for value in inputs):
            found.setdefault(module, tuple(value.detach() for value in inputs))

    hooks = [module.register_forward_hook(note) for module in network.network.modules()]
    try:
        with torch.no_grad(), suppress(Exception):  # what failed was told; here it is looked for
            network.on_tensor(example)
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.items())
