"""Several trainings of one shape as one network: one pass for all students instead of one pass each.

Only the passes through the networks are made together, with the parameters of all students side by side in one
tensor per layer. Parameters, gradients, data order, objectives, coefficients, teachers, optimizer, evaluation and
checkpoints are each student's own, and a run that was begun alone may go on in a stack.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tutelage.models import LinearProbe, On
from tutelage.models._layers import Staged
from tutelage.objectives import Distiller, Labels, Losses, PerTeacher
from tutelage.steps import GradientStep, Step
from tutelage.steps.base import Device
from tutelage.steps.gradient import Descent
from tutelage.steps.gradient_parts import due, gradient_parts, gradients_of
from tutelage.terms import DecoupledTargets, SoftTargets, Standardised
from tutelage.train import Record, Settings, State, Training, TrainingEpoch, TrainingRun
from tutelage.types import Batch, Clock, Output, View

__all__ = ["Member", "fit_stacked", "probe", "refusal", "shape_of", "why_not"]

Seen = tuple[Batch, Any, Clock]


@dataclass(frozen=True)
class Member:
    """One training of a stack: what :func:`tutelage.train.fit` takes, but for the device.

    Args:
        training: who learns, from whom, on what.
        step: how parameters move.
        settings: length and order.
        record: where metrics and checkpoints go.
        state: a fresh ``State()``, or one that was recorded.
    """

    training: Training
    step: Step
    settings: Settings
    record: Record
    state: State


def refusal(member: Member) -> str | None:
    """Return why a training cannot be part of a stack, or None where it can."""
    student = member.training.student
    if not member.settings.epochs:
        return "nothing is trained"
    if not isinstance(student, On):
        return f"the student is a {type(student).__name__}, not a network on one modality"
    if student.network._compiled_call_impl is not None:  # what nn.Module.compile leaves behind
        return "its network is compiled"
    dropped = [m for m in student.network.modules() if isinstance(m, nn.Dropout) and m.p > 0]
    if dropped:
        return "dropout draws from one stream for all students"
    return why_not(type(student.network), member.training.distiller, member.step)


def why_not(network: type[nn.Module], distiller: Distiller, step: Step) -> str | None:
    """Return why a method cannot be trained in a stack, or None where it can.

    Args:
        network: class of the student's network.
        distiller: what is asked of it.
        step: how parameters move.
    """
    if not issubclass(network, (Staged, LinearProbe)):
        return f"{network.__name__} is none of the networks that are known to stack"
    if not isinstance(step, GradientStep):
        return f"a {type(step).__name__} passes through the student more than once"
    if not any(_reads_logits(objective) for objective in distiller.objectives.values()):
        # A parameter without gradient must not move at all; in a stack every parameter has one.
        return "no objective is known to reach all parameters of the student"
    return None


def shape_of(member: Member) -> tuple[Any, ...]:
    """Return what the members of a stack must have in common."""
    student = member.training.student
    assert isinstance(student, On), "refusal() is None"
    first = next(student.parameters())
    inputs = member.training.samples.inputs[student.modality]
    return (
        tuple(
            (name, type(m).__qualname__, _plain(m)) for name, m in student.network.named_modules()
        ),
        tuple(
            (n, p.shape, p.dtype, p.requires_grad) for n, p in student.network.named_parameters()
        ),
        tuple(student.seen(inputs.shape[1:])),
        member.settings.batch_size,
        first.device,
    )


def fit_stacked(
    members: Sequence[Member], device: Device
) -> Iterator[tuple[int, State | Exception]]:
    """Train all members from their states to their last epochs.

    They may be at different epochs, and their training splits may differ in length: within an epoch, those that
    have seen all their batches wait for the others. The seconds of an epoch are shared out equally.

    Args:
        members: of one shape; none of them is refused.
        device: where all of them are.

    Yields:
        Of each member, as soon as it ends, its number and what :func:`tutelage.train.fit` would return, or raise:
        one that diverges leaves the stack, the others go on.

    Raises:
        ValueError: a member is refused, or they differ in shape.
    """
    for number, member in enumerate(members):
        why = refusal(member)
        if why is not None:
            raise ValueError(f"members[{number}]: cannot be stacked: {why}")
        if shape_of(member) != shape_of(members[0]):
            raise ValueError(f"members[{number}]: another shape than members[0]")
    runs = {
        number: TrainingRun(m.training, m.step, m.settings, device, m.record, m.state)
        for number, m in enumerate(members)
    }
    while runs:
        for number in [n for n, run in runs.items() if run.done]:
            yield number, _attempt(runs.pop(number).end)
        if runs:
            for number, error in _epoch(runs, device).items():
                del runs[number]
                yield number, error


def probe(members: Sequence[Member], device: Device, steps: int = 5) -> tuple[float, float]:
    """Return the seconds that a step of one student takes alone, and in a stack of all other members.

    The members are spent by it: what they train is not to be kept, and nothing of it is recorded.

    Args:
        members: as for :func:`fit_stacked`, at least 2.
        device: where all of them are.
        steps: how many are measured of each, after one that is not.
    """
    runs = [TrainingRun(m.training, m.step, m.settings, device, m.record, m.state) for m in members]
    epochs = [run.begin() for run in runs]
    seen = [next(iter(epoch)) for epoch in epochs]
    streams = [_streams(device.device) for _ in runs]
    single, (batch, outputs, clock) = runs[0], seen[0]
    stack = _Stack([_student(run) for run in runs[1:]])
    ways: tuple[Callable[[], None], ...] = (
        lambda: epochs[0].note(batch, *single.stepper(batch, outputs, clock)),
        lambda: _step(stack, runs[1:], epochs[1:], seen[1:], streams[1:]),
    )
    found: list[list[float]] = [[], []]
    for _ in range(1 + steps):  # in turns, so that both see the same noise
        for way, seconds in zip(ways, found, strict=True):
            started = time.perf_counter()
            way()
            if device.device.type == "cuda":
                torch.cuda.synchronize(device.device)
            seconds.append(time.perf_counter() - started)
    # The smallest: what another program on the machine takes away is no property of a way.
    alone, together = (min(seconds[1:]) for seconds in found)
    return alone, together / (len(runs) - 1)


class _Stack:
    """The passes of some students of one shape, made as one.

    Args:
        students: the networks; they keep parameters, gradients and running statistics of their own.
    """

    def __init__(self, students: Sequence[On]) -> None:
        self.students = students
        networks = [student.network for student in students]
        self.skeleton = deepcopy(networks[0]).to("meta").train()
        self.parameters = [dict(network.named_parameters()) for network in networks]
        self.buffers = [dict(network.named_buffers()) for network in networks]

    def __call__(self, batches: Sequence[Batch]) -> list[Output]:
        """Return what each of the first students says of its own batch."""
        width = len(batches)
        inputs = [
            student.standardise(student.cut(batch.inputs[student.modality]))
            for student, batch in zip(self.students, batches, strict=False)
        ]
        buffers = _side_by_side(self.buffers[:width])
        logits, features = vmap(self._pass)(
            _side_by_side(self.parameters[:width]), buffers, torch.stack(inputs)
        )
        for name, values in buffers.items():  # running statistics have moved
            torch._foreach_copy_([own[name] for own in self.buffers[:width]], values.unbind())
        parts = {tap: values.unbind() for tap, values in features.items()}
        return [
            Output(own, {tap: values[i] for tap, values in parts.items()})
            for i, own in enumerate(logits.unbind())
        ]

    def _pass(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        output: Output = functional_call(self.skeleton, (parameters, buffers), (x,))
        return output.logits, dict(output.features)


def _side_by_side(owned: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors of the same names as one tensor each; gradients flow back to each of them."""
    return {name: torch.stack([own[name] for own in owned]) for name in owned[0]}


def _epoch(runs: Mapping[int, TrainingRun], device: Device) -> dict[int, Exception]:
    """Train one epoch of every run; return those that were stopped by what it led to."""
    # The longest first: those that still have batches are then the first ones of the stack.
    numbers = sorted(runs, key=lambda n: -runs[n].steps)
    going = [runs[n] for n in numbers]
    stack = _Stack([_student(run) for run in going])
    epochs, streams = list[TrainingEpoch](), list[list[Tensor]]()
    for run in going:
        epochs.append(run.begin())  # seeds the global stream for what objectives draw
        streams.append(_streams(device.device))
    sources: list[Iterator[Seen]] = [iter(epoch) for epoch in epochs]
    for number in range(going[0].steps):
        width = sum(run.steps > number for run in going)
        _step(stack, going[:width], epochs, [next(source) for source in sources[:width]], streams)
    # What follows is timed for each run; what is behind us is shared.
    share = epochs[0].seconds / len(epochs)
    failed = {}
    for number, run, epoch in zip(numbers, going, epochs, strict=True):
        epoch.restart(share)
        try:
            run.close(epoch)
        except Exception as error:  # whatever stops one run is its own affair
            failed[number] = error
    return failed


def _step(
    stack: _Stack,
    runs: Sequence[TrainingRun],
    epochs: Sequence[TrainingEpoch],
    seen: Sequence[Seen],
    streams: list[list[Tensor]],
) -> None:
    """Make one step of every run."""
    device = runs[0].device
    steppers = [run.stepper for run in runs]
    losses = []
    with device.autocast():
        outputs = stack([batch for batch, _, _ in seen])
        for i, (run, (batch, teachers, clock)) in enumerate(zip(runs, seen, strict=True)):
            with _stream(streams, i, device.device):
                losses.append(run.training.distiller(View(outputs[i], teachers, batch, clock)))
    losses = _measured(runs, [clock for _, _, clock in seen], losses)
    for stepper in steppers:
        assert isinstance(stepper, Descent), "refusal() is None"
        stepper.optimizer.zero_grad()
    device.backward(torch.stack([own.total.mean() for own in losses]).sum())
    for i, (stepper, (batch, _, clock)) in enumerate(zip(steppers, seen, strict=True)):
        assert isinstance(stepper, Descent), "refusal() is None"
        stepper.move(clock)
        epochs[i].note(batch, losses[i], outputs[i])


def _measured(
    runs: Sequence[TrainingRun], clocks: Sequence[Clock], losses: Sequence[Losses]
) -> list[Losses]:
    """Take the gradients of all students apart whose turn it is; a pass goes back through the whole stack."""
    turns = []
    for i, (run, clock) in enumerate(zip(runs, clocks, strict=True)):
        if due(clock, len(run.training.distiller.objectives)):
            turns.append(i)
    found = list(losses)
    parameters = {i: [p for p in _student(runs[i]).parameters() if p.requires_grad] for i in turns}
    gathered: dict[int, dict[str, Tensor]] = {i: {} for i in turns}
    # No student's loss depends on another's parameters, so the sum of their losses has every gradient at once.
    for number in range(max((len(losses[i].parts) for i in turns), default=0)):
        going = [i for i in turns if len(losses[i].parts) > number]
        names = [list(losses[i].parts)[number] for i in going]
        parts = [losses[i].parts[name] for i, name in zip(going, names, strict=True)]
        every = [p for i in going for p in parameters[i]]
        together = torch.stack([part.mean() for part in parts]).sum().reshape(1)
        flat = gradients_of([together], every)[0]
        sizes = [sum(p.numel() for p in parameters[i]) for i in going]
        for i, name, own in zip(going, names, torch.split(flat, sizes), strict=True):
            gathered[i][name] = own
    for i in turns:
        parts_of = gradient_parts(gathered[i], runs[i].training.distiller, clocks[i])
        found[i] = replace(losses[i], gradients=parts_of)
    return found


def _student(run: TrainingRun) -> On:
    student = run.training.student
    assert isinstance(student, On), "refusal() is None"
    return student


def _attempt(work: Callable[[], State]) -> State | Exception:
    try:
        return work()
    except Exception as error:
        return error


def _reads_logits(part: nn.Module) -> bool:
    if isinstance(part, PerTeacher):
        return _reads_logits(part.template[0])
    if isinstance(part, Standardised):
        return _reads_logits(part.term)
    return isinstance(part, (Labels, SoftTargets, DecoupledTargets))


def _plain(module: nn.Module) -> tuple[tuple[str, Any], ...]:
    """Return the plain attributes of a module: strides, flags, factors."""
    kinds = (bool, int, float, str, tuple, type(None))
    return tuple(
        sorted((k, v) for k, v in vars(module).items() if k != "training" and isinstance(v, kinds))
    )


def _streams(device: torch.device) -> list[Tensor]:
    """Return the state of the global random streams."""
    gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *gpu]


@contextmanager
def _stream(streams: list[list[Tensor]], number: int, device: torch.device) -> Iterator[None]:
    """Let what is drawn inside come from a member's own stream, which goes on there the next time."""
    torch.set_rng_state(streams[number][0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(streams[number][1], device)
    yield
    streams[number] = _streams(device)
