"""Plain gradient descent on the student and the distiller together."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn

from tutelage.objectives import Distiller, GradientPart, Losses
from tutelage.ranks import Ranks
from tutelage.schedules import Schedule, value_at
from tutelage.steps.base import Device, refuse_meta
from tutelage.steps.gradient_parts import due, gradient_parts, gradients_of, is_compiled
from tutelage.types import Batch, Clock, Output, View

OptimizerFactory = Callable[[Iterable[Tensor]], torch.optim.Optimizer]


@final
@dataclass(frozen=True)
class GradientStep:
    """One optimizer for the student and for the distiller's own parameters.

    Args:
        optimizer: makes the optimizer from parameters, for example
            ``functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9)``.
        learning_rate: a number or a schedule; overrides the factory's at every step.
        clip_norm: largest norm of the whole gradient; None leaves it as it is.
    """

    optimizer: OptimizerFactory
    learning_rate: float | Schedule = 0.1
    clip_norm: float | None = None

    def bind(self, device: Device, student: nn.Module, distiller: Distiller) -> "Descent":
        """Make the optimizer for these parameters.

        Raises:
            UserError: a weighting over teachers wants a meta step.
        """
        refuse_meta("GradientStep", distiller)
        return Descent(self, device, student, distiller)


class Descent:
    """A gradient step bound to one student and one distiller; what wants a meta step stays as it is."""

    def __init__(
        self, rule: GradientStep, device: Device, student: nn.Module, distiller: Distiller
    ) -> None:
        self.rule, self.device = rule, device
        self.student, self.distiller = student, distiller
        self.ranks = device if isinstance(device, Ranks) else None
        meta = {id(p) for p in distiller.meta_parameters()}
        self.parameters = [
            p
            for p in (*student.parameters(), *distiller.parameters())
            if p.requires_grad and id(p) not in meta
        ]
        self.optimizer = rule.optimizer(self.parameters)

    def __call__(
        self, batch: Batch, teachers: Mapping[str, Output], clock: Clock
    ) -> tuple[Losses, Output]:
        """Make one step; return the losses before it and the student's output."""
        with self.device.autocast():
            output = self.ranks.forward(self.student, batch) if self.ranks else self.student(batch)
            losses: Losses = self.distiller(View(output, teachers, batch, clock))
        if self.measures(clock):
            losses = replace(losses, gradients=self.parts(losses, clock))
        self.optimizer.zero_grad()
        self.device.backward(losses.total.mean())
        if self.ranks:
            self.ranks.add_gradients(self.parameters)
        self.move(clock)
        return losses, output

    def measures(self, clock: Clock) -> bool:
        """Return whether the gradient is taken apart in this step."""
        return due(clock, len(self.distiller.objectives)) and not is_compiled(self.student)

    def parts(self, losses: Losses, clock: Clock) -> dict[str, GradientPart]:
        """Return what each objective adds to the gradient of the student."""
        mine = [p for p in self.student.parameters() if p.requires_grad]
        found = gradients_of(list(losses.parts.values()), mine, self.ranks)
        return gradient_parts(dict(zip(losses.parts, found, strict=True)), self.distiller, clock)

    def move(self, clock: Clock) -> None:
        """Move the parameters along the gradients that they have collected."""
        if self.rule.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.rule.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = value_at(self.rule.learning_rate, clock)
        self.optimizer.step()

    def state(self) -> dict[str, Any]:
        """Return the state of the optimizer."""
        return {"optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of the optimizer back."""
        self.optimizer.load_state_dict(state["optimizer"])
