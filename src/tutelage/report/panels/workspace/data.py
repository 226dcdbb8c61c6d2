"""Inside a workspace of slots: who binds what, when in a window, and how accurate each way of predicting is.

Slots have no order: slot 1 of one seed is not slot 1 of another. What is said of single slots is therefore said of
one run; over runs go only numbers that do not change when slots change places.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tutelage.runs.frames import curves_frame, traces_frame
from tutelage.runs.inspection import Inspection
from tutelage.runs.ledger import Experiment
from tutelage.runs.run import Run
from tutelage.runs.schema import UnreadableError
from tutelage.runs.traces import BOUND, Course, count_runs, course, stages_of

Floats = NDArray[np.float64]

MODES = ("initial_slots", "ema_slots", "plain")
"""The ways a workspace may predict without teachers; an evaluation names those that are not deployed."""

SHOWN = re.compile(r"(?P<objective>.+?)\.bound\.(?P<teacher>.+)", re.DOTALL)


@dataclass(frozen=True)
class Slots:
    """How one run used its K slots on n validation samples, after the last epoch.

    Args:
        run: the run.
        samples: ids, labels and example inputs.
        classes: C names.
        bound: teacher -> [n, K], share of its tokens that chose the slot.
        read: [n, K], the same for the student that reads the refined slots.
        alone: [n, K], for the student as it is deployed; None where that reads no slots.
        positions: teacher -> [n, K, ...], where in its last stage; a teacher whose tokens were mixed has none.
        own_positions: [n, K, ...], where in the student's last stage, or None.
    """

    run: Run
    samples: Inspection
    classes: tuple[str, ...]
    bound: dict[str, Floats]
    read: Floats
    alone: Floats | None
    positions: dict[str, Floats]
    own_positions: Floats | None

    @property
    def count(self) -> int:
        """K."""
        return int(self.read.shape[1])


@dataclass(frozen=True)
class Workspace:
    """One objective of one stage that refines slots by its teachers.

    Args:
        stage: the stage.
        objective: the objective.
        runs: how many runs recorded values over epochs.
        distances: how far the student's scores are from each teacher's.
        alignment: the sum of them, or nothing.
        in_use: effective number of slots, by teacher; the empty name is the student.
        accuracy: ``with``: training samples with the teachers' slots; ``train`` and ``validation``: as deployed.
        with_teachers: accuracy on validation samples after the last epoch, by (fold, seed).
        slots: of the first run that was inspected, or None.
    """

    stage: str
    objective: str
    runs: int
    distances: tuple[Course, ...]
    alignment: tuple[Course, ...]
    in_use: tuple[Course, ...]
    accuracy: tuple[Course, ...]
    with_teachers: dict[tuple[str, int], float]
    slots: Slots | None

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers' names."""
        shown = () if self.slots is None else tuple(self.slots.bound)
        return tuple(
            dict.fromkeys((*(course.name for course in self.in_use if course.name), *shown))
        )


def workspaces(experiment: Experiment) -> tuple[Workspace, ...]:
    """Return what every stage with slots recorded and showed.

    Raises:
        UnreadableError: a damaged ``inspection.npz``, or arrays that are no shares of slots.
    """
    frame, curves = traces_frame(experiment), curves_frame(experiment)
    shown = []
    for stage in dict.fromkeys((*experiment.teachers, *experiment.students)):
        inspected = [
            (run, inspection) for run in experiment.of(stage) if (inspection := run.inspection())
        ]
        mine = frame[frame["stage"] == stage]
        names = [BOUND.fullmatch(str(name)) for name in mine["trace"].unique()]
        names += [
            SHOWN.fullmatch(name) for _, inspection in inspected for name in inspection.values
        ]
        for objective in dict.fromkeys(match["objective"] for match in names if match):
            logs = curves[curves["stage"] == stage]
            shown.append(_workspace(experiment, stage, objective, mine, logs, inspected))
    return tuple(shown)


def stages_with_modes(experiment: Experiment) -> list[str]:
    """Return the stages whose network was evaluated in other modes than the deployed one."""
    having = [run.stage for run in experiment.runs
              if any(evaluation.variants for evaluation in run.evaluations.values())]  # fmt: skip
    return stages_of(experiment, pd.DataFrame({"stage": having}))


def modes(experiment: Experiment, stage: str) -> tuple[str, tuple[str, ...]]:
    """Return the mode that is deployed, and the others that were evaluated."""
    evaluations = [
        evaluation for run in experiment.of(stage) for evaluation in run.evaluations.values()
    ]
    others = tuple(
        dict.fromkeys(name for evaluation in evaluations for name in evaluation.variants)
    )
    left = [name for name in MODES if name not in others]
    return (left[0] if others and len(left) == 1 else "deployed"), others


def by_class(values: Floats, labels: NDArray[np.int64], classes: int) -> Floats:
    """Return the mean of [n, ...] over the samples of each class, [C, ...]; NaN for a class without any."""
    means = np.full((classes, *values.shape[1:]), np.nan)
    for c in np.unique(labels):
        means[c] = values[labels == c].mean(axis=0)
    return means


def effective(shares: Floats) -> Floats:
    """Return how many slots, all used alike, would be as uneven as these: exp of the entropy over the last axis.

    Examples:
        >>> effective(np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]]))
        array([4., 2.])
    """
    p = shares / shares.sum(axis=-1, keepdims=True)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    numbers: Floats = np.exp(-(p * logs).sum(axis=-1))
    return numbers


def times_even(positions: Floats) -> Floats:
    """Return places relative to an even use of all slots and positions, [n, K, ...]: 1 is as even.

    Places sum to one over positions (tokens are channels) or over slots (tokens are positions); both become
    comparable.
    """
    mean = positions.mean(axis=tuple(range(1, positions.ndim)), keepdims=True)
    relative: Floats = np.divide(positions, mean, out=np.ones_like(positions), where=mean > 0)
    return relative


def overlap(positions: Floats) -> float:
    """Return the share of its place that a slot has in common with another, mean over samples and pairs of slots.

    One: all slots of a window look at the same places. NaN for a single slot.
    """
    flat = positions.reshape(*positions.shape[:2], -1)
    total = flat.sum(axis=2, keepdims=True)
    share = np.divide(flat, total, out=np.full_like(flat, 1 / flat.shape[2]), where=total > 0)
    pairs = [np.minimum(share[:, a], share[:, b]).sum(axis=1).mean()
             for a, b in combinations(range(flat.shape[1]), 2)]  # fmt: skip
    return float(np.mean(pairs)) if pairs else float("nan")


def _workspace(
    experiment: Experiment,
    stage: str,
    objective: str,
    frame: pd.DataFrame,
    curves: pd.DataFrame,
    inspected: Iterable[tuple[Run, Inspection]],
) -> Workspace:
    mine = frame[frame["trace"].str.startswith(f"{objective}.")]
    names = [str(name) for name in mine["trace"].unique()]
    bound: dict[str, list[str]] = {}
    for name in names:
        match = BOUND.fullmatch(name)
        if match is not None and match["objective"] == objective:
            bound.setdefault(match["teacher"], []).append(name)
    read = [name for name in names if re.fullmatch(rf"{re.escape(objective)}\.read\.\d+", name)]
    shown = [
        (run, inspection) for run, inspection in inspected if _shows(run, inspection, objective)
    ]
    return Workspace(
        stage,
        objective,
        count_runs(mine),
        tuple(course(mine, f"{objective}.distance.{name}", name) for name in bound
              if f"{objective}.distance.{name}" in names),
        tuple(course(mine, name, "") for name in names if name == f"{objective}.alignment"),
        tuple(_in_use(mine, slots, name) for name, slots in {**bound, "": read}.items() if slots),
        _accuracy(mine, curves, f"{objective}.correct"),
        {run.key: right for run, inspection in shown
         if (right := _right(run, inspection, objective)) is not None},
        _slots(*shown[0], objective, experiment.class_names) if shown else None,
    )  # fmt: skip


def _in_use(frame: pd.DataFrame, names: list[str], who: str) -> Course:
    """Effective number of slots of each run and epoch; it does not depend on the order of slots."""
    table = frame[frame["trace"].isin(names)].pivot_table(
        index=["fold", "seed", "epoch"], columns="trace", values="value"
    )
    table = table.dropna()
    rows = table.index.to_frame(index=False)
    rows["value"] = effective(table.to_numpy(np.float64)) if len(table) else []
    return course(rows.assign(trace=who), who, who)


def _accuracy(traces: pd.DataFrame, curves: pd.DataFrame, correct: str) -> tuple[Course, ...]:
    mine = curves[curves["metric"] == "accuracy"].astype({"value": float})
    mine = mine.assign(trace=mine["split"])
    courses = (course(traces, correct, "with"), course(mine, "train", "train"),
             course(mine, "validation", "validation"))  # fmt: skip
    return tuple(one for one in courses if len(one.epochs)) if len(courses[0].epochs) else ()


def _shows(run: Run, inspection: Inspection, objective: str) -> bool:
    """Return whether a run shows the slots of an objective; refuse half of what that takes."""
    found = any(name.startswith(f"{objective}.bound.") for name in inspection.values)
    if found and f"{objective}.read" not in inspection.values:
        raise UnreadableError(f"{run.folder}/inspection.npz: {objective}.read is missing")
    return found


def _right(run: Run, inspection: Inspection, objective: str) -> float | None:
    logits = inspection.values.get(f"{objective}.logits")
    if logits is None:
        return None
    wanted = (len(inspection.labels), len(run.record.data.class_names))
    if logits.shape != wanted:
        raise UnreadableError(
            f"{run.folder}/inspection.npz: {objective}.logits is {logits.shape}, expected {wanted}"
        )
    return float((logits.argmax(axis=1) == inspection.labels).mean())


def _slots(run: Run, inspection: Inspection, objective: str, classes: tuple[str, ...]) -> Slots:
    mine = {name.removeprefix(f"{objective}."): values for name, values in inspection.values.items()
            if name.startswith(f"{objective}.")}  # fmt: skip

    def named(start: str) -> dict[str, Floats]:
        return {name.removeprefix(start): v for name, v in mine.items() if name.startswith(start)}

    slots = Slots(run, inspection, classes, named("bound."), mine["read"], mine.get("read_alone"),
                  named("place."), mine.get("place"))  # fmt: skip
    _check(slots, mine, f"{run.folder}/inspection.npz: {objective}")
    return slots


def _check(slots: Slots, mine: Mapping[str, Floats], place: str) -> None:
    """Refuse shares that are no shares, and places of another number of slots."""
    wanted = (len(slots.samples.labels), *slots.read.shape[1:2])
    for name, values in mine.items():
        kind = name.split(".")[0]
        if kind in ("bound", "read", "read_alone"):
            if len(wanted) != 2 or values.shape != wanted:
                raise UnreadableError(
                    f"{place}.{name} is {values.shape}, expected [samples, slots] like the others"
                )
            if (values < 0).any() or not np.allclose(values.sum(axis=1), 1, atol=1e-3):
                raise UnreadableError(
                    f"{place}.{name}: the shares of a sample's slots do not sum to one"
                )
        elif kind == "place" and (
            values.ndim not in (3, 4) or values.shape[:2] != wanted or (values < 0).any()
        ):
            raise UnreadableError(
                f"{place}.{name} is {values.shape}, expected [samples, slots, positions ...], none below zero"
            )
