"""Steps of the student, and now and then a step of the weights over teachers that looks through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tutelage.errors import UserError, unknown, within
from tutelage.objectives import Distiller, Labels, Losses
from tutelage.schedules import Schedule
from tutelage.steps.base import Device
from tutelage.steps.gradient import Descent, GradientStep, OptimizerFactory
from tutelage.steps.hard_buffer import HardBuffer
from tutelage.types import Batch, Clock, Output, View

Named = dict[str, Tensor]


@final
@dataclass(frozen=True)
class BilevelStep:
    """A gradient step, and every few batches a meta step for weightings that are learned (MMKD).

    The meta step asks what weights over teachers make matching the teachers alone good for the labels: it makes
    ``virtual_steps`` steps of SGD on all objectives but the outer ones, one more on the outer ones, and moves the
    weight networks along the gradient of the outer objectives behind them, with Adam. It happens after the
    student's own step, at steps 0, ``every``, 2 · ``every``, ... of an epoch and at its last one.

    The virtual steps are functions of copies: student, adapters, optimizer state and running statistics are never
    touched, so there is nothing to roll back. What a weight network reads of the student is detached in virtual
    steps too: the gradient does not follow that path.

    Args:
        optimizer: makes the optimizer of student and adapters; must be SGD.
        learning_rate: a number or a schedule; overrides the factory's at every step, also in virtual steps.
        clip_norm: largest norm of the student's whole gradient; virtual steps are not clipped.
        batch_size: samples of one step.
        every: batches from one meta step to the next.
        virtual_steps: steps on matching alone that the meta gradient looks through.
        meta_learning_rate: of Adam on the weight networks.
        meta_weight_decay: of Adam on the weight networks.
        buffer: samples kept for meta steps, which then draw a batch from them: misclassified ones take the
            places of others (see :class:`~tutelage.steps.hard_buffer.HardBuffer`); 0: the current batch.
        outer: names of the objectives that judge; those of type ``Labels`` unless given.

    Raises:
        ValueError: a number is out of its range, or the buffer is smaller than a batch.

    Source:
        Zhang et al. 2023, MMKD (ICME); the virtual steps follow Jang et al. 2019, arXiv:1905.05901. Reference
        code Rorozhl/MMKD ``train_meta.py``, ``helper/meta_optimizer.py``; published: every 5, 2 virtual steps,
        Adam 1e-3, weight decay 1e-4, buffer 256, batch 64. Differs: gradients flow through the very update of
        the optimizer, Nesterov included, where theirs is the adjoint of plain momentum whatever the virtual
        steps were (equal without Nesterov); the outer objectives keep their coefficients too (theirs is 1);
        running statistics are untouched (theirs move once more after the roll-back).
    """

    optimizer: OptimizerFactory
    learning_rate: float | Schedule = 0.1
    clip_norm: float | None = None
    batch_size: int = 0
    every: int = 5
    virtual_steps: int = 2
    meta_learning_rate: float = 1e-3
    meta_weight_decay: float = 1e-4
    buffer: int = 256
    outer: Sequence[str] | None = None

    def __post_init__(self) -> None:
        within("[1, inf)", every=self.every, virtual_steps=self.virtual_steps)
        within("(0, inf)", meta_learning_rate=self.meta_learning_rate)
        within("[0, inf)", meta_weight_decay=self.meta_weight_decay)
        if self.buffer < 0 or 0 < self.buffer < self.batch_size:
            raise ValueError(
                f"buffer: {self.buffer} samples cannot fill a batch of {self.batch_size}; allowed: at "
                "least a batch, or 0 for the current batch"
            )

    def bind(self, device: Device, student: nn.Module, distiller: Distiller) -> "_Bound":
        """Make the optimizers for these parameters.

        Raises:
            UserError: nothing wants a meta step, there is no outer objective or no such objective, the
                optimizer is not SGD, or an objective reads cached similarity maps, which a buffer has not.
        """
        if not distiller.meta_parameters():
            raise UserError(
                "train.step: BilevelStep trains weights over teachers, and no weighting here is learned by a "
                "meta step; use weighting: {type: MetaLogits} or MetaFeatures, or step: {type: GradientStep}"
            )
        whole = distiller.needs().grams - distiller.needs().features
        if self.buffer and whole:
            raise UserError(
                f"train.step.buffer: {self.buffer}, but an objective reads the similarity map of "
                f"{', '.join(sorted(whole))} for whole batches, which samples of a buffer do not have; "
                "allowed: 0, the current batch"
            )
        return _Bound(self, device, student, distiller)

    def judges(self, distiller: Distiller) -> list[str]:
        """Return the names of the outer objectives.

        Raises:
            UserError: there is none, or no such objective.
        """
        names = distiller.objectives
        if self.outer is None:
            judging = [name for name, objective in names.items() if isinstance(objective, Labels)]
        else:
            judging = list(self.outer)
        if not judging:
            raise UserError(
                "train.step.outer: there is no objective of type Labels to judge the weights by; name one "
                f"(allowed: {', '.join(names)})"
            )
        for name in judging:
            if name not in names:
                raise unknown("train.step.outer", "objective", name, names)
        return judging


class _Bound:
    def __init__(
        self, rule: BilevelStep, device: Device, student: nn.Module, distiller: Distiller
    ) -> None:
        self.rule, self.device = rule, device
        plain = GradientStep(rule.optimizer, rule.learning_rate, rule.clip_norm)
        self.descent = Descent(plain, device, student, distiller)
        if not isinstance(self.descent.optimizer, torch.optim.SGD):
            raise UserError(
                f"train.optimizer: found {type(self.descent.optimizer).__name__}; allowed: SGD, whose steps "
                "BilevelStep repeats virtually"
            )
        self.outer = rule.judges(distiller)
        self.matching = [name for name in distiller.objectives if name not in self.outer]
        self.weights = distiller.meta_parameters()
        self.meta = torch.optim.Adam(
            self.weights, lr=rule.meta_learning_rate, weight_decay=rule.meta_weight_decay
        )
        self.joint = _Joint(student, distiller)
        mine = {id(parameter) for parameter in self.descent.parameters}
        self.moved = {n: p for n, p in self.joint.named_parameters() if id(p) in mine}
        self.buffer = HardBuffer(rule.buffer)

    def __call__(
        self, batch: Batch, teachers: Mapping[str, Output], clock: Clock
    ) -> tuple[Losses, Output]:
        losses, output = self.descent(batch, teachers, clock)
        if self.rule.buffer:
            wrong = output.logits.detach().argmax(dim=1) != batch.labels
            self.buffer.add(batch, teachers, wrong)
        place = clock.step % clock.steps_per_epoch
        if place % self.rule.every == 0 or place == clock.steps_per_epoch - 1:
            if self.rule.buffer:
                batch, teachers = self.buffer.draw(len(batch.labels))
            gradient = self.meta_gradient(batch, teachers, clock)
            for parameter, wanted in zip(self.weights, gradient, strict=True):
                parameter.grad = wanted
            self.meta.step()
        return losses, output

    def meta_gradient(
        self, batch: Batch, teachers: Mapping[str, Output], clock: Clock
    ) -> tuple[Tensor, ...]:
        """Return the gradient of the outer objectives behind the virtual steps, for each weight parameter."""
        values: Named = dict(self.moved)
        states = self.descent.optimizer.state
        momenta = {n: states[p].get("momentum_buffer") for n, p in self.moved.items()}
        group = self.descent.optimizer.param_groups[0]

        def total(values: Named, names: list[str]) -> Tensor:
            buffers = {name: buffer.clone() for name, buffer in self.joint.named_buffers()}
            # A compiled network has no second derivative; running it as it was written has.
            with torch.compiler.set_stance("force_eager"), self.device.autocast():
                losses: Tensor = functional_call(
                    self.joint, values | buffers, (batch, teachers, clock, names)
                )
            return losses.mean()

        for names in (*[self.matching] * self.rule.virtual_steps, self.outer):
            wanted = list(values.values())
            gradients = torch.autograd.grad(
                total(values, names), wanted, create_graph=True, allow_unused=True
            )
            moved = {}
            for (name, value), gradient in zip(values.items(), gradients, strict=True):
                moved[name] = value
                if gradient is not None:  # SGD, too, leaves out what got no gradient
                    moved[name], momenta[name] = sgd(value, gradient, momenta[name], group)
            values = moved
        judged = total(values, self.outer)
        return torch.autograd.grad(judged, self.weights, allow_unused=True, materialize_grads=True)

    def state(self) -> dict[str, Any]:
        own = {"meta": self.meta.state_dict(), "buffer": dict(self.buffer.rows)}
        return self.descent.state() | own

    def restore(self, state: dict[str, Any]) -> None:
        self.descent.restore(state)
        self.meta.load_state_dict(state["meta"])
        self.buffer.restore(state["buffer"], self.device.device)


class _Joint(nn.Module):
    """Student and distiller as one function of all their parameters."""

    def __init__(self, student: nn.Module, distiller: Distiller) -> None:
        super().__init__()
        self.student, self.distiller = student, distiller

    def forward(
        self, batch: Batch, teachers: Mapping[str, Output], clock: Clock, names: list[str]
    ) -> Tensor:
        """Return the weighted sum of the named objectives, [B]."""
        view = View(self.student(batch), teachers, batch, clock)
        losses: Losses = self.distiller(view, names)
        return losses.total


def sgd(
    value: Tensor, gradient: Tensor, momentum: Tensor | None, group: Mapping[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """Return value and momentum buffer after a step of ``torch.optim.SGD``; differentiable.

    Args:
        value: parameter before the step.
        gradient: of the same shape.
        momentum: buffer before the step; None before the first.
        group: ``lr``, ``momentum``, ``dampening``, ``weight_decay``, ``nesterov``, ``maximize``.
    """
    step = -gradient if group["maximize"] else gradient
    step = step + group["weight_decay"] * value
    if group["momentum"]:
        fresh = (1 - group["dampening"]) * step
        momentum = step if momentum is None else group["momentum"] * momentum + fresh
        step = step + group["momentum"] * momentum if group["nesterov"] else momentum
    return value - group["lr"] * step, momentum
