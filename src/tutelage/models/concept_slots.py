"""Where the concepts of a sample come from: slots that its tokens compete for, or a learned table."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

_EPSILON = 1e-8


class ConceptSource(nn.Module, ABC):
    """Concepts of each sample: tokens [B, L, D] -> concepts [B or 1, M, D], attention [B, L, M] or None."""

    @abstractmethod
    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the concepts, and how the tokens were shared out among them."""


class ConceptTable(ConceptSource):
    """Learned concepts, the same for every sample: the Concept Transformer, baseline of CCT.

    Args:
        concepts: M.
        size: D of a token and of a concept.

    Source:
        Rigotti et al. 2022, Attention-based Interpretability with Concept Transformers, ICLR; initialisation of
        jyhong0304/concept_centric_transformers, a normal distribution of 1 / sqrt(D) cut at two.
    """

    def __init__(self, concepts: int, size: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(concepts, size))
        nn.init.trunc_normal_(self.table, std=1 / math.sqrt(size))

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        """Return the table, [1, M, D]; nothing is written to it."""
        return self.table.unsqueeze(0), None


class SlotAttention(nn.Module):
    """One round of slot attention: tokens are shared out among slots, which take in their mean.

    Every token distributes itself over the slots (softmax over slots: they compete for it). A slot then takes in
    the weighted mean of the values of its tokens through a GRU. There is no residual MLP and no norm behind it.

    Args:
        size: D of a token and of a slot.
        learned_start: initialise as slots with learned starts need it: Xavier projections, an orthogonal
            recurrence and no biases; else as PyTorch does.

    Source:
        Locatello et al. 2020, arXiv:2006.15055; simplified as in CCT, arXiv:2305.15775.
    """

    def __init__(self, size: int, *, learned_start: bool) -> None:
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(size)
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.value = nn.Linear(size, size, bias=False)
        self.update = nn.GRUCell(size, size)
        if learned_start:
            for weight in (self.query.weight, self.key.weight, self.value.weight):
                nn.init.xavier_uniform_(weight)
            nn.init.xavier_uniform_(self.update.weight_ih)
            nn.init.orthogonal_(self.update.weight_hh)
            nn.init.zeros_(self.update.bias_ih)
            nn.init.zeros_(self.update.bias_hh)

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of tokens, [B, L, D] each."""
        normed = self.norm(tokens)
        return self.key(normed) / math.sqrt(self.size), self.value(normed)

    def forward(
        self,
        slots: Tensor,
        asking: Tensor,
        read: tuple[Tensor, Tensor],
        shares: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Return the slots after one round and the attention of the tokens, [B, L, M].

        Args:
            slots: as they are, [B, M, D].
            asking: what the queries are made from: the slots, or their normed copy.
            read: keys and values of the tokens.
            shares: attention -> weights of each slot's mean, [B, L, M].
        """
        keys, values = read
        attention = torch.softmax(keys @ self.query(asking).transpose(1, 2), dim=2)
        taken = shares(attention).transpose(1, 2) @ values
        found = self.update(taken.reshape(-1, self.size), slots.reshape(-1, self.size))
        return found.view(slots.shape), attention


def floored(attention: Tensor) -> Tensor:
    """Return weights of the mean of each slot, over tokens: a slot that no token wants takes all alike."""
    raised = attention + _EPSILON
    return raised / raised.sum(dim=1, keepdim=True)


def normalised(attention: Tensor) -> Tensor:
    """Return weights of the mean of each slot, over tokens: a slot that no token wants takes in nothing."""
    return attention / (attention.sum(dim=1, keepdim=True) + _EPSILON)


class SampledSlots(ConceptSource):
    """Slots that start as draws from one learned normal distribution (SA).

    Outside of training they start at its mean, so that a prediction does not depend on chance; what tells them
    apart is then the position that is added to them. The released code samples there, too, so that its logits
    change from call to call.

    Args:
        concepts: M.
        size: D.
        rounds: T >= 0.
        sample_in_evaluation: sample there, too, as the released code does.

    Source:
        CCT, arXiv:2305.15775; Locatello et al. 2020.
    """

    def __init__(
        self, concepts: int, size: int, rounds: int, *, sample_in_evaluation: bool = False
    ) -> None:
        super().__init__()
        self.concepts, self.rounds = concepts, rounds
        self.sample_in_evaluation = sample_in_evaluation
        self.mean = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, 1, size)))
        self.log_std = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, 1, size)))
        self.norm = nn.LayerNorm(size)
        self.attend = SlotAttention(size, learned_start=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return slots [B, M, D] and the attention of the last round."""
        slots = self.mean.expand(len(tokens), self.concepts, -1)
        if self.training or self.sample_in_evaluation:
            slots = slots + torch.exp(self.log_std) * torch.randn_like(slots)
        read, attention = self.attend.read(tokens), None
        for _ in range(self.rounds):
            slots, attention = self.attend(slots, self.norm(slots), read, floored)
        return slots, attention


class ImplicitSlots(ConceptSource):
    """Slots as a fixed point: T rounds without a gradient, and one more with it (ISA).

    The start is a table that no gradient reaches: it stays as it was drawn. Queries are made from the slots as
    they are, not from their norm.

    Args:
        concepts: M.
        size: D.
        rounds: T >= 0 before the last one.

    Source:
        CCT, arXiv:2305.15775; Chang, Griffiths and Levine 2022, arXiv:2207.00787.
    """

    start: Tensor

    def __init__(self, concepts: int, size: int, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.register_buffer("start", nn.init.xavier_uniform_(torch.empty(concepts, size)))
        self.attend = SlotAttention(size, learned_start=True)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return slots [B, M, D] and the attention of the last round."""
        read = self.attend.read(tokens)
        slots = self.start.expand(len(tokens), -1, -1)
        with torch.no_grad():
            for _ in range(self.rounds):
                slots, _ = self.attend(slots, slots, read, normalised)
        found: tuple[Tensor, Tensor] = self.attend(slots, slots, read, normalised)
        return found


class BilevelSlots(ConceptSource):
    """Slots whose start is a learned query: T rounds, of which the last one carries the gradient (BO-QSA).

    The start gets the gradient of the slots before the last round, as if the rounds in between were the identity.

    Args:
        concepts: M.
        size: D.
        rounds: T >= 0; at 0 the slots are the start.

    Source:
        CCT, arXiv:2305.15775; Jia, Liu and Huang 2023, arXiv:2210.08990.
    """

    def __init__(self, concepts: int, size: int, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.start = nn.Parameter(nn.init.xavier_uniform_(torch.empty(concepts, size)))
        self.norm = nn.LayerNorm(size)
        self.attend = SlotAttention(size, learned_start=True)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return slots [B, M, D] and the attention of the last round."""
        read, attention = self.attend.read(tokens), None
        start = self.start.expand(len(tokens), -1, -1)
        slots = start
        with torch.no_grad():
            for _ in range(self.rounds - 1):
                slots, _ = self.attend(slots, self.norm(slots), read, normalised)
        if self.rounds:
            slots = slots.detach() + start - start.detach()
            slots, attention = self.attend(slots, self.norm(slots), read, normalised)
        return slots, attention
