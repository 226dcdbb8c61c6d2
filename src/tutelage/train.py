"""The loop: epochs over batches, one step each; it knows no method, no data set and no file format."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from tutelage import augment as augmenting
from tutelage.averaging import Average, add_epoch, averaged
from tutelage.batches import (
    Samples,
    batches,
    class_aware,
    order,
)
from tutelage.errors import UserError
from tutelage.evaluate import monitor, predict, recalls
from tutelage.objectives import Distiller, Losses
from tutelage.ranks import answers
from tutelage.seeds import derive, generator
from tutelage.steps import Step
from tutelage.steps.base import Device
from tutelage.teachers import Teachers
from tutelage.types import Batch, Clock, Output

__all__ = [
    "Augmentation",
    "Course",
    "DivergedError",
    "Epoch",
    "Record",
    "Settings",
    "State",
    "Training",
    "fit",
]


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


@dataclass(frozen=True)
class Augmentation:
    """Random changes of inputs.

    Args:
        augments: modality -> change.
        mix: mixes the samples of a batch, after the other changes.
        teachers_too: teachers see the changed inputs as well (then they cannot be cached).
    """

    augments: Mapping[str, augmenting.Augment] = field(default_factory=dict)
    mix: augmenting.Mix | None = None
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
    """

    epochs: int
    batch_size: int
    seed: int
    augmentation: Augmentation = Augmentation()
    sampler: Literal["shuffled", "class_aware"] = "shuffled"
    select: Literal["best", "last"] = "best"
    average: Average | None = None

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
    """

    epoch: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    recall: list[float | None] = field(default_factory=list)
    best: dict[str, dict[str, float | None]] = field(default_factory=dict)
    student: dict[str, Tensor] = field(default_factory=dict)
    distiller: dict[str, Tensor] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)


class Record(Protocol):
    """Where training writes; in an experiment a run folder."""

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


def fit(
    training: Training, step: Step, settings: Settings, device: Device, record: Record, state: State
) -> State:
    """Train from ``state`` to the last epoch.

    Args:
        training: who learns, from whom, on what.
        step: how parameters move.
        settings: length and order.
        device: Lightning Fabric, or anything with its ``device``, ``autocast`` and ``backward``.
        record: where metrics and checkpoints go.
        state: a fresh ``State()``, or one that was recorded.

    Returns:
        The state after the last epoch.

    Raises:
        UserError: the training split is smaller than one batch.
        DivergedError: a loss is not finite, or the student predicts a single class.
    """
    course = Course(training, step, settings, device, record, state)
    while not course.done:
        epoch = course.begin()
        for batch, outputs, clock in epoch:
            epoch.note(batch, *course.stepper(batch, outputs, clock))
        course.close(epoch)
    return course.end()


class Course:
    """One training on its way through its epochs: what :func:`fit` and stacked training have in common.

    It takes what :func:`fit` takes.

    Raises:
        UserError: the training split is smaller than one batch.
    """

    def __init__(
        self,
        training: Training,
        step: Step,
        settings: Settings,
        device: Device,
        record: Record,
        state: State,
    ) -> None:
        self.training, self.settings, self.device = training, settings, device
        self.record, self.state = record, state
        self.steps = len(training.train) // settings.batch_size
        if not settings.epochs:
            return
        if self.steps == 0:
            raise UserError(
                f"train.batch_size: {settings.batch_size} is more than the {len(training.train)} "
                "training samples"
            )
        self.stepper = step.bind(device, training.student, training.distiller)
        if state.epoch:
            training.student.load_state_dict(state.student)
            training.distiller.load_state_dict(state.distiller)
            self.stepper.restore(state.step)

    @property
    def done(self) -> bool:
        """Whether no epoch is left."""
        return self.state.epoch >= self.settings.epochs

    def begin(self) -> "Epoch":
        """Return the next epoch, whose batches are still to be seen."""
        state, steps = self.state, self.steps
        clock = Clock(
            state.epoch,
            state.epoch * steps,
            self.settings.epochs,
            steps,
            state.validation,
            state.recall,
        )
        return Epoch(self.training, self.settings, self.device, clock)

    def close(self, epoch: "Epoch") -> None:
        """Evaluate, record and keep what an epoch led to, once all its batches have been seen.

        Raises:
            DivergedError: a loss is not finite, or the student predicts a single class.
        """
        training, settings, state, record = self.training, self.settings, self.state, self.record
        clock = epoch.start
        row: dict[str, Any] = {"epoch": clock.epoch, "step": clock.step + self.steps}
        row["train"], index, traces = epoch.result()
        if traces:
            row["traces"] = _summary(traces, training, index)
            record.traces(index, traces)
        monitored, state.recall = _monitor(training, self.device)
        row |= monitored
        _refuse_constant(training, row, clock)
        state.epoch, state.validation = clock.epoch + 1, row.get("validation", {})
        record.epoch(row, epoch.seconds)
        for split in training.monitors if settings.kept == "best" else ():
            value = row[split]["accuracy"]
            before = state.best.get(split, {}).get("value")
            if before is None or value > before:
                state.best[split] = {"epoch": clock.epoch, "value": value}
                record.best(split, training.student, clock.epoch, value, split)
        if settings.average is not None:
            weight = float(settings.average.weights(settings.epochs)[clock.epoch])
            state.average = add_epoch(state.average, training.student, weight)
        state.student = training.student.state_dict()
        state.distiller = training.distiller.state_dict()
        state.step = self.stepper.state()
        record.last(state)

    def end(self) -> State:
        """Keep the network that training ends with, where it is not the best; return the last state."""
        if self.settings.kept == "best":
            return self.state
        return _end(self.training, self.settings, self.device, self.record, self.state)


def _end(
    training: Training, settings: Settings, device: Device, record: Record, state: State
) -> State:
    """Keep the network that training ends with, whatever the others were like."""
    student = training.student
    if settings.kept == "start":
        state.student = student.state_dict()
        state.distiller = training.distiller.state_dict()
        record.last(state)
    if settings.kept == "average":
        student.load_state_dict(averaged(state.average, student))
    monitored, _ = _monitor(training, device)
    epoch = max(0, settings.epochs - 1)
    # Without anything to validate on, it is still the network that is tested.
    for split, metrics in (monitored or {"validation": {}}).items():
        value = metrics.get("accuracy")
        state.best[split] = {"epoch": epoch, "value": value}
        record.best(split, student, epoch, value, settings.kept)
    return state


class Epoch:
    """One pass over the training split: an iterator over what is seen in each step, and what was noted of it.

    Args:
        training: who learns, from whom, on what.
        settings: length and order.
        device: where the networks are.
        start: the clock before the first step.
    """

    def __init__(
        self, training: Training, settings: Settings, device: Device, start: Clock
    ) -> None:
        self.restart()
        training.student.train()
        training.distiller.train()
        # Dropout and the like draw from the global stream: seeded per epoch, a resumed run repeats it.
        torch.manual_seed(derive(settings.seed, "forward", start.epoch))
        self.training, self.settings, self.device, self.start = training, settings, device, start
        self.random = generator(settings.seed, "augment", start.epoch)
        draws = generator(settings.seed, "order", start.epoch)
        if settings.sampler == "class_aware":
            self.ids = class_aware(training.train, training.samples.labels, draws)
        else:
            self.ids = order(training.train, draws)
        self.rows: list[Tensor] = []
        self.traced: dict[str, list[Tensor]] = {}
        self.predicted = torch.zeros(len(training.samples.class_names), device=device.device)

    def __iter__(self) -> Iterator[tuple[Batch, Mapping[str, Output], Clock]]:
        """Yield what the student sees, what the teachers say, and the clock, of each step."""
        training, settings, device = self.training, self.settings, self.device.device
        clock = self.start
        for batch in batches(training.samples, self.ids, settings.batch_size, drop_last=True):
            seen, outputs = _see(
                batch, training.teachers, settings.augmentation, self.random, device
            )
            yield seen, outputs, clock
            clock = replace(clock, step=clock.step + 1)

    @property
    def seconds(self) -> float:
        """How long this epoch has taken so far."""
        return time.perf_counter() - self.started

    def restart(self, seconds: float = 0.0) -> None:
        """Count its time from now on, as if it had taken so many seconds already."""
        self.started = time.perf_counter() - seconds

    def note(self, seen: Batch, losses: Losses, output: Output) -> None:
        """Note what a step led to."""
        classes = output.logits.detach().argmax(dim=1)
        if len(self.rows) >= self.start.steps_per_epoch // 2:
            self.predicted[classes] = 1.0
        hits = (classes == seen.labels).float()
        parts = [part.detach().float().mean() for part in losses.parts.values()]
        self.rows.append(torch.stack([losses.total.detach().float().mean(), *parts, hits.mean()]))
        for name, values in losses.traces.items():
            self.traced.setdefault(name, []).append(values.detach().float())

    def result(self) -> tuple[dict[str, float], Tensor, dict[str, Tensor]]:
        """Return the means of the epoch, the ids in the order they were seen, and the traces of each.

        Raises:
            DivergedError: a loss is not finite.
        """
        names = ["loss", *self.training.distiller.objectives, "accuracy"]
        table = torch.stack(self.rows).cpu()
        _refuse_non_finite(table, names, self.start.epoch)
        means = dict(zip(names, table.mean(dim=0).tolist(), strict=True))
        if not self.training.labelled:
            del means["accuracy"]
        seen = self.ids[: len(self.rows) * self.settings.batch_size]
        traces = {name: torch.cat(values).cpu() for name, values in self.traced.items()}
        return means | {"classes_predicted": float(self.predicted.sum())}, seen, traces


def _summary(
    traces: Mapping[str, Tensor], training: Training, index: Tensor
) -> dict[str, dict[str, Any]]:
    """Return the mean of each trace, over all samples and per class (None for a class not seen)."""
    labels, classes = training.samples.labels[index], len(training.samples.class_names)
    counts = torch.bincount(labels, minlength=classes) * training.labelled
    found = {}
    for name, values in traces.items():
        sums = torch.zeros(classes).index_add_(0, labels, values)
        by_class = [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)]
        found[name] = {"mean": float(values.mean()), "by_class": by_class}
    return found


def _see(
    batch: Batch,
    teachers: Teachers | None,
    augmentation: Augmentation,
    random: torch.Generator,
    device: torch.device,
) -> tuple[Batch, Mapping[str, Any]]:
    """Return what the student sees and what the teachers say."""
    seen = augmenting.augmented(batch, augmentation.augments, random)
    if augmentation.mix is not None:
        seen = augmentation.mix(seen, random)
    shown = seen if augmentation.teachers_too else batch
    outputs = {} if teachers is None else teachers(_to(shown, device))
    return _to(seen, device), outputs


def _to(batch: Batch, device: torch.device) -> Batch:
    inputs = {name: x.to(device, non_blocking=True) for name, x in batch.inputs.items()}
    return replace(
        batch,
        inputs=inputs,
        labels=batch.labels.to(device),
        concepts={scope: values.to(device) for scope, values in batch.concepts.items()},
        partner=None if batch.partner is None else batch.partner.to(device),
        share=None if batch.share is None else batch.share.to(device),
    )


def _monitor(
    training: Training, device: Device
) -> tuple[dict[str, dict[str, float]], list[float | None]]:
    """Return the metrics of each split, and the validation recall per class."""
    found = {}
    recall: list[float | None] = []
    for split, index in training.monitors.items():
        ask = partial(predict, training.student, training.samples, context=device.autocast)
        logits = answers(device, index, ask)
        labels = training.samples.labels[index]
        found[split] = monitor(logits, labels)
        if split == "validation":
            recall = recalls(logits, labels)
    return found, recall


def _refuse_constant(training: Training, row: Mapping[str, Any], clock: Clock) -> None:
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


def _refuse_non_finite(table: Tensor, names: list[str], epoch: int) -> None:
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
