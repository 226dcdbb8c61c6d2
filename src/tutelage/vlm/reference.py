"""Frozen encoders that networks name instead of carrying them along in every checkpoint."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.errors import UserError

__all__ = ["by_reference"]

_KEY = "fingerprint"


def by_reference(encoder: nn.Module, fingerprint: str) -> None:
    """Replace the tensors of a frozen encoder in its state by the hash of where they come from.

    A prompted ViT-L/14 is then a checkpoint of kilobytes, not of gigabytes. Loading compares the hash and leaves
    the encoder's tensors as they are; its parameters, and their count, stay those of the network.

    Args:
        encoder: a frozen module; its ``state_dict`` holds ``fingerprint`` alone from now on.
        fingerprint: of its source.

    Raises:
        UserError: at loading, from a state with another encoder.
    """
    reference = _Reference(fingerprint)
    module: Any = encoder
    module.register_state_dict_post_hook(
        partial(reference.save)
    )  # torch marks it, and cannot mark a method
    module.register_load_state_dict_pre_hook(reference.load)


class _Reference:
    """Both hooks of one encoder."""

    def __init__(self, fingerprint: str) -> None:
        digest = hashlib.sha256(fingerprint.encode()).digest()
        self.digest = torch.tensor(list(digest), dtype=torch.uint8)
        self.whole = False

    def save(self, module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
        """Leave only the hash of what a state holds."""
        if self.whole:
            return
        for key in [key for key in state if key.startswith(prefix)]:
            del state[key]
        state[prefix + _KEY] = self.digest.clone()

    def load(self, module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """Compare the hash, and put the encoder's own tensors where the state has none."""
        found = state.pop(prefix + _KEY, None)
        if found is None or not torch.equal(found.cpu(), self.digest):
            raise UserError(
                "encoder: the checkpoint was trained on another encoder than the one described, or its files have "
                "changed since"
            )
        self.whole = True
        try:
            own: Mapping[str, Tensor] = module.state_dict(prefix=prefix)
        finally:
            self.whole = False
        state.update(own)
