"""What stands in a line of the logs of a run: one frozen record for each, shared by writer and readers.

The format is ``docs/run-folder.md``.
"""

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from tutelage.runs.schema import Amount, Finite


@dataclass(frozen=True)
class Trace:
    """Mean of a recorded value over the training samples of an epoch, and of each class.

    None stands for a class that was not seen, and for a value that is not finite.
    """

    mean: Finite
    by_class: tuple[Finite, ...]


@dataclass(frozen=True)
class Gradient:
    """What an objective added to the gradient of the student; see :class:`tutelage.objectives.GradientPart`."""

    norm: Finite
    share: Finite
    cosine: Finite


@dataclass(frozen=True)
class Epoch:
    """One line of ``metrics.jsonl``; a value may be NaN in a run that diverged."""

    epoch: int
    step: int
    train: dict[str, float | None]
    validation: dict[str, float | None] = field(default_factory=dict)
    test: dict[str, float | None] = field(default_factory=dict)
    learning_rate: float | None = None
    traces: dict[str, Trace] = field(default_factory=dict)
    gradients: dict[str, Gradient] = field(default_factory=dict)


@dataclass(frozen=True)
class EpochSeconds:
    """One line of ``timing.jsonl``."""

    epoch: int
    seconds: Amount


EPOCH = TypeAdapter(Epoch)
SECONDS = TypeAdapter(EpochSeconds)
