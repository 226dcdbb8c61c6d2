"""Weights of the epochs in an average of the network over training."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tutelage.errors import within

__all__ = ["Average", "Gaussian", "Uniform", "add_epoch", "averaged"]


class Average(ABC):
    """How much the network after each epoch counts in the network that is kept."""

    @abstractmethod
    def weights(self, epochs: int) -> Tensor:
        """Return the weights of the epochs, [epochs], float64, not negative, with sum 1."""


@dataclass(frozen=True)
class Gaussian(Average):
    """Weights as a normal distribution over the epochs (Gaussian prompt aggregation).

    Args:
        mean: the epoch that counts most, the first being 1.
        std: in epochs, > 0.

    Raises:
        ValueError: ``std`` is not positive.

    Source:
        Khattak et al. 2023, PromptSRC, arXiv:2307.06948, eq. 6; code muzairkhattak/PromptSRC@bb95c77. Published:
        mean 15 and std 1 of 20 epochs (base to novel), 6 and 10 of 20 (cross data set), 30 and 30 or 45 and 5 of
        50 (few shots, by data set).

    Examples:
        >>> Gaussian(mean=2, std=1).weights(3)
        tensor([0.2741, 0.4519, 0.2741], dtype=torch.float64)
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        within("(0, inf)", std=self.std)

    def weights(self, epochs: int) -> Tensor:
        """Return the weights of the epochs."""
        numbers = torch.arange(1, epochs + 1, dtype=torch.float64)
        # As a softmax: far from the mean every density is zero, but their ratios are not.
        return torch.softmax(-0.5 * ((numbers - self.mean) / self.std).square(), dim=0)


@dataclass(frozen=True)
class EqualEpochs(Average):
    """The plain mean over the epochs from ``first`` on (stochastic weight averaging).

    Args:
        first: epoch from which the network counts, the first being 1; the last epoch always counts.

    Raises:
        ValueError: ``first`` is less than 1.

    Source:
        Izmailov et al. 2018, arXiv:1803.05407. Differs: running statistics of batch normalisation are averaged
        like weights, where theirs are computed anew.

    Examples:
        >>> Uniform(first=3).weights(4)
        tensor([0.0000, 0.0000, 0.5000, 0.5000], dtype=torch.float64)
    """

    first: int = 1

    def __post_init__(self) -> None:
        within("[1, inf)", first=self.first)

    def weights(self, epochs: int) -> Tensor:
        """Return the weights of the epochs."""
        counts = torch.zeros(epochs, dtype=torch.float64)
        counts[min(self.first, epochs) - 1 :] = 1.0
        return counts / counts.sum()


Uniform = EqualEpochs
"""Its name in a recipe; among classes, ``Uniform`` is the weighting over teachers."""


def add_epoch(total: Mapping[str, Tensor], network: nn.Module, weight: float) -> dict[str, Tensor]:
    """Return a sum over epochs with one epoch more.

    Args:
        total: the sum so far, float64, on the CPU; empty before the first epoch.
        network: as it is after the epoch. Parameters that are not trained, and whole numbers, stay out.
        weight: of the epoch.
    """
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    sums = {}
    for name, values in network.state_dict().items():
        if name not in frozen and values.is_floating_point():
            term = weight * values.detach().cpu().double()
            sums[name] = total[name] + term if name in total else term
    return sums


def averaged(total: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return the state of a network with the sum over epochs in the place of what was summed up."""
    state = {name: values.detach().clone() for name, values in network.state_dict().items()}
    return state | {name: values.to(state[name]) for name, values in total.items()}
