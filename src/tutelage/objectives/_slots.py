"""What teachers show to the slots of a workspace, how slots are updated, and how that is looked at."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tutelage.models.latent_workspace import FewerTokens, LatentWorkspace, as_tokens


class SlotSource(nn.Module):
    """What one teacher shows to the slots: its tokens, normalised, and the projections to keys and values.

    Args:
        count: tokens of the teacher, L_i.
        size: of one of them, D_i.
        wanted: L.
        common: D.

    Shapes:
        feature [B, channels, ...] -> [B, L, D_i]; no gradient to the teacher.
    """

    def __init__(self, count: int, size: int, wanted: int, common: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(count, size))
        self.fewer = FewerTokens(count, wanted, size) if count != wanted else None
        self.norm = nn.LayerNorm(size)
        self.key = nn.Linear(size, common, bias=False)
        self.value = nn.Linear(size, common, bias=False)
        for layer in (self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, feature: Tensor, tokens: Literal["channels", "positions"]) -> Tensor:
        """Return the tokens."""
        x = as_tokens(feature.detach(), tokens).to(self.position.dtype) + self.position
        normalised: Tensor = self.norm(x if self.fewer is None else self.fewer(x))
        return normalised


def head_norms(network: LatentWorkspace) -> list[_BatchNorm]:
    """Return the batch normalisations with running statistics behind the last stage."""
    return [
        module
        for name, child in network.network.named_children()
        if name not in ("stem", "stages")
        for module in child.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]


def gated(cell: nn.GRUCell, x: Tensor, hidden: Tensor) -> Tensor:
    """Return the hidden state after one input; as two linear maps, which also run under ``torch.vmap``."""
    r, z, n = nn.functional.linear(x, cell.weight_ih, cell.bias_ih).chunk(3, dim=-1)
    hr, hz, hn = nn.functional.linear(hidden, cell.weight_hh, cell.bias_hh).chunk(3, dim=-1)
    fresh = torch.tanh(n + torch.sigmoid(r + hr) * hn)
    return fresh + torch.sigmoid(z + hz) * (hidden - fresh)


@contextmanager
def swapped_statistics(norms: Sequence[_BatchNorm], others: Sequence[nn.Module]) -> Iterator[None]:
    """Let batch normalisations run with the running statistics of others; these then have what became of them."""

    def swap() -> None:
        for norm, other in zip(norms, others, strict=True):
            assert isinstance(other, _BatchNorm)
            norm.running_mean, other.running_mean = other.running_mean, norm.running_mean
            norm.running_var, other.running_var = other.running_var, norm.running_var
            count = norm.num_batches_tracked
            norm.num_batches_tracked, other.num_batches_tracked = other.num_batches_tracked, count

    swap()
    try:
        yield
    finally:
        swap()


def sharpness(scores: Tensor) -> Tensor:
    """Return one minus the entropy over slots, in units of its largest value, mean over tokens, of [B, K, L]."""
    slots = max(2, scores.shape[1])
    entropy = torch.special.entr(scores.float()).sum(dim=1) / math.log(slots)
    decided: Tensor = 1 - entropy.mean(dim=1)
    return decided


def places(scores: Tensor, shown: Tensor, tokens: Literal["channels", "positions"]) -> Tensor:
    """Return where the tokens of each slot are active, [B, K, ...], from scores [B, K, L] and a feature map."""
    if tokens == "positions":
        return scores.reshape(*scores.shape[:2], *shown.shape[2:])
    # A channel's activity: how far it is from its own mean over the positions of this sample.
    activity = shown.flatten(2).float()
    activity = (activity - activity.mean(dim=2, keepdim=True)).abs()
    weighted = scores.float() @ activity
    share = weighted / weighted.sum(dim=2, keepdim=True).clamp(min=1e-12)
    return share.reshape(*scores.shape[:2], *shown.shape[2:])
