"""Deep prompts: learned tokens in the first blocks of a transformer that itself stays as it is."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.vlm.towers import Tower

__all__ = ["SPREAD", "Prompts"]

SPREAD = 0.02  # standard deviation of new prompts, as published


class Prompts(nn.Module):
    """Learned tokens for the first blocks of a tower ("independent vision-language prompting").

    Before the first block they join the sequence; before each of the next ``depth - 1`` blocks, what became of
    them is replaced by that block's own tokens. The transformer itself is not changed: hooks live as long as a
    ``with`` block, and after it the tower answers bit for bit as before.

    Args:
        tower: only its number of blocks and its width are looked at.
        depth: blocks with prompts of their own, 1 to all.
        tokens: prompts of a block, at least 1.
        first: values of the first block's prompts at the start, [tokens, width], such as embeddings of words;
            random unless given, like those of all other blocks (normal, standard deviation 0.02).

    Shapes:
        ``tokens`` [depth, tokens, width].

    Raises:
        ValueError: a depth or a number of tokens that is not allowed.

    Source:
        Jia et al. 2022, VPT-Deep, arXiv:2203.12119, for the image tower; Khattak et al. 2023, PromptSRC,
        arXiv:2307.06948, and its code (muzairkhattak/PromptSRC@bb95c77, ``IVLP``) for both. Published: 4 tokens,
        depth 9; depth 3 where a teacher moves to other data sets. Theirs changes the model's code.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> class Wide(nn.Linear):
        ...     def forward(self, x):
        ...         print(list(x.shape))
        ...         return super().forward(x)
        >>> tower = Tower(nn.ModuleList([Wide(8, 8), Wide(8, 8)]), 8)
        >>> prompts = Prompts(tower, depth=1, tokens=2)
        >>> with prompts.within(tower):
        ...     _ = nn.Sequential(*tower.blocks)(torch.zeros(1, 5, 8))
        [1, 7, 8]
        [1, 7, 8]
    """

    def __init__(self, tower: Tower, depth: int, tokens: int, first: Tensor | None = None) -> None:
        super().__init__()
        if not 1 <= depth <= len(tower.blocks):
            raise ValueError(
                f"depth: {depth}; allowed: 1 to the {len(tower.blocks)} blocks of the tower, or 0 for no prompts"
            )
        if tokens < 1:
            raise ValueError(f"tokens: {tokens}; allowed: at least 1")
        values = torch.randn(depth, tokens, tower.width) * SPREAD
        if first is not None:
            values[0] = first.detach()
        self.tokens = nn.Parameter(values)

    @contextmanager
    def within(self, tower: Tower) -> Iterator[None]:
        """Let a tower run with the prompts for the length of a ``with`` block.

        Whatever the tower computes again later (activation checkpointing) must be inside such a block, too.
        """
        with ExitStack() as stack:
            for number, block in zip(range(len(self.tokens)), tower.blocks, strict=False):
                hook = partial(self._join, tower, number)
                stack.callback(block.register_forward_pre_hook(hook).remove)
            yield

    def _join(self, tower: Tower, number: int, block: nn.Module, inputs: Any) -> Any:
        """Return the inputs of a block with its prompts among the tokens."""
        x, *others = inputs
        own = self.tokens[number]
        count = len(own)
        if number == 0:
            if tower.positions is not None and tower.start is not None:
                own = own + tower.positions[tower.start : tower.start + count]
            if tower.entry is not None:
                own = tower.entry(own)
        own = own.to(x.dtype).expand(x.shape[0], -1, -1)
        if tower.start is not None:
            parts = [x[:, : tower.start], own, x[:, tower.start + count :]]
        else:
            parts = [x if number == 0 else x[:, :-count], own]
        return (torch.cat(parts, dim=1), *others)
