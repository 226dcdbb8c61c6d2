"""When to stop a training whose number would mean nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from tutelage.errors import UserError
from tutelage.train.settings import Training
from tutelage.types import Clock


class DivergedError(UserError):
    """Training stopped because going on would only produce a number that means nothing.

    Args:
        kind: ``non_finite`` or ``constant_class``.
        objective: the first objective that was not finite, or ``student``.
        epoch: epoch in which it happened, from 0.
        message: one sentence.
    """

    def __init__(self, kind: str, objective: str, epoch: int, message: str) -> None:
        super().__init__(message)
        self.kind, self.objective, self.epoch = kind, objective, epoch


def refuse_constant(training: Training, row: Mapping[str, Any], clock: Clock) -> None:
    """Stop a student that predicts one class.

    Batch normalisation lags behind in a first short epoch, so a constant answer on validation alone counts
    only when training agrees, when it is the second in a row, or when no epoch is left.
    """
    split = next((s for s in training.monitors if row[s]["classes_predicted"] == 1), None)
    if split is None:
        return
    if int((training.samples.class_counts(training.monitors[split]) > 0).sum()) == 1:
        return
    again = clock.validation.get("classes_predicted") == 1
    final = clock.epoch == clock.epochs - 1
    if row["train"]["classes_predicted"] > 1 and not again and not final:
        return
    raise DivergedError(
        "constant_class",
        "student",
        clock.epoch,
        f"epoch {clock.epoch}: the student predicts a single class on the whole {split} split; the run "
        "is stopped and will not be averaged (lower the learning rate, or raise the coefficient of the "
        "labels)",
    )


def refuse_non_finite(table: Tensor, names: Sequence[str], epoch: int) -> None:
    """Stop a training with a loss that is not finite, and name the first objective that was not.

    Args:
        table: means of each step, [steps, columns].
        names: of the columns.
        epoch: in which the steps were made.
    """
    bad = ~table.isfinite()
    if not bool(bad.any()):
        return
    step = int(bad.any(dim=1).nonzero()[0])
    culprits = [name for name, flag in zip(names, bad[step].tolist(), strict=True) if flag]
    named = [name for name in culprits if name not in ("loss", "accuracy")] or culprits
    raise DivergedError(
        "non_finite",
        named[0],
        epoch,
        f"epoch {epoch}, step {step}: {' and '.join(named)} became non-finite; the run is stopped and "
        "will not be averaged",
    )
