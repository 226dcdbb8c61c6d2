"""The nouns every other module speaks: what a network gives, what a batch holds, what time it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from torch import Tensor

_NONE: Mapping[str, Tensor] = MappingProxyType({})


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
        labels: class numbers, [B], int64.
        index: sample ids in the data set, [B], int64; the key of the teacher cache.
        concepts: annotated concepts, [B, M], where the data set has them.
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor
    index: Tensor
    concepts: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of training, read by schedules, curricula and weightings; never written by them.

    Args:
        epoch: epochs completed before this step, from 0.
        step: optimizer steps completed before this step, from 0.
        epochs: length of the stage in epochs.
        steps_per_epoch: optimizer steps in one epoch.
        validation: latest *validation* metrics by name; empty before the first epoch ends.
    """

    epoch: int = 0
    step: int = 0
    epochs: int = 1
    steps_per_epoch: int = 1
    validation: Mapping[str, float] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Part of the stage that is done, in [0, 1)."""
        return self.step / max(1, self.epochs * self.steps_per_epoch)


@dataclass(frozen=True, slots=True)
class View:
    """All that an objective may look at: student, teachers by name, the batch and the clock."""

    student: Output
    teachers: Mapping[str, Output]
    batch: Batch
    clock: Clock


@dataclass(frozen=True, slots=True)
class Facts:
    """What an objective may learn once, before training: one dry-run view and the class counts.

    Adapters and workspaces read the shapes of taps from ``view``; class weights read ``class_counts``.

    Args:
        view: the outputs of student and teachers on one small batch.
        class_counts: training samples per class, [C], int64.
    """

    view: View
    class_counts: Tensor


@dataclass(frozen=True, slots=True)
class Needs:
    """What of a teacher an objective reads besides its logits: the cache stores exactly this.

    Args:
        features: taps whose activations are read.
        grams: taps of which only the batch similarity map is read.
    """

    features: frozenset[str] = frozenset()
    grams: frozenset[str] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        """Return the needs of both."""
        return Needs(self.features | other.features, self.grams | other.grams)
