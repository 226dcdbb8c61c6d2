"""A student that reads a small memory of slots before its head."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.models._layers import Staged
from tutelage.models.network import Network
from tutelage.types import Output

Inference = Literal["initial_slots", "ema_slots", "plain"]
Tokens = Literal["channels", "positions"]

_MODES: tuple[Inference, ...] = ("initial_slots", "ema_slots", "plain")


class LatentWorkspace(Network):
    """A student with a global latent workspace in front of its head: the part of mGLW-KD that is deployed.

    K slots stand between the last stage and the head. The tokens of the last stage ask the slots by multi-head
    attention (knowledge transfer), and what they read is added to them. In training
    :class:`~tutelage.objectives.KnowledgeBinding` refines the slots by what the teachers show of a sample; a
    prediction sees the input alone and reads the slots as they were learned, so no teacher is exported.

    Args:
        shape: one input, (channels, time) or (channels, height, width); follows from the data.
        network: the student's network.
        slots: K.
        heads: of the attention; divides the size of a token, here and in the workspace.
        tokens: ``channels``: L channels, each a vector of D positions, as in the authors' code; ``positions``:
            L positions, each a vector of D channels.
        size: D of the workspace. The smallest of student and teachers unless given.
        count: L of the workspace. The smallest of student and teachers unless given.
        dropout: probability with which a score is left out in training.
        inference: what a prediction reads: ``initial_slots``, the learned ones; ``ema_slots``, the running average
            of the slots that the teachers refined; ``plain``, nothing: the network's own head on its own features.
        returned: ``before_dropout``: scores sum to one over the slots; ``after_dropout``: as in the authors' code.

    Shapes:
        -> logits [B, classes]; the features of the network's stages, ``embedding``, and ``slot_scores`` [B, L, K]
        (not in ``plain``): how much of each slot a token reads, mean over heads (KTS).

    Raises:
        ValueError: fewer than one slot, heads that do not divide a size, a probability outside [0, 1), or a last
            stage without positions.

    Source:
        Hong et al. 2025, mGLW-KD, IEEE TNNLS, DOI 10.1109/TNNLS.2025.3640274, knowledge transfer. No bias and no
        projection behind the heads. The paper does not say what replaces the teachers in a prediction; the three
        modes are ours. A student that is larger than the workspace gets one projection in and one out (ours: the
        authors' student is the smallest network).
    """

    average: Tensor
    averaged: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        network: Staged,
        slots: int = 5,
        heads: int = 5,
        tokens: Tokens = "channels",
        size: int | None = None,
        count: int | None = None,
        dropout: float = 0.1,
        inference: Inference = "initial_slots",
        returned: Literal["before_dropout", "after_dropout"] = "before_dropout",
    ) -> None:
        super().__init__()
        if slots < 1:
            raise ValueError(f"slots: {slots}; allowed: at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: {dropout}; allowed: 0 <= dropout < 1")
        self.network, self.last = network, network.last
        self.tokens, self.heads = tokens, heads
        self.inference, self.returned = inference, returned
        self.given = {"size": size, "count": count}
        self.own = _sizes(network.last_stage(shape), tokens)
        self.dropout = nn.Dropout(dropout)
        self.slot_count = slots
        self._build(count or self.own[0], size or self.own[1])

    def _build(self, count: int, size: int) -> None:
        """Make the parameters of a workspace of L tokens and size D."""
        own_count, own_size = self.own
        for name, value in {"the workspace": size, "the last stage": own_size}.items():
            if self.heads < 1 or value % self.heads:
                divisors = ", ".join(str(d) for d in range(1, value + 1) if value % d == 0)
                raise ValueError(
                    f"heads: {self.heads} does not divide {value}, the size of a token in {name} (allowed: "
                    f"{divisors})"
                )
        self.count, self.size = count, size
        self.slots = nn.Parameter(nn.init.xavier_uniform_(torch.empty(self.slot_count, size)))
        self.register_buffer("average", self.slots.detach().clone())
        self.register_buffer("averaged", torch.tensor(0.0))
        self.query = nn.Linear(own_size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.value = nn.Linear(size, own_size, bias=False)
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
        self.fewer = FewerTokens(own_count, count, own_size) if count != own_count else None
        self.more = nn.Linear(count, own_count, bias=False) if count != own_count else None

    def adopt(
        self, teachers: Mapping[str, Network], outputs: Mapping[str, Output]
    ) -> dict[str, Any]:
        """Take the smallest sizes among student and teachers, where none were given.

        Raises:
            UserError: a teacher has no feature of its last stage, or the heads do not divide the size.
        """
        sizes = [self.own]
        for name, teacher in teachers.items():
            # The name that the objectives ask all teachers for; another family's last stage where it is unknown.
            named = self.last in outputs[name].features
            tap = self.last if named else teacher.last or self.last
            if tap not in outputs[name].features:
                raise UserError(
                    f"teacher {name!r} has no feature {tap!r}, its last stage, for the workspace (it has: "
                    f"{', '.join(outputs[name].features) or 'none'})"
                )
            sizes.append(_sizes(outputs[name].features[tap], self.tokens))
        count = self.given["count"] or min(count for count, _ in sizes)
        size = self.given["size"] or min(size for _, size in sizes)
        if (count, size) != (self.count, self.size):
            try:
                self._build(count, size)
            except ValueError as error:
                raise UserError(f"network: {error}") from error
        return {"count": count, "size": size}

    def start(self, other: Network) -> None:
        """Take the weights of a network of the same kind as the student inside (annealing initialisation)."""
        own = other if not isinstance(other, LatentWorkspace) else other.network
        self.network.load_state_dict(own.state_dict())

    @property
    def variants(self) -> tuple[Inference, ...]:
        """The other modes a prediction may run in; they are evaluated beside the chosen one."""
        return tuple(mode for mode in _MODES if mode != self.inference)

    @contextmanager
    def predicting(self, mode: str) -> Iterator[None]:
        """Predict in another mode for a while."""
        kept, self.inference = self.inference, cast(Inference, mode)
        try:
            yield
        finally:
            self.inference = kept

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        features = self.network.encode(x)
        last = features[self.last]
        if self.inference != "plain":
            # Of the average a copy: remember() writes into it before the backward pass.
            slots = self.slots if self.inference == "initial_slots" else self.average.clone()
            last, features["slot_scores"] = self.transfer(last, slots)
        logits, features["embedding"] = self.network.decode(last)
        return Output(logits, features)

    def transfer(self, feature: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Let the tokens of the last stage read the slots.

        Args:
            feature: of the last stage, [B, channels, ...].
            slots: [K, D], or of each sample, [B, K, D].

        Returns:
            The feature with what was read added to it, of the same shape, and the scores [B, L, K].
        """
        # A few small products: in full precision also under autocast, so that scores sum to one.
        with torch.autocast(feature.device.type, enabled=False):
            scores = self._scores(feature, slots)
            dropped = self.dropout(scores)
            # What is asked and what is written is projected on the side of the slots: K rows, not L.
            read = self._answers(slots).transpose(-1, -2) @ dropped.flatten(1, 2)
            if self.more is not None:
                read = self.more(read)
            read = read.transpose(1, 2) if self.tokens == "channels" else read
            kept = dropped if self.returned == "after_dropout" else scores
            return feature + read.reshape(feature.shape), kept.mean(dim=1).transpose(1, 2)

    def scores(self, feature: Tensor, slots: Tensor) -> Tensor:
        """Return the scores of :meth:`transfer` before dropout, [B, L, K]."""
        with torch.autocast(feature.device.type, enabled=False):
            return self._scores(feature, slots).mean(dim=1).transpose(1, 2)

    def _scores(self, feature: Tensor, slots: Tensor) -> Tensor:
        """Return the scores of every head, [B, h, K, L]."""
        x = as_tokens(feature, self.tokens).to(slots.dtype)
        x = x if self.fewer is None else self.fewer(x)
        scores = self._questions(slots) @ x.transpose(1, 2)
        return torch.softmax(scores.view(x.shape[0], self.heads, -1, self.count), dim=2)

    def _questions(self, slots: Tensor) -> Tensor:
        """Return what a token is multiplied by for its scores, heads beside one another, [..., h·K, D_S]."""
        depth = self.size // self.heads
        keys = self.key(slots).view(*slots.shape[:-1], self.heads, depth) / math.sqrt(depth)
        weights: Tensor = self.query.weight.view(self.heads, depth, -1)
        asked: Tensor = torch.einsum("...khd,hds->...hks", keys, weights)
        return asked.flatten(-3, -2)

    def _answers(self, slots: Tensor) -> Tensor:
        """Return what each head writes of each slot into a token, [..., h·K, D_S]: zero outside its own part."""
        values: Tensor = self.value(slots)
        part = values.shape[-1] // self.heads
        place = torch.arange(values.shape[-1], device=values.device) // part
        own = place == torch.arange(self.heads, device=values.device)[:, None]
        return (values.unsqueeze(-3) * own[:, None]).flatten(-3, -2)

    def remember(self, slots: Tensor, momentum: float) -> None:
        """Let refined slots, [B, K, D], into the running average.

        Until 1 / (1 - momentum) batches were seen the average is the plain mean of all.
        """
        with torch.no_grad():
            kept = torch.clamp(self.averaged / (self.averaged + 1), max=momentum)
            mean = slots.detach().to(self.average.dtype).mean(0)
            self.average.copy_(kept * self.average + (1 - kept) * mean)
            self.averaged.add_(1)


class FewerTokens(nn.Module):
    """Another number of tokens by a learned mix of all of them: two layers over the token axis, then a norm.

    Args:
        tokens: how many there are.
        wanted: how many are wanted.
        size: of a token.

    Shapes:
        [B, tokens, size] -> [B, wanted, size].

    Source:
        mGLW-KD, alignment of token counts: Linear, ReLU, Linear, LayerNorm over both axes.
    """

    def __init__(self, tokens: int, wanted: int, size: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(tokens, wanted), nn.ReLU(), nn.Linear(wanted, wanted))
        self.norm = nn.LayerNorm([wanted, size])

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed tokens."""
        first, active, second = self.mix
        found: Tensor = self.norm(_over_tokens(second, active(_over_tokens(first, x))))
        return found


def _over_tokens(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a linear layer along the token axis of [B, L, D]; a convolution does it without a transposed copy."""
    assert isinstance(layer, nn.Linear)
    return nn.functional.conv1d(x, layer.weight.unsqueeze(2), layer.bias)


def as_tokens(feature: Tensor, tokens: Tokens) -> Tensor:
    """Return a feature map as L tokens of size D, [B, L, D].

    Args:
        feature: [B, channels, time] or [B, channels, height, width].
        tokens: ``channels`` or ``positions``.

    Raises:
        ValueError: the feature has no positions.
    """
    if feature.ndim < 3:
        raise ValueError(
            f"a feature of shape {list(feature.shape)} has no positions (allowed: [B, channels, time] or "
            "[B, channels, height, width])"
        )
    x = feature.flatten(2)
    return x if tokens == "channels" else x.transpose(1, 2)


def _sizes(feature: Tensor, tokens: Tokens) -> tuple[int, int]:
    _, count, size = as_tokens(feature, tokens).shape
    return count, size
