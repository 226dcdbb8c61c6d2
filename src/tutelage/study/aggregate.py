"""How runs become one number, declared before it is made: metric, split, folds, spread and which runs count."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from tutelage.errors import UserError
from tutelage.recipe.config import parse
from tutelage.recipe.keys import Strict
from tutelage.runs.records import Evaluation, Split
from tutelage.runs.run import Run
from tutelage.runs.selection import evaluated
from tutelage.statistics.spreads import (
    Spread,
    SpreadKind,
    by_fold,
    mean_of_folds,
    sample_sd,
    spread,
)
from tutelage.study.metrics import (
    MEASURED,
    UNITS,
    Metric,
    is_damaged,
    lower_is_better,
    metric_of,
    title_of,
)

__all__ = ["Aggregate", "Aggregation", "Best", "aggregate"]

Key = tuple[str, int]

_OF_SAMPLES = ("accuracy", "nll", "brier")
_LEGACY = "test split, epoch chosen on the test split itself (legacy protocol)"


class Best(Strict):
    """A selection of runs: the best so many seeds of each fold.

    Args:
        best: how many.
        on: the split that decides; ``test`` is what some publications do, and is said beside the table.
    """

    best: int = Field(ge=1)
    on: Split = "validation"


class Aggregation(Strict):
    """What stands in a table.

    Args:
        metric: name of it.
        split: ``test`` is the network that the recipe keeps, ``test_legacy`` the epoch chosen on the test split.
        average: ``macro``: every fold counts the same; ``micro``: every sample does, all folds of a seed together.
        spread: what stands after ±, or null.
        runs: ``all``, or the best of the seeds.
    """

    metric: str = "accuracy"
    split: Split = "test"
    average: Literal["macro", "micro"] = "macro"
    spread: SpreadKind | None = "pooled"
    runs: Literal["all"] | Best = "all"

    @field_validator("runs", mode="before")
    @classmethod
    def _best(cls, value: object) -> object:
        return parse(Best, value, "runs") if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _together(self) -> "Aggregation":
        if self.average == "micro" and isinstance(self.runs, Best):
            raise UserError(
                "average: micro takes all folds of a seed together, but the best seeds differ between folds; "
                "allowed with runs: {best: ...} is macro"
            )
        return self

    @model_validator(mode="after")
    def _of_the_test(self) -> "Aggregation":
        if is_damaged(self.metric) and self.split != "test":
            raise UserError(
                f"split: {self.split}, but metric {self.metric} is of damaged test inputs (allowed: test)"
            )
        return self

    @property
    def scale(self) -> float:
        """Factor from the metric to what is shown."""
        return 1.0 if self.metric in UNITS else 100.0

    @property
    def unit(self) -> str:
        """What is shown: %, nats, or nothing."""
        return UNITS.get(self.metric, "%")

    @property
    def metric_title(self) -> str:
        """The metric in words."""
        return title_of(self.metric)

    @property
    def spread_name(self) -> str:
        """What stands after ±, in words; empty where nothing does."""
        return "" if self.spread is None else spread({}, self.spread).name

    def sentence(self, runs: Iterable[Run] = ()) -> str:
        """Say everything of it that a reader must know.

        Args:
            runs: those behind the numbers; they know which network of each training was evaluated.
        """
        legacy = self.split == "test_legacy"
        network = _LEGACY if legacy else f"{self.split} split, {evaluated(runs)}"
        unit = f", {self.unit}" if self.unit else ""
        mean = (
            "mean over folds of the mean over seeds (macro: every fold counts the same)"
            if self.average == "macro"
            else "mean over seeds of all folds' samples together (micro: every sample counts the same)"
        )
        parts = [f"{self.metric_title[0].upper()}{self.metric_title[1:]}{unit}; {network}; {mean}"]
        parts.append(f"± is the {self.spread_name}" if self.spread else "no spread is shown")
        if isinstance(self.runs, Best):
            parts.append(
                f"of each fold only the {self.runs.best} best seeds by {self.metric_title} on {self.runs.on} "
                "count, so these are no means of all runs"
            )
        else:
            parts.append("every complete run counts")
        return "; ".join(parts) + "."


@dataclass(frozen=True)
class Aggregate:
    """One number of a table, and how it was made.

    Args:
        mean: the number, in the unit of the metric; None where no run counts.
        spread: with its name; None where none was asked for.
        values: what was averaged, by fold and seed.
        planned: how many runs were asked for.
        left_out: complete runs that do not count, and why.
        folds_missing: folds that were asked for and have no run that counts.
    """

    mean: float | None
    spread: Spread | None
    values: Mapping[Key, float]
    planned: int
    left_out: Mapping[Key, str]
    folds_missing: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """How many runs it is the mean of."""
        return len(self.values)


def aggregate(
    runs: Sequence[Run], how: Aggregation, planned: int | None = None, folds: Sequence[str] = ()
) -> Aggregate:
    """Make one number of complete runs of one stage.

    Args:
        runs: one per fold and seed.
        how: the declaration.
        planned: how many were asked for; as many as there are unless told.
        folds: those that were asked for.

    Raises:
        UserError: no such metric, or one that is no mean over samples is asked for per sample.
    """
    metric = metric_of(how.metric)
    values, left_out = _values(runs, metric, how)
    if isinstance(how.runs, Best):
        values, dropped = _best(runs, values, metric, how.runs, lower_is_better(how.metric))
        left_out |= dropped
    absent = tuple(fold for fold in folds if fold not in {fold for fold, _ in values})
    asked = len(runs) if planned is None else planned
    if how.average == "micro":
        chosen = {run.key: run for run in runs if run.key in values}
        pooled, partial = _pooled(chosen, how)
        values = {key: value for key, value in values.items() if key not in partial}
        mean = float(np.mean(list(pooled.values()))) if pooled else None
        found = _micro_spread(pooled, values, how.spread)
        return Aggregate(mean, found, values, asked, left_out | partial, absent)
    mean = mean_of_folds(values) if values else None
    found = None if how.spread is None else spread(values, how.spread)
    return Aggregate(mean, found, values, asked, left_out, absent)


def _values(
    runs: Sequence[Run], metric: Metric, how: Aggregation
) -> tuple[dict[Key, float], dict[Key, str]]:
    values: dict[Key, float] = {}
    left_out: dict[Key, str] = {}
    for run in sorted(runs, key=lambda run: run.key):
        value = metric(run, how.split)
        if value is not None:
            values[run.key] = value
        else:
            left_out[run.key] = f"has no {how.metric} of the split {how.split}"
    return values, left_out


def _best(
    runs: Sequence[Run], values: Mapping[Key, float], metric: Metric, rule: Best, low: bool
) -> tuple[dict[Key, float], dict[Key, str]]:
    """Keep the best seeds of each fold; ties are broken by the smaller seed."""
    scores: dict[Key, float] = {}
    for run in runs:
        score = metric(run, rule.on)
        if run.key in values and score is not None:
            scores[run.key] = score if low else -score
    kept = {
        (fold, seed)
        for fold, seeds in by_fold(scores).items()
        for seed in sorted(seeds, key=lambda seed: (seeds[seed], seed))[: rule.best]
    }
    reason = f"not among the {rule.best} best on {rule.on}"
    return (
        {key: value for key, value in values.items() if key in kept},
        {key: reason for key in values if key not in kept},
    )


def _pooled(runs: Mapping[Key, Run], how: Aggregation) -> tuple[dict[int, float], dict[Key, str]]:
    """Return the metric of all folds' samples together, by seed; seeds that lack a fold are left out."""
    if how.metric not in (*_OF_SAMPLES, "macro_f1"):
        raise UserError(
            f"average: micro is not defined for {how.metric} "
            f"(allowed: {', '.join((*_OF_SAMPLES, 'macro_f1'))}, or average: macro)"
        )
    folds = {fold for fold, _ in runs}
    found: dict[int, float] = {}
    partial: dict[Key, str] = {}
    for seed in sorted({seed for _, seed in runs}):
        mine = [runs[fold, seed] for fold in sorted(folds) if (fold, seed) in runs]
        if len(mine) == len(folds):
            found[seed] = _together([run.evaluations[how.split] for run in mine], how.metric)
        else:
            lacking = ", ".join(sorted(fold for fold in folds if (fold, seed) not in runs))
            partial |= {run.key: f"its seed lacks fold {lacking}" for run in mine}
    return found, partial


def _together(evaluations: Sequence[Evaluation], metric: str) -> float:
    if metric == "macro_f1":
        confusion = np.sum([np.array(one.confusion) for one in evaluations], axis=0)
        hits, true, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        scores = 2 * hits / np.maximum(true + said, 1)
        return float(scores[true > 0].mean())
    value = MEASURED[metric]
    sizes = np.array([one.n for one in evaluations], dtype=np.float64)
    return float(np.average([float(value(one) or 0.0) for one in evaluations], weights=sizes))


def _micro_spread(
    pooled: Mapping[int, float], values: Mapping[Key, float], kind: SpreadKind | None
) -> Spread | None:
    if kind == "seeds":
        return Spread(sample_sd(list(pooled.values())), "SD over seeds", len(pooled))
    return None if kind is None else spread(values, kind)
