"""Runs trained in one process as one stack, where their shapes allow it; each is what it would be alone."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from tutelage.execution.claim import Outcome, claimed, outcome_of
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener
from tutelage.execution.stacked_training import (
    Member,
    fit_stacked,
    probe,
    refusal,
    shape_of,
    why_not,
)
from tutelage.recipe.instantiate import described
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.writer import RunFolder, Unrecorded, layout_of
from tutelage.train import DivergedError, Record, State, fit
from tutelage.training.assemble import Assembled, Context, assemble
from tutelage.training.settings import make_distiller, make_step
from tutelage.training.single import begin, fail, finish

__all__ = ["Seconds", "measure_stack", "stack_outcomes", "why_alone"]

Asked = tuple[Context, RunSpec]


def why_alone(spec: RunSpec) -> str | None:
    """Return why a run cannot be trained in a stack, or None where it can."""
    if not spec.train.epochs:
        return "nothing is trained"
    if spec.train.compile:
        return "its network is compiled"
    network, _ = described("tutelage.models", spec.network, spec.place, base=nn.Module)
    return why_not(network, make_distiller(spec), make_step(spec))


def stack_outcomes(asked: Sequence[Asked], kept: DataCache, listener: Listener) -> list[Outcome]:
    """Train runs in this process: those of one shape as one stack, the others one after the other.

    Args:
        asked: context of the experiment and run, of each.
        kept: data that this process has read.
        listener: who is told.

    Returns:
        The outcome of each run.
    """
    found: dict[int, Outcome] = {}
    with ExitStack() as held:
        stacks: dict[Any, list[_StackedRun]] = {}
        for number, (context, spec) in enumerate(asked):
            settled = held.enter_context(claimed(context, spec))
            if settled is not None:
                found[number] = settled
                continue
            run = _StackedRun(number, context, spec, kept, listener)
            begun = outcome_of(run.path, run.begin)
            if begun.path is None:
                found[number] = begun
            else:
                stacks.setdefault(run.shape(), []).append(run)
        for runs in stacks.values():
            found |= _train(runs)
    return [found[number] for number in range(len(asked))]


@dataclass(frozen=True)
class Seconds:
    """What a step of one student takes, alone and in a stack.

    Args:
        alone: seconds of a step.
        stacked: the same, in a stack.
        members: students of the stack; 0 where there can be none.
    """

    alone: float
    stacked: float
    members: int

    @property
    def pays(self) -> bool:
        """Whether a stack is faster, by more than the noise of a short measurement."""
        return self.members > 0 and self.stacked < 0.9 * self.alone


def measure_stack(asked: Sequence[Asked], kept: DataCache, listener: Listener) -> Seconds:
    """Make a few steps of these runs, alone and in a stack; nothing of it is kept but the outputs of teachers.

    Args:
        asked: at least 2 runs that are likely to be of one shape.
        kept: data that this process has read.
        listener: who is told.
    """
    members = []
    for context, spec in asked:
        made = assemble(spec, kept.fold(spec.data, spec.fold), context, listener.progress)
        members.append(_member(made, Unrecorded(), State()))
    alike = [m for m in members if refusal(m) is None and shape_of(m) == shape_of(members[0])]
    if len(alike) < 2:
        return Seconds(0.0, 0.0, 0)
    alone, stacked = probe(alike, made.fabric)
    return Seconds(alone, stacked, len(alike))


@dataclass
class _StackedRun:
    """One of the runs, from its folder to its evaluation."""

    number: int
    context: Context
    spec: RunSpec
    kept: DataCache
    listener: Listener
    made: Assembled = field(init=False)
    folder: RunFolder = field(init=False)
    member: Member = field(init=False)

    @property
    def path(self) -> Path:
        return self.context.folder / self.spec.folder

    def begin(self) -> Mapping[str, Any]:
        """Put the run together and open its folder."""
        spec, listener = self.spec, self.listener
        data = self.kept.fold(spec.data, spec.fold)
        layout = layout_of(self.path)
        self.made = assemble(spec, data, self.context, listener.progress, layout=layout)
        self.folder, state = begin(
            self.made, self.path, lambda row: listener.epoch(spec, row, spec.train.epochs)
        )
        self.member = _member(self.made, self.folder, state)
        return {}

    def shape(self) -> Any:
        """Return what runs of one stack have in common; of a run that cannot be stacked, its own number."""
        if refusal(self.member) is not None:
            return self.number
        return shape_of(self.member), self.spec.train.precision

    def alone(self) -> Mapping[str, Any]:
        """Train it by itself; return the evaluation."""
        made, member = self.made, self.member
        try:
            end: State | Exception = fit(
                made.training, made.step, made.settings, made.fabric, member.record, member.state
            )
        except DivergedError as error:
            end = error
        return self.end(end)

    def end(self, end: State | Exception) -> Mapping[str, Any]:
        """Record how training ended; return the evaluation."""
        if isinstance(end, DivergedError):
            fail(self.folder, end)
        if isinstance(end, Exception):
            raise end
        return finish(self.made, self.folder, end)


def _train(runs: Sequence[_StackedRun]) -> dict[int, Outcome]:
    if len(runs) == 1:
        return {runs[0].number: outcome_of(runs[0].path, runs[0].alone)}
    for run in runs:
        run.folder.stacked(len(runs))
    found = {}
    for place, end in fit_stacked([run.member for run in runs], runs[0].made.fabric):
        run = runs[place]
        work: Callable[[], Mapping[str, Any]] = partial(run.end, end)
        found[run.number] = outcome_of(run.path, work)
    return found


def _member(made: Assembled, record: Record, state: State) -> Member:
    return Member(made.training, made.step, made.settings, record, state)
