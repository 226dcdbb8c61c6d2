"""Is an explanation about what was learned? What is left of it when layers are scrambled."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from tutelage.errors import unknown
from tutelage.types import Explanation

N = TypeVar("N", bound=nn.Module)


def randomised(network: N, layers: Sequence[str], seed: int = 0) -> N:
    """Return a copy of a network in which the parameters of these layers are shuffled.

    Each parameter keeps its numbers, and loses their order: size and spread of the weights stay as trained, so
    only what was learned is destroyed.

    Args:
        network: stays as it is.
        layers: paths of modules or parameters, such as ``streams.spatial.query``; all parameters below them.
        seed: of the order.

    Raises:
        UserError: there is no such layer with parameters.
    """
    copy = deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    known = dict(copy.named_parameters())
    for layer in layers:
        mine = [name for name in known if name == layer or name.startswith(f"{layer}.")]
        if not mine:
            paths = {name.rpartition(".")[0] for name in known} - {""}
            raise unknown("randomised", "layer", layer, {*paths, *known})
        for name in mine:
            values = known[name].data
            order = torch.randperm(values.numel(), generator=generator).to(values.device)
            values.copy_(values.flatten()[order].view_as(values))
    return copy


@dataclass(frozen=True)
class Randomisation:
    """A measure of a network before and after layers were scrambled.

    Args:
        before: of the trained network.
        after: of each scrambled copy.
    """

    before: float
    after: tuple[float, ...]


def randomisation(
    network: N,
    measure: Callable[[N], float],
    layers: Sequence[str],
    repeats: int = 5,
    seed: int = 0,
) -> Randomisation:
    """Measure a network, and copies of it whose layers are scrambled: what was learned there must be lost.

    Args:
        network: stays as it is.
        measure: such as its concept accuracy on validation samples.
        layers: paths of the layers.
        repeats: number of copies.
        seed: of the first copy; the others follow.

    Source:
        Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292, sec. 3. They draw new weights; here
        the trained ones are shuffled.
    """
    after = [measure(randomised(network, layers, seed + number)) for number in range(repeats)]
    return Randomisation(measure(network), tuple(after))


def likeness(one: Explanation, other: Explanation) -> dict[str, Tensor]:
    """Return how alike two networks attend: the rank correlation of their attention, by stream, [B] each.

    Near 0 after randomisation, 1 where nothing changed; NaN where an attention is the same everywhere.
    """
    return {
        name: _rank_correlation(stream.attention, other.streams[name].attention)
        for name, stream in one.streams.items()
    }


def _rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return Spearman's correlation of each sample, [B], float64."""
    from scipy.stats import rankdata

    ranks = [rankdata(x.flatten(1).double().cpu().numpy(), axis=1) for x in (a, b)]
    first, second = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    below = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return torch.from_numpy((first * second).sum(axis=1) / below)
