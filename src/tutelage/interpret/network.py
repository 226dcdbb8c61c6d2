"""What the measures of this package ask of a network, and how they run it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from tutelage.types import Explanation, Output


class SelfExplaining(Protocol):
    """A network that takes its own scores apart: inputs are standardised tensors, [B, channels, ...]."""

    training: bool

    def train(self, mode: bool = True) -> Any:
        """Put the network into training or evaluation mode."""
        ...

    def __call__(self, x: Tensor, /) -> Output:
        """Return logits [B, N] and features."""
        ...

    def explain(self, x: Tensor, classes: Tensor | None = None) -> Explanation:
        """Return what each concept at each place adds to each score, or to the scores of these classes."""
        ...

    def without(self, x: Tensor, stream: str, concept: int) -> Tensor:
        """Return the logits when one concept says nothing, [B, N]."""
        ...


@contextmanager
def evaluating(network: SelfExplaining) -> Iterator[None]:
    """Run a network in evaluation mode and without gradients for a while."""
    training = network.training
    network.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(training)


def predicted(network: SelfExplaining, x: Tensor) -> Tensor:
    """Return the class that the network predicts for each input, [B]."""
    with evaluating(network):
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
