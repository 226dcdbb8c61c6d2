"""Epochs over batches, one step each: from a fresh state, or from where an earlier sitting stopped."""

from functools import partial
from typing import Any

from tutelage.averaging import add_epoch, averaged
from tutelage.errors import UserError
from tutelage.evaluate import monitor, predict, recalls
from tutelage.ranks import answers
from tutelage.steps import Step
from tutelage.steps.base import Device
from tutelage.train.epoch import TrainingEpoch, summary
from tutelage.train.guard import constant_split, patience, refuse_constant, refuse_not_a_number
from tutelage.train.settings import Record, Settings, State, Training
from tutelage.train.shares import settle
from tutelage.types import Clock


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
    run = TrainingRun(training, step, settings, device, record, state)
    while not run.done:
        epoch = run.begin()
        for batch, outputs, clock in epoch:
            epoch.note(batch, *run.stepper(batch, outputs, clock))
        run.close(epoch)
    return run.end()


class TrainingRun:
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
        self.steps = (settings.epoch_samples or len(training.train)) // settings.batch_size
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
        elif training.distiller.shares:
            record.settled(settle(training, settings, device))

    @property
    def done(self) -> bool:
        """Whether no epoch is left."""
        return self.state.epoch >= self.settings.epochs

    def begin(self) -> TrainingEpoch:
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
        return TrainingEpoch(self.training, self.settings, self.device, clock)

    def close(self, epoch: TrainingEpoch) -> None:
        """Evaluate, record and keep what an epoch led to, once all its batches have been seen.

        Raises:
            DivergedError: a loss is not finite, or the student predicts a single class and does not learn.
        """
        training, settings, state, record = self.training, self.settings, self.state, self.record
        clock = epoch.start
        row: dict[str, Any] = {"epoch": clock.epoch, "step": clock.step + self.steps}
        row["train"], index, traces = epoch.result()
        if epoch.gradients:
            row["gradients"] = epoch.gradients
        if traces:
            row["traces"] = summary(traces, training, index)
            record.traces(index, traces)
        monitored, state.recall = self._monitor()
        row |= monitored
        refuse_not_a_number(row, monitored, clock.epoch)
        doubtful = constant_split(training, row) is not None
        state.doubt = [*state.doubt, *epoch.losses][-patience(clock) :] if doubtful else []
        if settings.stop_constant:
            refuse_constant(training, row, clock, state.doubt)
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
        training, settings, state, record = self.training, self.settings, self.state, self.record
        student = training.student
        if settings.kept == "best":
            return state
        if settings.kept == "start":
            state.student = student.state_dict()
            state.distiller = training.distiller.state_dict()
            record.last(state)
        if settings.kept == "average":
            student.load_state_dict(averaged(state.average, student))
        monitored, _ = self._monitor()
        epoch = max(0, settings.epochs - 1)
        refuse_not_a_number(monitored, monitored, epoch)
        # Without anything to validate on, it is still the network that is tested.
        for split, metrics in (monitored or {"validation": {}}).items():
            value = metrics.get("accuracy")
            state.best[split] = {"epoch": epoch, "value": value}
            record.best(split, student, epoch, value, settings.kept)
        return state

    def _monitor(self) -> tuple[dict[str, dict[str, float]], list[float | None]]:
        """Return the metrics of each split, and the validation recall per class."""
        training, device = self.training, self.device
        metrics, recall = {}, list[float | None]()
        for split, index in training.monitors.items():
            ask = partial(predict, training.student, training.samples, context=device.autocast)
            logits = answers(device, index, ask)
            labels = training.samples.labels[index]
            metrics[split] = monitor(logits, labels)
            if split == "validation":
                recall = recalls(logits, labels)
        return metrics, recall
