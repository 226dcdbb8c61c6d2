"""What objectives recorded beside their losses: weights over teachers, and other values."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tutelage.runs import integrity
from tutelage.runs.frames import traces_frame
from tutelage.runs.ledger import Experiment
from tutelage.runs.logs import Trace
from tutelage.runs.predictions import SampleTraces
from tutelage.runs.run import Run

WEIGHT = re.compile(r"(?P<objective>.+?)\.weight\.(?P<teacher>.+)", re.DOTALL)
BOUND = re.compile(r"(?P<objective>.+?)\.bound\.(?P<teacher>.+)\.(?P<slot>\d+)", re.DOTALL)
"""How much of a teacher a slot of a workspace binds: the mark of an objective that has slots."""
OF_SLOTS = re.compile(r"(bound|distance)\..+|read\.\d+|alignment|correct", re.DOTALL)


@dataclass(frozen=True)
class Course:
    """A value over epochs: mean over the runs that recorded it, lowest and highest run.

    Args:
        name: the teacher or the trace.
        epochs: [E], from 0.
        mean, low, high: [E]; NaN where no run has a finite value.
        runs: [E], how many runs have one.
    """

    name: str
    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    runs: NDArray[np.int64]


@dataclass(frozen=True)
class Trust:
    """How one objective of one stage weighed its K teachers.

    Args:
        stage: the stage.
        objective: the objective that recorded the weights; several, with commas, that recorded the same.
        courses: one per teacher, in the order they were recorded.
        classes: C names.
        by_class: [C, K], last epoch, mean over the runs that saw the class; NaN where none did.
        runs: how many runs recorded weights.
        top: [K], share of samples whose largest weight is that of the teacher, in the last epoch, mean
            over the runs that kept their samples; None where no run did.
        top_runs: how many did.
    """

    stage: str
    objective: str
    courses: tuple[Course, ...]
    classes: tuple[str, ...]
    by_class: NDArray[np.float64]
    runs: int
    top: NDArray[np.float64] | None
    top_runs: int

    @property
    def teachers(self) -> tuple[str, ...]:
        """K names."""
        return tuple(course.name for course in self.courses)

    @property
    def first(self) -> NDArray[np.float64]:
        """Mean weight of each teacher in the first epoch, [K]."""
        return np.array([course.mean[0] for course in self.courses])

    @property
    def last(self) -> NDArray[np.float64]:
        """Mean weight of each teacher in the last epoch, [K]."""
        return np.array([course.mean[-1] for course in self.courses])

    @property
    def leader(self) -> int:
        """The teacher with the largest mean weight in the last epoch."""
        return int(np.argmax(np.nan_to_num(self.last, nan=-np.inf)))


@dataclass(frozen=True)
class Recorded:
    """Values of one stage that are not weights over teachers."""

    stage: str
    courses: tuple[Course, ...]
    runs: int


@dataclass(frozen=True)
class _Last:
    """The last recorded epoch of one run."""

    traces: dict[str, Trace]
    samples: SampleTraces | None


def trusts(experiment: Experiment) -> tuple[Trust, ...]:
    """Return the weights over teachers of every stage and objective that recorded some.

    Raises:
        UserError: traces that contradict ``run.json`` or each other.
    """
    frame = traces_frame(experiment)
    every = []
    for stage in stages_of(experiment, frame):
        mine = frame[frame["stage"] == stage]
        lasts = [_last(run) for run in experiment.of(stage)]
        for objective, names in _weights(mine["trace"].unique()).items():
            every.append(_trust(experiment, stage, objective, names, mine, lasts))
    return tuple(_joined(every))


def _joined(every: Iterable[Trust]) -> list[Trust]:
    """Join objectives of a stage that weighed their teachers exactly alike: one rule, asked more than once."""
    kept: list[Trust] = []
    for trust in every:
        same = next((at for at, other in enumerate(kept) if _alike(trust, other)), None)
        if same is None:
            kept.append(trust)
        else:
            objectives = f"{kept[same].objective}, {trust.objective}"
            kept[same] = replace(kept[same], objective=objectives)
    return kept


def _alike(trust: Trust, other: Trust) -> bool:
    if (trust.stage, trust.teachers, trust.runs) != (other.stage, other.teachers, other.runs):
        return False
    pairs = zip(_numbers(trust), _numbers(other), strict=True)
    return all(np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in pairs)


def _numbers(trust: Trust) -> list[NDArray[np.float64]]:
    courses = [values for each in trust.courses for values in (each.mean, each.low, each.high)]
    return [*courses, trust.by_class, np.empty(0) if trust.top is None else trust.top]


def recorded(experiment: Experiment) -> tuple[Recorded, ...]:
    """Return every other recorded value, by stage; those of slots have figures of their own."""
    frame = traces_frame(experiment)
    names = [str(name) for name in frame["trace"].unique()]
    slots = [f"{match['objective']}." for name in names if (match := BOUND.fullmatch(name))]
    shown = [name for name in names if WEIGHT.fullmatch(name) or _of_slots(name, slots)]
    other = frame[~frame["trace"].isin(shown)]
    return tuple(
        Recorded(
            stage,
            tuple(course(mine, str(name), str(name)) for name in mine["trace"].unique()),
            count_runs(mine),
        )
        for stage in stages_of(experiment, other)
        if len(mine := other[other["stage"] == stage])
    )


def _of_slots(name: str, objectives: Iterable[str]) -> bool:
    rest = (name.removeprefix(objective) for objective in objectives if name.startswith(objective))
    return any(OF_SLOTS.fullmatch(part) for part in rest)


def stages_of(experiment: Experiment, frame: pd.DataFrame) -> list[str]:
    """Return the stages of a frame, in the order of the experiment."""
    logged = set(frame["stage"])
    return [s for s in (*experiment.teachers, *experiment.students) if s in logged]


def _weights(traces: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return ``{objective: {teacher: trace}}``."""
    weights: dict[str, dict[str, str]] = {}
    for name in traces:
        match = WEIGHT.fullmatch(name)
        if match is not None:
            weights.setdefault(match["objective"], {})[match["teacher"]] = name
    return weights


def _last(run: Run) -> _Last:
    epochs = [epoch for epoch in run.curve() if epoch.traces]
    last = _Last(epochs[-1].traces if epochs else {}, run.sample_traces())
    integrity.check_traces(last.traces, last.samples, run)
    return last


def _trust(
    experiment: Experiment,
    stage: str,
    objective: str,
    names: dict[str, str],
    frame: pd.DataFrame,
    lasts: Sequence[_Last],
) -> Trust:
    tops = [top for last in lasts if (top := _top(last.samples, list(names.values()))) is not None]
    return Trust(
        stage,
        objective,
        tuple(course(frame, trace, teacher) for teacher, trace in names.items()),
        experiment.class_names,
        np.stack(
            [_by_class(lasts, trace, len(experiment.class_names)) for trace in names.values()],
            axis=1,
        ),
        count_runs(frame[frame["trace"].isin(list(names.values()))]),
        np.mean(tops, axis=0) if tops else None,
        len(tops),
    )


def course(frame: pd.DataFrame, trace: str, name: str) -> Course:
    """Return a trace over epochs from rows of ``traces_frame``."""
    grouped = frame[frame["trace"] == trace].groupby("epoch")["value"]
    table = grouped.agg(["mean", "min", "max", "count"]).reset_index()
    mean, low, high = (table[key].to_numpy(np.float64) for key in ("mean", "min", "max"))
    return Course(name, table["epoch"].to_numpy(), mean, low, high, table["count"].to_numpy())


def _by_class(lasts: Sequence[_Last], trace: str, classes: int) -> NDArray[np.float64]:
    rows = [last.traces[trace].by_class for last in lasts if trace in last.traces]
    values = np.array(rows, dtype=np.float64).reshape(-1, classes)
    seen = np.isfinite(values).sum(axis=0)
    return np.where(seen > 0, np.nansum(values, axis=0) / np.maximum(seen, 1), np.nan)


def _top(samples: SampleTraces | None, names: Sequence[str]) -> NDArray[np.float64] | None:
    """Share of samples each teacher leads; teachers with exactly the same weight share the sample."""
    if samples is None or any(name not in samples.values for name in names):
        return None
    weights = np.stack([samples.values[name] for name in names])
    weights = weights[:, np.isfinite(weights).all(axis=0)]
    if not weights.shape[1]:
        return None
    leads = weights == weights.max(axis=0)
    share: NDArray[np.float64] = (leads / leads.sum(axis=0)).mean(axis=1)
    return share


def count_runs(frame: pd.DataFrame) -> int:
    """Return how many runs a frame has rows of."""
    return int(frame.groupby(["fold", "seed"]).ngroups)
