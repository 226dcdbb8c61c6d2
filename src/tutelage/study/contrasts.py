"""Honest comparison inside a study: paired differences over folds and seeds, in a cell and over cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tutelage.errors import UserError, unknown
from tutelage.runs.ledger import Run
from tutelage.runs.records import Split
from tutelage.statistics.paired import (
    Interval,
    PairedDifference,
    Verdict,
    holm,
    minus,
    paired_difference,
)
from tutelage.statistics.power import seeds_needed
from tutelage.study.aggregate import lower_is_better, metric_of
from tutelage.study.ledger import StudyLedger
from tutelage.study.parts import Coordinates, Part, part_at

__all__ = ["Contrast", "StudyComparison", "compare_study", "contrast"]


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
        oriented: the paired difference with its sign turned so that more is better.
        lower: whether less of the metric is better.
        test_fraction: share of the samples that a fold tests; 0 with one fold, where nothing needs correction.
        adjusted_p: p after Holm's correction over the comparisons made together.
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
    test_fraction: float
    adjusted_p: float = 1.0
    problem: str = ""

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.oriented.n

    @property
    def folds(self) -> int:
        """Number of folds among the pairs."""
        return len({fold for fold, _ in self.values})

    @property
    def mean(self) -> float:
        """The mean of a - b."""
        return -self.oriented.mean if self.lower else self.oriented.mean

    @property
    def intervals(self) -> dict[str, Interval | None]:
        """Student's ``t``, the BCa ``bootstrap`` (too narrow for a few pairs) and the ``corrected`` one."""
        found = self.oriented
        every = {"t": found.t, "bootstrap": found.bootstrap, "corrected": found.corrected}
        return {kind: self._turned(interval) for kind, interval in every.items()}

    @property
    def interval(self) -> Interval | None:
        """The interval that decides: Nadeau and Bengio's corrected t over several folds, else Student's t."""
        return self._turned(self.oriented.interval)

    @property
    def verdict(self) -> Verdict:
        """Whether a is better than b."""
        return self.oriented.verdict

    @property
    def same(self) -> bool:
        """Whether both sides are the very same runs."""
        return bool(self.runs) and all(a.fingerprint == b.fingerprint for a, b in self.runs)

    @property
    def again(self) -> Verdict:
        """Whether a is better when the same splits are trained again; says nothing of other splits."""
        return replace(self.oriented, corrected=None).verdict

    def seeds_for(self, resolution: float, *, corrected: bool) -> int | None:
        """Seeds of each fold for an interval of plus and minus ``resolution``, in the unit of the metric.

        None where no number of seeds of these folds is enough, or the spread of the differences is not known.
        """
        if not self.oriented.sd:
            return None
        fraction = self.test_fraction if corrected else 0.0
        return seeds_needed(self.oriented.sd, resolution, self.folds, fraction)

    def sentence(self, scale: float, unit: str) -> str:
        """Say it."""
        if self.problem:
            return f"{self.a} and {self.b} cannot be compared: {self.problem}."
        if self.same:
            return f"{self.a} and {self.b} are the same runs."
        ends = self.intervals
        turned = replace(self.oriented, mean=self.mean, t=ends["t"], bootstrap=ends["bootstrap"],
                         corrected=ends["corrected"])  # fmt: skip
        if not self.lower or self.verdict == "not distinguishable":
            return turned.sentence(self.a, self.b, scale=scale, unit=unit)
        size, interval = abs(self.mean) * scale, self.interval
        assert interval is not None
        low, high = sorted((abs(interval.low) * scale, abs(interval.high) * scale))
        return (
            f"{self.a} is {self.verdict} than {self.b} by {minus(size)} {unit} (lower is better; 95 % interval "
            f"{minus(low)} to {minus(high)}, n = {self.n} pairs)."
        )

    def _turned(self, interval: Interval | None) -> Interval | None:
        if interval is None or not self.lower:
            return interval
        return Interval(-interval.high, -interval.low, interval.method)


@dataclass(frozen=True)
class StudyComparison:
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
    found = _within(ledger, value, metric, split) if axis == "stage" \
        else _along(ledger, axis, value, metric, split)  # fmt: skip
    single = _adjusted(_distinct(found))
    return StudyComparison(value if axis == "stage" else f"{axis} {value}", metric, split, single,
                           _adjusted(_over_cells(single)))  # fmt: skip


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
        mine, its = value(run.evaluations[split]), value(other.evaluations[split])
        if mine is not None and its is not None:
            pairs.append((run, other))
            values[run.key] = (mine, its)
    problem = _differ(pairs, split)
    lower = lower_is_better(metric)
    if problem:
        return _contrast(names, (where, stage), {}, (), lower, 0.0, problem)
    return _contrast(names, (where, stage), values, tuple(pairs), lower, _fraction(pairs))


def _contrast(
    names: tuple[str, str],
    where: tuple[str, str],
    values: Mapping[tuple[str, int], tuple[float, float]],
    runs: tuple[tuple[Run, Run], ...],
    lower: bool,
    test_fraction: float,
    problem: str = "",
) -> Contrast:
    sign = -1.0 if lower else 1.0
    a = [sign * mine for mine, _ in values.values()]
    b = [sign * other for _, other in values.values()]
    fraction = test_fraction if len({fold for fold, _ in values}) > 1 else 0.0
    oriented = paired_difference(a, b, test_fraction=fraction or None)
    return Contrast(*names, *where, values, runs, oriented, lower, fraction, problem=problem)


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


def _fraction(pairs: Sequence[tuple[Run, Run]]) -> float:
    tested = sum(run.record.data.n_test for run, _ in pairs)
    trained = sum(run.record.data.n_train for run, _ in pairs)
    return min(max(tested / max(tested + trained, 1), 1e-6), 0.99)


def _baseline(ledger: StudyLedger) -> dict[str, str]:
    names = {experiment.record.baseline for experiment in ledger.experiments}
    if len(names) != 1:
        raise UserError(
            f"compare: the cells have {len(names)} different baselines; say what to compare with"
        )
    return {"stage": names.pop()}


def _within(ledger: StudyLedger, stage: str, metric: str, split: Split) -> list[Contrast]:
    found = []
    for cell in ledger.cells:
        base = Part(cell, {**cell.at, "stage": stage})
        students = cell.experiment.students if cell.experiment and base.planned else ()
        for name in students:
            if name != stage:
                mine = Part(cell, {**cell.at, "stage": name})
                found.append(contrast(mine, base, (name, stage), cell.name, metric, split))
    return found


def _along(ledger: StudyLedger, axis: str, value: str, metric: str, split: Split) -> list[Contrast]:
    found = []
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
            found.append(contrast(a, b, sides, ", ".join(rest), metric, split, stage))
    return found


def _distinct(found: Iterable[Contrast]) -> list[Contrast]:
    """Return the contrasts with those that show the same runs in several cells named once."""
    kept: dict[tuple[object, ...], Contrast] = {}
    for number, one in enumerate(found):
        shown = tuple((a.fingerprint, b.fingerprint) for a, b in one.runs) or (number,)
        key = (one.a, one.b, one.stage, shown)
        kept[key] = replace(kept[key], where=f"{kept[key].where}, {one.where}") \
            if key in kept else one  # fmt: skip
    return list(kept.values())


def _over_cells(single: Sequence[Contrast]) -> list[Contrast]:
    """Return the mean over cells of each pair of sides that more than one cell compares.

    The cells of one fold and seed are not independent, so they are averaged before anything is counted: n
    stays the number of folds and seeds.
    """
    groups: dict[tuple[str, str, str], list[Contrast]] = {}
    for one in single:
        if one.n and not one.problem:
            groups.setdefault((one.a, one.b, one.stage), []).append(one)
    found = []
    for (a, b, stage), group in groups.items():
        shared = set.intersection(*(set(one.values) for one in group))
        if len(group) < 2 or not shared:
            continue
        values = {
            key: (float(np.mean([one.values[key][0] for one in group])),
                  float(np.mean([one.values[key][1] for one in group])))
            for key in sorted(shared)
        }  # fmt: skip
        fraction = max(one.test_fraction for one in group)
        where = f"mean of {len(group)}", stage
        found.append(_contrast((a, b), where, values, (), group[0].lower, fraction))
    return found


def _adjusted(found: Sequence[Contrast]) -> tuple[Contrast, ...]:
    p = holm({str(at): one.oriented.p_value for at, one in enumerate(found) if one.n})
    return tuple(replace(one, adjusted_p=p.get(str(at), 1.0)) for at, one in enumerate(found))
