"""One pass over the training split."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from tutelage.augment import augmented, of_mixtures
from tutelage.batches import again, batches, class_aware, order
from tutelage.losses import cross_entropy
from tutelage.objectives import GradientPart, Losses
from tutelage.seeds import derive, generator
from tutelage.steps.base import Device
from tutelage.train.guard import refuse_non_finite
from tutelage.train.settings import Settings, Training
from tutelage.types import Batch, Clock, Output


class TrainingEpoch:
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
            self.ids = class_aware(
                training.train, training.samples.labels, draws, count=settings.epoch_samples
            )
        elif settings.epoch_samples is not None:
            self.ids = again(training.train, settings.epoch_samples, draws)
        else:
            self.ids = order(training.train, draws)
        self.rows: list[Tensor] = []
        self.surprise: list[Tensor] = []
        self.traced: dict[str, list[Tensor]] = {}
        self.measured: list[Mapping[str, GradientPart]] = []
        self.predicted = torch.zeros(len(training.samples.class_names), device=device.device)

    def __iter__(self) -> Iterator[tuple[Batch, Mapping[str, Output], Clock]]:
        """Yield what the student sees, what the teachers say, and the clock, of each step."""
        training, settings, device = self.training, self.settings, self.device.device
        changes, clock = settings.augmentation, self.start
        for batch in batches(training.samples, self.ids, settings.batch_size, drop_last=True):
            seen = augmented(batch, changes.augments, self.random)
            if changes.mix is not None:
                seen = changes.mix(seen, self.random)
            shown = (seen if changes.teachers_too else batch).to(device)
            outputs = {} if training.teachers is None else training.teachers(shown)
            if changes.mix is not None and not changes.teachers_too:
                outputs = of_mixtures(outputs, batch, seen)
            yield seen.to(device), outputs, clock
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
        known = losses.total
        if self.training.labelled:
            known = seen.by_label(partial(cross_entropy, output.logits.detach()))
        self.surprise.append(known.detach().float().mean())
        parts = [part.detach().float().mean() for part in losses.parts.values()]
        self.rows.append(torch.stack([losses.total.detach().float().mean(), *parts, hits.mean()]))
        if losses.gradients:
            self.measured.append(losses.gradients)
        for name, values in losses.traces.items():
            self.traced.setdefault(name, []).append(values.detach().float())

    @property
    def losses(self) -> list[float]:
        """The student's cross entropy with the labels in each step; its total loss where they are hidden."""
        losses: list[float] = torch.stack(self.surprise).nan_to_num(1e30, 1e30).tolist()
        return losses

    @property
    def gradients(self) -> dict[str, dict[str, float | None]]:
        """What each objective added to the gradient, mean over measured steps; many epochs have none."""
        steps = self.measured
        return {
            name: {
                key: _mean([getattr(step[name], key) for step in steps])
                for key in ("norm", "share", "cosine")
            }
            for name in (steps[0] if steps else ())
        }

    def result(self) -> tuple[dict[str, float], Tensor, dict[str, Tensor]]:
        """Return the means of the epoch, the ids in the order they were seen, and the traces of each.

        Raises:
            DivergedError: a loss is not finite.
        """
        names = ["loss", *self.training.distiller.objectives, "accuracy"]
        table = torch.stack(self.rows).cpu()
        refuse_non_finite(table, names, self.start.epoch)
        means = dict(zip(names, table.mean(dim=0).tolist(), strict=True))
        if not self.training.labelled:
            del means["accuracy"]
        seen = self.ids[: len(self.rows) * self.settings.batch_size]
        traces = {name: torch.cat(values).cpu() for name, values in self.traced.items()}
        return means | {"classes_predicted": float(self.predicted.sum())}, seen, traces


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of those that are known and finite, or None."""
    known = [value for value in values if value is not None and isfinite(value)]
    return sum(known) / len(known) if known else None


def summary(
    traces: Mapping[str, Tensor], training: Training, index: Tensor
) -> dict[str, dict[str, Any]]:
    """Return the mean of each trace, over all samples and per class (None for a class not seen)."""
    labels, classes = training.samples.labels[index], len(training.samples.class_names)
    known = labels >= 0
    counts = torch.bincount(labels[known], minlength=classes)
    means = {}
    for name, values in traces.items():
        sums = torch.zeros(classes).index_add_(0, labels[known], values[known])
        by_class = [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)]
        means[name] = {"mean": float(values.mean()), "by_class": by_class}
    return means
