"""The nouns every other module speaks: what a network gives, what a batch holds, what time it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

_NONE: Mapping[str, Tensor] = MappingProxyType({})


def to_device(values: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device; to a GPU through pinned memory, so that nobody waits for the copy."""
    if values.device.type == "cpu" and torch.device(device).type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


@dataclass(frozen=True, slots=True)
class Output:
    """What one network says about one batch.

    Args:
        logits: unnormalised class scores, [B, C].
        features: tapped activations by name, [B, ...] each.
        grams: raw batch similarity maps ``A Aᵀ`` by tap, [B, B] each. Only the teacher cache fills
            them (where the map is smaller than the features); read them through
            :func:`tutelage.losses.gram`, which computes the same map from ``features`` otherwise.
    """

    logits: Tensor
    features: Mapping[str, Tensor] = field(default_factory=lambda: _NONE)
    grams: Mapping[str, Tensor] = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one step, aligned by position over all modalities.

    Args:
        inputs: one tensor per modality, [B, ...] each (``signal``: [B, channels, time];
            images: [B, channels, height, width]).
        labels: class numbers, [B], int64; -1 where the label is hidden, or there is none.
        index: sample ids in the data set, [B], int64; the key of the teacher cache.
        concepts: what is annotated of the concepts, where the data set has them: ``global``, of the whole input,
            [B, M]; ``spatial``, of its places, [B, places, M] of a signal, [B, rows, columns, M] of an image;
            NaN where there is no annotation.
        partner: class of the sample that was mixed in, [B], int64; None where inputs are not mixed.
        partner_index: id of that sample, [B], int64.
        share: part of each input that is the sample's own, [B], in [0, 1]; None where inputs are not mixed.
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor
    index: Tensor
    concepts: Mapping[str, Tensor] = field(default_factory=lambda: _NONE)
    partner: Tensor | None = None
    share: Tensor | None = None
    partner_index: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Return the batch with every one of its tensors changed: inputs, labels, ids, concepts, mixtures."""
        return Batch(
            {name: change(values) for name, values in self.inputs.items()},
            change(self.labels),
            change(self.index),
            {scope: change(values) for scope, values in self.concepts.items()},
            None if self.partner is None else change(self.partner),
            None if self.share is None else change(self.share),
            None if self.partner_index is None else change(self.partner_index),
        )

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device; ids stay where they are, for what they are the keys of lies on the CPU."""
        ids = (self.index, self.partner_index)
        return self.map(
            lambda values: (
                values if any(values is one for one in ids) else to_device(values, device)
            )
        )

    def rows(self, index: Tensor | slice) -> "Batch":
        """Return the samples at these positions, or those where a mask is true, in this order."""
        return self.map(lambda values: values[index])

    def by_label(self, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``loss(labels)``, [..., B]; of mixed inputs, that of both classes by their share."""
        own = loss(self.labels)
        if self.partner is None or self.share is None:
            return own
        return self.share * own + (1 - self.share) * loss(self.partner)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of training, read by schedules, curricula and weightings; never written by them.

    Args:
        epoch: epochs completed before this step, from 0.
        step: optimizer steps completed before this step, from 0.
        epochs: length of the stage in epochs.
        steps_per_epoch: optimizer steps in one epoch.
        validation: latest *validation* metrics by name; empty before the first epoch ends.
        recall: latest validation recall per class, None for a class without validation samples; empty
            before the first epoch ends.
    """

    epoch: int = 0
    step: int = 0
    epochs: int = 1
    steps_per_epoch: int = 1
    validation: Mapping[str, float] = field(default_factory=dict)
    recall: Sequence[float | None] = ()

    @property
    def fraction(self) -> float:
        """Part of the stage that is done, in [0, 1)."""
        return self.step / max(1, self.epochs * self.steps_per_epoch)


@dataclass(frozen=True, slots=True)
class ConceptStream:
    """What one set of named concepts adds to the scores of a batch.

    Args:
        names: M concepts.
        space: positions that the L tokens lie at, such as (14, 14) or (32,); (1,) for the whole input.
        attention: how much each token is about each concept, for display, [B, L, M].
        contributions: what each concept at each token adds to each class score, [B, L, M, N].
    """

    names: tuple[str, ...]
    space: tuple[int, ...]
    attention: Tensor
    contributions: Tensor


@dataclass(frozen=True, slots=True)
class Explanation:
    """Scores taken apart: the contributions of all streams, summed, and ``rest`` are the logits.

    Args:
        streams: name -> what its concepts add.
        rest: what belongs to no concept (a bias), [B, N].
    """

    streams: Mapping[str, ConceptStream]
    rest: Tensor

    @property
    def logits(self) -> Tensor:
        """Return the scores put together again, [B, N]."""
        total = self.rest
        for stream in self.streams.values():
            total = total + stream.contributions.sum(dim=(1, 2))
        return total


@dataclass(frozen=True, slots=True)
class View:
    """All that an objective may look at: student, teachers by name, the batch and the clock."""

    student: Output
    teachers: Mapping[str, Output]
    batch: Batch
    clock: Clock


class Decoder(Protocol):
    """The head of a network: from the features of its last stage to class scores."""

    last: str

    def decode(self, feature: Tensor, /) -> tuple[Tensor, Tensor]:
        """Return logits [B, C] and embedding of the feature named ``last``."""
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """What one teacher says of a whole split.

    Args:
        index: sample ids, [n].
        labels: their classes, [n].
        logits: the teacher's scores, [n, C], float32, on the CPU.
    """

    index: Tensor
    labels: Tensor
    logits: Tensor


Ask = Callable[[str, Literal["train", "validation"]], Survey]


@dataclass(frozen=True, slots=True)
class Facts:
    """What an objective may learn once, before training.

    Adapters and workspaces read the shapes of taps from ``view``; class weights read ``class_counts``;
    memory banks read ``labels``.

    Args:
        view: the outputs of student and teachers on one small batch.
        class_counts: training samples per class, [C], int64.
        class_names: C names, where the data set has them.
        labels: class of every sample id of the training split, -1 for ids outside it, [N]; None where the
            caller knows only a batch.
        batch_size: samples of one training step; 0 where the caller does not know it.
        heads: teacher name -> its frozen head, for teachers that have one.
        survey: ``(teacher, split) -> Survey``, computed when it is asked for; None where there is nothing to ask.
        student: the student's network, for objectives that go through its head once more; they do not register it,
            its parameters are trained and saved with the student.
        concept_names: names of the annotated concepts by scope, as in ``Batch.concepts``; empty where the data set
            has none.
    """

    view: View
    class_counts: Tensor
    class_names: tuple[str, ...] = ()
    labels: Tensor | None = None
    batch_size: int = 0
    heads: Mapping[str, Decoder] = field(default_factory=dict)
    survey: Ask | None = None
    student: nn.Module | None = None
    concept_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Needs:
    """What of a teacher an objective reads besides its logits: the cache stores exactly this.

    Args:
        features: taps whose activations are read.
        grams: taps of which only the batch similarity map is read.
        concepts: annotated concepts of the batch are read; this says nothing of the teacher.
    """

    features: frozenset[str] = frozenset()
    grams: frozenset[str] = frozenset()
    concepts: bool = False

    def __or__(self, other: "Needs") -> "Needs":
        """Return the needs of both."""
        return Needs(
            self.features | other.features,
            self.grams | other.grams,
            self.concepts or other.concepts,
        )
