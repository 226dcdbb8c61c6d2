"""Any module as a student or teacher, with features tapped by layer path."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from tutelage.errors import unknown
from tutelage.models.network import Network
from tutelage.types import Output


class Tapped(Network):
    """Wraps a module that returns logits and records named layers on the way.

    Args:
        module: any module whose forward returns logits [B, C].
        taps: feature name -> layer path inside ``module``, for example ``{"stage3": "layer3"}``.

    Shapes:
        -> logits [B, C] and one feature per tap, as the layer returns it.

    Raises:
        UserError: a path names no layer of the module.
    """

    def __init__(self, module: nn.Module, taps: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.module = module
        self.taps = dict(taps or {})
        layers = dict(module.named_modules())
        for name, path in self.taps.items():
            if path not in layers:
                raise unknown(f"taps.{name}", "layer", path, [layer for layer in layers if layer])

    def forward(self, x: Tensor) -> Output:
        """Return logits and tapped features."""
        return Output(*self.through(self.module, x))

    def through(
        self, call: Callable[[Tensor], Tensor], x: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a call that runs the module, or a part of it, gives, and the features tapped on the way."""
        features: dict[str, Tensor] = {}
        # Hooks live for one call only: two wrappers of one module never see each other's features.
        layers = dict(self.module.named_modules())
        handles = [
            layers[path].register_forward_hook(partial(_keep, features, name))
            for name, path in self.taps.items()
        ]
        try:
            answer = call(x)
        finally:
            for handle in handles:
                handle.remove()
        return answer, features


def _keep(
    features: dict[str, Tensor], name: str, module: nn.Module, inputs: Any, output: Tensor
) -> None:
    features[name] = output
