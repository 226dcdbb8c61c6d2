"""What is trained, how long, and where training writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from tutelage.augment import Augment, Mix
from tutelage.averaging import Average
from tutelage.batches import Samples
from tutelage.objectives import Distiller
from tutelage.teachers import Teachers


@dataclass(frozen=True)
class Augmentation:
    """Random changes of inputs.

    Args:
        augments: modality -> change.
        mix: mixes the samples of a batch, after the other changes.
        teachers_too: teachers see the changed inputs as well (then they cannot be cached); else what they say of
            samples that are mixed is mixed as well (:func:`tutelage.augment.of_mixtures`).
    """

    augments: Mapping[str, Augment] = field(default_factory=dict)
    mix: Mix | None = None
    teachers_too: bool = False


@dataclass(frozen=True)
class Settings:
    """Length and order of training.

    Args:
        epochs: passes over the training split; 0: nothing is trained, the network is kept as it is.
        batch_size: samples per step; an incomplete last batch is left out, because similarity losses
            depend on the batch size.
        seed: of the run; every random stream is derived from it.
        augmentation: random changes of the training inputs.
        sampler: ``shuffled``: every training sample once per epoch; ``class_aware``: as many samples, of every
            class equally often.
        select: the network that is kept: that of the ``best`` epoch by accuracy on validation, or of the ``last``.
        average: how much every epoch counts in the network that is kept, instead of a single one; None for none.
        stop_constant: stop a student that predicts a single class and shows no sign of learning.
        epoch_samples: samples of an epoch; when all have been seen, they come again in another order. None: every
            sample once.
    """

    epochs: int
    batch_size: int
    seed: int
    augmentation: Augmentation = Augmentation()
    sampler: Literal["shuffled", "class_aware"] = "shuffled"
    select: Literal["best", "last"] = "best"
    average: Average | None = None
    stop_constant: bool = True
    epoch_samples: int | None = None

    @property
    def kept(self) -> Literal["best", "last", "average", "start"]:
        """Which network is kept: of an epoch, of their average, or, without epochs, as it was at the start."""
        if not self.epochs:
            return "start"
        return "average" if self.average is not None else self.select


@dataclass
class State:
    """Where training stands between two epochs: all that a resumed run needs.

    Args:
        epoch: epochs completed.
        validation: metrics after the last of them.
        recall: validation recall per class after the last of them.
        best: split -> {epoch, value} of the best epoch so far, by accuracy.
        student, distiller, step: their states.
        average: sum over the epochs so far, where training averages.
        doubt: losses of the latest steps, while the student predicts a single class.
    """

    epoch: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    recall: list[float | None] = field(default_factory=list)
    best: dict[str, dict[str, float | None]] = field(default_factory=dict)
    student: dict[str, Tensor] = field(default_factory=dict)
    distiller: dict[str, Tensor] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    doubt: list[float] = field(default_factory=list)


class Record(Protocol):
    """Where training writes; in an experiment a run folder."""

    def settled(self, coefficients: Mapping[str, float]) -> None:
        """Keep what coefficients that are shares of the gradient became, by objective, before the first step."""
        ...

    def epoch(self, row: dict[str, Any], seconds: float) -> None:
        """Keep the metrics of one epoch."""
        ...

    def traces(self, index: Tensor, traces: Mapping[str, Tensor]) -> None:
        """Keep what objectives recorded of each sample, [n] each, in the epoch that just ended."""
        ...

    def best(
        self, split: str, student: nn.Module, epoch: int, value: float | None, on: str
    ) -> None:
        """Keep the student as the one of this split; ``on`` says why: a split, or ``Settings.kept``."""
        ...

    def last(self, state: State) -> None:
        """Keep everything needed to go on from here."""
        ...


@dataclass(frozen=True)
class Training:
    """One network to train: who learns, from whom, on what.

    Args:
        student: module from Batch to Output.
        distiller: what it is asked for.
        teachers: their outputs for a batch; None where nothing needs them.
        samples: the data.
        train: sample ids of the training split.
        monitors: split name -> sample ids evaluated after each epoch; ``validation`` feeds the clock. Under
            the honest protocol the test split is not among them, so the loop cannot reach it.
        labelled: the labels of training samples are true; where they are hidden, nothing is told of them.
    """

    student: nn.Module
    distiller: Distiller
    teachers: Teachers | None
    samples: Samples
    train: Tensor
    monitors: Mapping[str, Tensor]
    labelled: bool = True
