"""What a network's last stage says of each place: tokens for a head that explains itself."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.models._layers import Staged
from tutelage.models.network import Network
from tutelage.models.timm_model import Timm, channels_last, said
from tutelage.modes import evaluating


class Backbone(nn.Module, ABC):
    """A network without its head, whose last stage is read as tokens.

    A token of a place is the embedding that the network would give to that place alone: what stands between the
    last stage and the head (a norm, an activation, a 1x1 convolution) is applied place by place. A subclass names
    its last feature.
    """

    last: str

    @abstractmethod
    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return features by name of standardised inputs; that of the last stage is named ``last``."""

    @abstractmethod
    def tokens(self, feature: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the tokens of a last-stage feature.

        Returns:
            The class token [B, 1, D], or None where the network has none, and the tokens of the places,
            [B, *places, D].
        """

    def start(self, other: Network) -> None:
        """Take the weights of a whole network, but for its head.

        Raises:
            RuntimeError: it has other layers or sizes.
        """
        self.load_state_dict(other.state_dict())

    def facts(self, shape: Sequence[int]) -> tuple[bool, tuple[int, ...], int]:
        """Return whether there is a class token, the places, and D, for one input of this shape."""
        with evaluating(self), torch.no_grad():
            first, tokens = self.tokens(self.encode(torch.zeros(1, *shape))[self.last])
        return first is not None, tuple(tokens.shape[1:-1]), tokens.shape[-1]


class StagedBackbone(Backbone):
    """The stages of one of our own networks, on signals or images.

    Args:
        network: its linear head is dropped.
    """

    def __init__(self, network: Staged) -> None:
        super().__init__()
        self.network, self.last = network, network.last
        del network.head

    def start(self, other: Network) -> None:
        """Take the weights of a network of the same kind, but for its head."""
        _start(self.network, other, ("head.",))

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the stages by name."""
        return self.network.encode(x)

    def tokens(self, feature: Tensor) -> tuple[None, Tensor]:
        """Return no class token, and the embedding of each place, [B, *places, D]."""
        x = feature.movedim(1, -1)
        alone = self.network.embed(x.reshape(-1, x.shape[-1], 1, 1))
        return None, alone.view(*x.shape[:-1], -1)


class TimmBackbone(Backbone):
    """A timm model without its classifier: transformers with a class token, or maps of any layout.

    Args:
        network: its classifier is dropped.

    Raises:
        UserError: the model gives neither a map nor tokens on a grid.
    """

    last = "tokens"

    def __init__(self, network: Timm) -> None:
        super().__init__()
        self.network = network
        model: Any = network.model
        names = model.pretrained_cfg.get("classifier") or ()
        names = (names,) if isinstance(names, str) else tuple(names)
        self.dropped = tuple(f"tapped.module.{name}." for name in (*names, "attn_pool"))
        model.reset_classifier(0)
        if said(model, "attn_pool", None) is not None:  # it pools for the classifier alone
            model.attn_pool = None
        self.channels_last = channels_last(model)
        self.prefix: int = said(model, "num_prefix_tokens", 0)
        self.grid: tuple[int, int] = said(said(model, "patch_embed", None), "grid_size", (0, 0))

    def start(self, other: Network) -> None:
        """Take the weights of the same model of timm, but for its classifier."""
        _start(self.network, other, self.dropped)

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return the tapped features, and ``tokens``: [B, class token and places, D] or [B, D, rows, columns]."""
        last, features = self.network.features(x)
        return features | {self.last: last}

    def tokens(self, feature: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the class token, if there is one, and the tokens of the places, [B, rows, columns, D]."""
        model: Any = self.network.model
        if feature.ndim == 4:
            x = feature.permute(0, 2, 3, 1)
            alone = x.reshape(-1, 1, 1, x.shape[-1])
            alone = alone if self.channels_last else alone.permute(0, 3, 1, 2)
            return None, model.forward_head(alone, pre_logits=True).view(*x.shape[:-1], -1)
        rows, columns = self.grid
        if feature.ndim != 3 or feature.shape[1] != self.prefix + rows * columns:
            raise UserError(
                f"network: {type(model).__name__} ends in a feature of shape {list(feature.shape)}; allowed: a "
                "map, or tokens on a grid"
            )
        norm = said(model, "fc_norm", None)
        x = feature if norm is None else norm(feature)
        return x[:, :1] if self.prefix else None, x[:, self.prefix :].unflatten(1, self.grid)


def _start(own: nn.Module, other: nn.Module, dropped: tuple[str, ...]) -> None:
    if type(other) is not type(own):
        raise RuntimeError(f"a {type(other).__name__} is no {type(own).__name__}")
    theirs = other.state_dict()
    own.load_state_dict({key: theirs[key] for key in theirs if not key.startswith(dropped)})


def backbone_of(network: nn.Module) -> Backbone:
    """Return a network as a backbone.

    Raises:
        UserError: it is none of ours, none of timm, and no :class:`Backbone`.
    """
    if isinstance(network, Backbone):
        return network
    if isinstance(network, Staged):
        return StagedBackbone(network)
    if isinstance(network, Timm):
        return TimmBackbone(network)
    raise UserError(
        f"network: found {type(network).__name__}; allowed: a network with stages (such as WideResNet), Timm, or "
        "a subclass of tutelage.models.backbone.Backbone"
    )
