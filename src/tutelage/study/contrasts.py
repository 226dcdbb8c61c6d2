"""Honest comparison inside a study: paired differences over folds and seeds, in a cell and over cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tutelage.errors import UserError, unknown
from tutelage.framed import Framed
from tutelage.runs.records import Split
from tutelage.runs.run import Run
from tutelage.statistics.paired import (
    Interval,
    PairedDifference,
    Verdict,
    decided,
    paired_difference,
)
from tutelage.statistics.power import seeds_needed
from tutelage.study.ledger import StudyLedger
from tutelage.study.method import method_of
from tutelage.study.metrics import lower_is_better, metric_of, refuse_unasked
from tutelage.study.parts import Coordinates, Part, part_at

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Contrast", "StudyComparison", "compare_study", "contrast", "settled"]


@dataclass(frozen=True)
class Contrast:
    """One difference, a - b, over the folds and seeds that both have.

    Args:
        a: the first side.
        b: the second side.
        where: the cell, or the cells it is the mean over.
        stage: of both sides, where they differ in an axis; else empty.
        values: (fold, seed) -> value of a, value of b, in the unit of the metric.
        runs: the matched runs; empty for a mean over cells.
        oriented: the paired difference with its sign turned so that more is better; its verdict is after Holm's
            correction for all that was compared together (:func:`settled`).
        lower: whether less of the metric is better.
        problem: why there is no number.
    """

    a: str
    b: str
    where: str
    stage: str
    values: Mapping[tuple[str, int], tuple[float, float]]
    runs: tuple[tuple[Run, Run], ...]
    oriented: PairedDifference
    lower: bool
    problem: str = ""

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.oriented.pairs

    @property
    def folds(self) -> int:
        """Number of folds among the pairs."""
        return self.oriented.folds

    @property
    def mean(self) -> float:
        """The mean of a - b: over folds of the mean over seeds."""
        return -self.oriented.mean if self.lower else self.oriented.mean

    @property
    def interval(self) -> Interval | None:
        """The interval that decides: about new people over several folds, else about this split."""
        return self._turned(self.oriented.interval)

    @property
    def again(self) -> Interval | None:
        """These very folds, trained again with other seeds; it decides nothing."""
        return self._turned(self.oriented.again)

    @property
    def verdict(self) -> Verdict:
        """Whether a is better than b."""
        return self.oriented.verdict

    @property
    def adjusted_p(self) -> float:
        """The p behind the verdict."""
        return self.oriented.adjusted_p

    @property
    def same(self) -> bool:
        """Whether both sides are the very same runs."""
        return bool(self.runs) and all(a.fingerprint == b.fingerprint for a, b in self.runs)

    @property
    def compared(self) -> bool:
        """Whether there are pairs, of different runs."""
        return bool(self.n) and not self.same

    def seeds_for(self, resolution: float) -> int | None:
        """Seeds of each fold for an interval of plus and minus ``resolution``, in the unit of the metric.

        None where no number of seeds of these folds is enough, or the spread of the differences is not known.
        """
        return seeds_needed(self.oriented, resolution)

    def _turned(self, interval: Interval | None) -> Interval | None:
        if interval is None or not self.lower:
            return interval
        return Interval(-interval.high, -interval.low, interval.about)


@dataclass(frozen=True)
class StudyComparison(Framed):
    """Everything that was compared with one thing.

    Args:
        against: what.
        metric: of the values.
        split: they are of.
        single: differences in each cell.
        over_cells: of the same two sides, mean over the cells that both have, pair by pair.
    """

    against: str
    metric: str
    split: Split
    single: tuple[Contrast, ...]
    over_cells: tuple[Contrast, ...]

    @property
    def heading(self) -> str:
        """What was compared with what."""
        return f"{self.metric} on {self.split}, minus {self.against}"

    def to_frame(self) -> "pd.DataFrame":
        """Return a row of each difference in a cell, then of each mean over cells."""
        from tutelage.study.frames import contrasts_frame

        return contrasts_frame((*self.single, *self.over_cells))

    def __str__(self) -> str:
        """Return the rows as text."""
        from tutelage.study.frames import contrasts_text

        return contrasts_text(self.to_frame(), self.heading)


def compare_study(
    ledger: StudyLedger,
    against: Coordinates | None = None,
    metric: str = "accuracy",
    split: Split = "test",
) -> StudyComparison:
    """Compare within every cell, or along an axis.

    Args:
        ledger: the study.
        against: ``{"stage": name}``: every other student with this stage, in each cell; ``{axis: value}``: every
            stage with itself at that value, everything else equal. By default the baseline.
        metric: of the values.
        split: they are of.

    Raises:
        UserError: a stage, axis or value that does not exist, or nothing to compare with.
    """
    refuse_unasked(metric, ledger.asked)
    against = against or _baseline(ledger)
    (axis, value), *more = against.items()
    if more:
        raise UserError(
            "compare: found several things to compare with; allowed: a stage, or one axis=value"
        )
    known = {"stage": ledger.stages, **ledger.axes}
    if axis not in known:
        raise unknown("compare", "axis", axis, known)
    if value not in known[axis]:
        raise unknown(
            "compare", axis if axis == "stage" else f"value of {axis}", value, known[axis]
        )
    if axis == "stage":
        every, against_words = _within(ledger, value, metric, split), value
    else:
        every, against_words = _along(ledger, axis, value, metric, split), f"{axis} {value}"
    single = settled(_distinct(every))
    return StudyComparison(against_words, metric, split, single, settled(_over_cells(single)))


def contrast(
    a: Part, b: Part, names: tuple[str, str], where: str, metric: str, split: Split, stage: str = ""
) -> Contrast:
    """Compare two parts on the folds and seeds that both have.

    Runs that were tested on other samples are never paired; the contrast then says so and has no number.
    """
    value = metric_of(metric)
    others = {run.key: run for run in b.runs if split in run.evaluations}
    pairs, values = [], {}
    for run in sorted(a.runs, key=lambda run: run.key):
        other = others.get(run.key)
        if other is None or split not in run.evaluations:
            continue
        mine, its = value(run, split), value(other, split)
        if mine is not None and its is not None:
            pairs.append((run, other))
            values[run.key] = (mine, its)
    problem = _differ(pairs, split)
    lower = lower_is_better(metric)
    if problem:
        return _contrast(names, (where, stage), {}, (), lower, problem)
    return _contrast(names, (where, stage), values, tuple(pairs), lower)


def _contrast(
    names: tuple[str, str],
    where: tuple[str, str],
    values: Mapping[tuple[str, int], tuple[float, float]],
    runs: tuple[tuple[Run, Run], ...],
    lower: bool,
    problem: str = "",
) -> Contrast:
    sign = -1.0 if lower else 1.0
    oriented = paired_difference({key: sign * mine for key, (mine, _) in values.items()},
                                 {key: sign * other for key, (_, other) in values.items()})  # fmt: skip
    return Contrast(*names, *where, values, runs, oriented, lower, problem)


def _differ(pairs: Sequence[tuple[Run, Run]], split: Split) -> str:
    """Say how the test samples of two sides differ; empty where they are the same."""
    for mine, other in pairs:
        counts = mine.evaluations[split].n, other.evaluations[split].n
        if mine.record.data.class_names != other.record.data.class_names:
            return "they know different classes"
        if counts[0] != counts[1]:
            return f"fold {mine.fold} has {counts[0]} samples of one and {counts[1]} of the other"
        if mine.fingerprint == other.fingerprint:
            continue
        a, b = mine.predictions(split), other.predictions(split)
        if a is not None and b is not None and dict(zip(a.index.tolist(), a.labels.tolist(), strict=True)) \
                != dict(zip(b.index.tolist(), b.labels.tolist(), strict=True)):  # fmt: skip
            return f"they were tested on other samples in fold {mine.fold}"
    return ""


def _baseline(ledger: StudyLedger) -> dict[str, str]:
    names = {experiment.record.baseline for experiment in ledger.experiments}
    if len(names) != 1:
        raise UserError(
            f"compare: the cells have {len(names)} different baselines; say what to compare with"
        )
    return {"stage": names.pop()}


def _within(ledger: StudyLedger, stage: str, metric: str, split: Split) -> list[Contrast]:
    every = []
    for cell in ledger.cells:
        base = Part(cell, {**cell.at, "stage": stage})
        for name in ledger.compared(cell) if base.planned else ():
            if name != stage:
                mine = Part(cell, {**cell.at, "stage": name})
                every.append(contrast(mine, base, (name, stage), cell.name, metric, split))
    return every


def _along(ledger: StudyLedger, axis: str, value: str, metric: str, split: Split) -> list[Contrast]:
    every = []
    for cell in ledger.cells:
        mine = cell.at.get(axis)
        if mine is None or mine == value or cell.experiment is None:
            continue
        rest = [name for key, name in cell.at.items() if key != axis]
        for stage in (*cell.experiment.students, *cell.experiment.teachers):
            a = Part(cell, {**cell.at, "stage": stage})
            b = part_at(ledger, {**cell.at, axis: value, "stage": stage}, "compare")
            if b is None or a.identity == b.identity:
                continue
            sides = f"{axis} {mine}", f"{axis} {value}"
            every.append(contrast(a, b, sides, ", ".join(rest), metric, split, stage))
    return every


def _distinct(every: Iterable[Contrast]) -> list[Contrast]:
    """Return the contrasts with those that show the same runs in several cells named once."""
    kept: dict[tuple[object, ...], Contrast] = {}
    for number, single in enumerate(every):
        shown = tuple((a.fingerprint, b.fingerprint) for a, b in single.runs) or (number,)
        key = (single.a, single.b, single.stage, shown)
        before = kept.get(key)
        kept[key] = single if before is None else replace(
            before, where=f"{before.where}, {single.where}")  # fmt: skip
    return list(kept.values())


def _over_cells(singles: Sequence[Contrast]) -> list[Contrast]:
    """Return the mean over cells of each pair of sides that more than one cell compares.

    The cells of one fold and seed are not independent, so they are averaged before anything is counted: n
    stays the number of folds and seeds. A stage that is another method in each cell is never averaged: the mean of
    five methods is a number of none.
    """
    groups: dict[tuple[str, ...], list[Contrast]] = {}
    for single in singles:
        if single.n and not single.problem:
            key = single.a, single.b, single.stage, *map(method_of, single.runs[0])
            groups.setdefault(key, []).append(single)
    means = []
    for (a, b, stage, *_), group in groups.items():
        shared = set.intersection(*(set(single.values) for single in group))
        if len(group) < 2 or not shared:
            continue
        values = {
            key: (float(np.mean([single.values[key][0] for single in group])),
                  float(np.mean([single.values[key][1] for single in group])))
            for key in sorted(shared)
        }  # fmt: skip
        every = sum(len(other) for key, other in groups.items() if key[:3] == (a, b, stage))
        where = f"mean of {len(group)}" + ("" if len(group) == every else f": {_cells(group)}")
        means.append(_contrast((a, b), (where, stage), values, (), group[0].lower))
    return means


def _cells(group: Sequence[Contrast]) -> str:
    """Return the cells of a mean that leaves others out, where one method among several is averaged."""
    return "; ".join(single.where for single in group)


def settled(together: Iterable[Contrast]) -> tuple[Contrast, ...]:
    """Return contrasts that are shown together, each with the verdict that Holm's correction leaves it."""
    singles = list(together)
    apart = {at: single.oriented for at, single in enumerate(singles) if not single.same}
    after = decided(apart)
    return tuple(
        replace(single, oriented=after.get(at, single.oriented))
        for at, single in enumerate(singles)
    )
