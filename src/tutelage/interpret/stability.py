"""Does a network say the same twice?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.interpret.network import asking, of_class
from tutelage.models import Network
from tutelage.types import Explanation


@dataclass(frozen=True)
class Stability:
    """How much the answers to one input vary.

    Args:
        logits: largest standard deviation of a logit over the passes, [B].
        attention: largest standard deviation of an attention over the passes, [B].
        top: part of the passes in which the strongest concept is that of the first pass, [B].
    """

    logits: Tensor
    attention: Tensor
    top: Tensor


def stability(
    network: Network, x: Tensor, *, repeats: int = 8, noise: float = 0.0, seed: int = 0
) -> Stability:
    """Explain the same inputs several times, with a little noise on them if wanted.

    Without noise this must be still: a network that samples in evaluation (slot attention as released) is not.
    The strongest concept is the one that adds most to the class predicted in the first pass.

    Args:
        network: explains itself.
        x: standardised inputs, [B, channels, ...].
        repeats: passes, 2 or more.
        noise: standard deviation of Gaussian noise on the inputs, in standardised units.
        seed: of the noise and of what the network draws; the global random state is put back.

    Raises:
        ValueError: fewer than two passes.
    """
    if repeats < 2:
        raise ValueError(f"repeats: {repeats}; allowed: 2 or more")
    logits, attention, tops = [], [], []
    classes: Tensor | None = None
    with torch.random.fork_rng(), asking(network):
        torch.manual_seed(seed)
        for _ in range(repeats):
            explanation = network.explain(x + noise * torch.randn_like(x) if noise else x)
            scores = explanation.logits
            classes = scores.argmax(dim=1) if classes is None else classes
            logits.append(scores)
            attention.append(
                torch.cat([s.attention.flatten(1) for s in explanation.streams.values()], dim=1)
            )
            tops.append(_strongest(explanation, classes))
    top = torch.stack(tops)
    return Stability(_spread(logits), _spread(attention), (top[1:] == top[:1]).float().mean(dim=0))


def _spread(passes: list[Tensor]) -> Tensor:
    """Return the largest standard deviation over the passes, [B]."""
    found: Tensor = torch.stack(passes).double().std(dim=0, correction=1).amax(dim=1)
    return found


def _strongest(explanation: Explanation, classes: Tensor) -> Tensor:
    """Return the number of the concept, over all streams, that adds most to a class, [B]."""
    parts = [s.contributions.sum(dim=1) for s in explanation.streams.values()]
    return of_class(torch.cat(parts, dim=1), classes).argmax(dim=1)
