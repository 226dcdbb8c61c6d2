"""Samples in memory or memory-mapped, and the batches drawn from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tutelage.errors import UserError
from tutelage.types import Batch

__all__ = ["Samples", "again", "batches", "class_aware", "order"]


@dataclass(frozen=True)
class Samples:
    """A whole data set as training sees it: every modality aligned by sample id.

    Args:
        inputs: modality -> [N, ...]; may be backed by memory-mapped files (only the rows of a batch are read).
        labels: [N], int64; -1 where there is none, or it is hidden.
        class_names: one per class.
        subjects: [N] strings, or None.
        fingerprints: modality -> hash of the content; what the teacher cache trusts.
        concepts: annotated concepts, as :class:`~tutelage.data.DataSet` has them: scope -> [N, ..., M].
        concept_names: scope -> M names.
        listed: place of each sample in the publisher's list, as :class:`~tutelage.data.DataSet` has it.

    Raises:
        UserError: the modalities do not have the same number of samples.
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor
    class_names: tuple[str, ...]
    subjects: npt.NDArray[np.str_] | None = None
    fingerprints: Mapping[str, str] | None = None
    concepts: Mapping[str, Tensor] = field(default_factory=dict)
    concept_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    listed: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, values in self.inputs.items():
            if len(values) != len(self.labels):
                raise UserError(
                    f"modalities.{name}: {len(values)} samples, but the data set has "
                    f"{len(self.labels)} labels; all modalities must be made from the same windows"
                )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def take(self, index: Tensor) -> Batch:
        """Return the samples with these ids, in this order."""
        inputs = {name: values[index] for name, values in self.inputs.items()}
        concepts = {scope: values[index].float() for scope, values in self.concepts.items()}
        return Batch(inputs, self.labels[index], index, concepts)

    def only(self, names: set[str]) -> "Samples":
        """Return the same samples with only these modalities: the others are never read from disk."""
        kept = {name: values for name, values in self.inputs.items() if name in names}
        return replace(self, inputs=kept)

    def class_counts(self, index: Tensor) -> Tensor:
        """Return the number of these samples per class, [C], int64; those without a label count nowhere."""
        labels = self.labels[index]
        return torch.bincount(labels[labels >= 0], minlength=len(self.class_names))


def again(index: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return so many ids: all in random order, then all in another order, and so on."""
    return torch.tensor(list(islice(_endless(index, generator), count)))


def order(index: Tensor, generator: torch.Generator) -> Tensor:
    """Return the ids in random order."""
    return index[torch.randperm(len(index), generator=generator)]


def class_aware(
    index: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    group: int = 4,
    count: int | None = None,
) -> Tensor:
    """Return as many ids, but of every class equally often: samples of rare classes come again and again.

    Classes take turns in random order, ``group`` samples each; a class whose samples are used up begins anew, in
    another order.

    Args:
        index: sample ids, [n].
        labels: class of every sample of the data set, [N].
        generator: draws the orders.
        group: samples of a class in a row.
        count: how many ids; None: as many as there are.

    Source:
        The sampler of OLTR and LFME (xiangly55/LFME ``ClassAwareSampler``), 4 samples of a class in a row.
    """
    classes = torch.unique(labels[index]).tolist()
    streams = [_endless(index[labels[index] == label], generator) for label in classes]
    ids: list[int] = []
    count = len(index) if count is None else count
    while len(ids) < count:
        for turn in torch.randperm(len(streams), generator=generator).tolist():
            ids += islice(streams[turn], group)
    return torch.tensor(ids[:count])


def _endless(index: Tensor, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from order(index, generator).tolist()


def batches(
    samples: Samples, index: Tensor, size: int, *, drop_last: bool = False
) -> Iterator[Batch]:
    """Yield batches of these ids in this order.

    Args:
        samples: where to take them from.
        index: sample ids, [n].
        size: samples per batch.
        drop_last: leave out an incomplete last batch (losses over pairs depend on the batch size).
    """
    stop = len(index) - size + 1 if drop_last else len(index)
    for start in range(0, stop, size):
        yield samples.take(index[start : start + size])
