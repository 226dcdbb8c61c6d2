"""The interfaces of changes and mixes, and how annotated places follow a change."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tutelage.errors import UserError, unknown
from tutelage.types import Batch

# Names of a data set's own input, at whose places concepts are annotated.
_OWN = ("signal", "image")


class Augment(ABC):
    """A random change of one modality: ``([B, ...], generator) -> [B, ...]``."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed inputs; the given ones are not written to."""

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Move a map of places as the same draws of the generator move the inputs.

        Args:
            places: numbers of the places that the positions of each input belong to, [B, 1, ...], whole numbers
                from 1 on.
            generator: in the state in which the inputs were changed.

        Returns:
            The numbers where they are now, 0 where there is nothing of the input.

        Raises:
            UserError: it is not known how this change moves places.
        """
        raise UserError(
            f"augment: concepts are annotated at places, and {type(self).__name__} does not say how it moves them "
            "(allowed: a change with the method follow)"
        )


class Mix(ABC):
    """Mixes the samples of a batch with one another: inputs, and the classes that go with them."""

    @abstractmethod
    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the mixed batch with ``partner`` and ``share`` set; the given one is not written to."""


class StillAugment(Augment):
    """A change that moves nothing: what is annotated at a place stays there."""

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places as they are."""
        return places


def augmented(batch: Batch, augments: Mapping[str, Augment], generator: torch.Generator) -> Batch:
    """Return the batch with the named modalities changed; annotated places move with the data set's own input.

    Raises:
        UserError: a modality is not in the batch, or it is not known how places move.
    """
    inputs, concepts = dict(batch.inputs), dict(batch.concepts)
    for name, augment in augments.items():
        if name not in inputs:
            raise unknown("augment", "modality", name, inputs)
        before = generator.get_state()
        size = inputs[name].shape[2:]
        inputs[name] = augment(inputs[name], generator)
        if name in _OWN and "spatial" in concepts:
            again = torch.Generator().set_state(before)
            concepts["spatial"] = _moved(concepts["spatial"], size, augment, again)
    return replace(batch, inputs=inputs, concepts=concepts)


def _moved(
    concepts: Tensor, size: Sequence[int], augment: Augment, generator: torch.Generator
) -> Tensor:
    """Return annotations of places, [B, *places, M], after a change of inputs of this size.

    A place of the changed input has the annotation of the place that its centre shows; NaN where it shows none.
    """
    count, space = len(concepts), concepts.shape[1:-1]
    numbers = torch.arange(1, math.prod(space) + 1).view(1, 1, *space)
    for axis, (wanted, have) in enumerate(zip(size, space, strict=True), start=2):
        cell = (torch.arange(wanted) + 0.5) * have / wanted
        numbers = numbers.index_select(axis, cell.long())
    moved = augment.follow(numbers.expand(count, 1, *size), generator).squeeze(1)
    for axis, have in enumerate(space, start=1):
        centre = (torch.arange(have) + 0.5) * moved.shape[axis] / have
        moved = moved.index_select(axis, centre.long())
    rows = torch.nn.functional.pad(concepts.flatten(1, -2), (0, 0, 1, 0), value=math.nan)
    index = moved.reshape(count, -1, 1).expand(-1, -1, concepts.shape[-1])
    return rows.gather(1, index).view(concepts.shape)
