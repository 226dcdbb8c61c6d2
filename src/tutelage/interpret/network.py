"""What the measures of this package ask of a network, and how they run it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from tutelage.models import Network
from tutelage.modes import evaluating


@contextmanager
def asking(network: Network) -> Iterator[None]:
    """Run a network in evaluation mode and without gradients for a while."""
    with evaluating(network), torch.no_grad():
        yield


def predicted(network: Network, x: Tensor) -> Tensor:
    """Return the class that the network predicts for each input, [B]."""
    with asking(network):
        return network(x).logits.argmax(dim=1)


def of_class(values: Tensor, classes: Tensor) -> Tensor:
    """Return the values that belong to one class of each sample.

    Args:
        values: [B, ..., N].
        classes: class numbers, [B].

    Returns:
        [B, ...].
    """
    place = classes.view(-1, *[1] * (values.ndim - 1)).expand(*values.shape[:-1], 1)
    return values.gather(-1, place).squeeze(-1)


def require_places(shape: Sequence[int], space: Sequence[int]) -> None:
    """Raise if an input has other axes than a map of places.

    Args:
        shape: of the inputs, (B, channels, ...).
        space: places along each axis.

    Raises:
        ValueError: they differ in the number of axes, or there are more places than positions.
    """
    sizes = list(shape[2:])
    if len(sizes) != len(space) or any(n > size for n, size in zip(space, sizes, strict=True)):
        raise ValueError(
            f"places: {list(space)} on inputs of {sizes} positions; allowed: as many axes, and at most one "
            "place for each position"
        )
