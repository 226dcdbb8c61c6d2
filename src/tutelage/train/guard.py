"""When to stop a training whose number would mean nothing."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from tutelage.errors import UserError
from tutelage.train.settings import Training
from tutelage.types import Clock

_PATIENCE = 200  # steps
_FIRST = 10  # steps: fewer are no evidence of anything


class DivergedError(UserError):
    """Training stopped because going on would only produce a number that means nothing.

    Args:
        kind: ``non_finite`` or ``constant_class``.
        objective: the first objective that was not finite, the split on which the loss was not, or ``student``.
        epoch: epoch in which it happened, from 0.
        message: one sentence.
    """

    def __init__(self, kind: str, objective: str, epoch: int, message: str) -> None:
        super().__init__(message)
        self.kind, self.objective, self.epoch = kind, objective, epoch


def constant_split(training: Training, row: Mapping[str, Any]) -> str | None:
    """Return the first monitored split of several classes on which the student predicts a single one."""
    return next(
        (
            split
            for split, index in training.monitors.items()
            if row[split]["classes_predicted"] == 1
            and int((training.samples.class_counts(index) > 0).sum()) > 1
        ),
        None,
    )


def patience(clock: Clock) -> int:
    """Return how many steps a loss may not fall: a tenth of the run, where warming up is over, in bounds."""
    return min(max(_PATIENCE, clock.epochs * clock.steps_per_epoch // 10), 10 * _PATIENCE)


def refuse_constant(
    training: Training, row: Mapping[str, Any], clock: Clock, losses: Sequence[float]
) -> None:
    """Stop a student that predicts a single class and shows no sign of learning.

    That it predicts one class says little in itself: running statistics of batch normalisation lag behind, and a
    warm-up is slow. So the loss decides, in training, where statistics are those of the batch. It has not fallen
    over :func:`patience` steps and is no better than that of a student that knows how frequent classes are; or,
    after ten steps, it is twice as large as that, does not fall, and there, too, only one class is predicted.

    Args:
        training: what is trained.
        row: metrics of the epoch.
        clock: at its start.
        losses: of each step since the student began to predict a single class: its cross entropy with the labels,
            or, where they are hidden, what it is trained with.

    Raises:
        DivergedError: that is so.
    """
    split = constant_split(training, row)
    if split is None:
        return
    ignorant = _ignorant(training)
    recent = torch.tensor(losses[-clock.steps_per_epoch :], dtype=torch.float64)
    window = torch.tensor(losses[-patience(clock) :], dtype=torch.float64)
    made = clock.step + clock.steps_per_epoch
    hopeless = training.labelled and row["train"]["classes_predicted"] == 1 and made >= _FIRST
    if hopeless and len(recent) > 1 and not _falls(recent, 0.2) and _late(recent) > 2 * ignorant:
        evidence = "in training, where its loss is twice that of a student that knows nothing"
    elif len(window) >= patience(clock) and not _falls(window) and window.mean() > 0.95 * ignorant:
        evidence = f"its loss has not fallen over {len(window)} steps"
    else:
        return
    raise DivergedError(
        "constant_class",
        "student",
        clock.epoch,
        f"epoch {clock.epoch + 1}: the student predicts a single class on the whole {split} split, and "
        f"{evidence}; the run is stopped and will not be averaged (lower the learning rate, or raise the "
        "coefficient of the labels; train.stop_constant: false lets it go on)",
    )


def _ignorant(training: Training) -> float:
    """Return the cross entropy of a student that knows how frequent classes are, and no more; 0 without labels."""
    if not training.labelled:
        return 0.0
    counts = training.samples.class_counts(training.train).double()
    return float(torch.special.entr(counts / counts.sum()).sum())


def _late(losses: Tensor) -> float:
    return float(losses[len(losses) // 2 :].mean())


def _falls(losses: Tensor, by: float | None = None) -> bool:
    """Return whether the later half is below the earlier one: by a fraction, or by more than twice its error."""
    early, late = losses[: len(losses) // 2], losses[len(losses) // 2 :]
    error = (early.var() / len(early) + late.var() / len(late)).sqrt()
    least = 2 * error if by is None else by * early.mean()
    return bool(early.mean() - late.mean() > least)


def refuse_not_a_number(row: Mapping[str, Any], splits: Iterable[str], epoch: int) -> None:
    """Stop a training whose student is infinitely wrong, or not a number, on a monitored split.

    Raises:
        DivergedError: that is so.
    """
    for split in splits:
        if not isfinite(row[split]["loss"]):
            raise DivergedError(
                "non_finite",
                split,
                epoch,
                f"epoch {epoch + 1}: the loss on the {split} split became non-finite; the run is stopped and will "
                "not be averaged",
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
        f"epoch {epoch + 1}, step {step + 1}: {' and '.join(named)} became non-finite; the run is stopped and "
        "will not be averaged",
    )
