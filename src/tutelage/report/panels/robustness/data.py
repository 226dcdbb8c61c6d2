"""Accuracy over the severity of damage: means with intervals, and differences to the baseline by the one rule."""

from collections.abc import Iterator
from dataclasses import dataclass

from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import Interval, paired_difference
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.contrasts import Contrast, compare_study, settled
from tutelage.study.ledger import study_of

__all__ = [
    "DamagePoint",
    "NamedContrast",
    "curve",
    "damage_values",
    "differences_by_kind",
    "gain_curve",
    "overall_differences",
    "shown_stages",
]

Values = dict[tuple[str, int], float]


@dataclass(frozen=True)
class DamagePoint:
    """A mean at one severity (0 is undamaged), with the interval of the one rule; None of a single unit."""

    severity: int
    mean: float
    interval: Interval | None
    runs: int


@dataclass(frozen=True)
class NamedContrast:
    """A student minus the baseline under one kind of damage."""

    kind: str
    contrast: Contrast


def shown_stages(experiment: Experiment) -> list[str]:
    """Return the stages that were evaluated on damaged inputs, students first."""
    known = {run.stage for run in experiment.runs if run.robustness is not None}
    return [stage for stage in (*experiment.students, *experiment.teachers) if stage in known]


def damage_values(
    experiment: Experiment, stage: str, kind: str | None = None, severity: int | None = None
) -> Values:
    """Return the accuracy of every run, mean over draws, and over severities and kinds that are not named.

    Args:
        experiment: what was read back.
        stage: whose runs.
        kind: name of the damage; None for the mean over all.
        severity: 0 for undamaged inputs; None for the mean over all but that.
    """
    values = {}
    for run in experiment.of(stage):
        if run.robustness is not None:
            clean = run.evaluations["test"].accuracy
            found = clean if severity == 0 else run.robustness.mean(kind, severity)
            if found is not None:
                values[run.key] = found
    return values


def curve(experiment: Experiment, stage: str, kind: str) -> list[DamagePoint]:
    """Return the accuracy of a stage under one kind of damage, from undamaged to the last severity."""
    return [
        _point(severity, damage_values(experiment, stage, kind, severity))
        for severity in _severities(experiment)
    ]


def gain_curve(experiment: Experiment, stage: str, kind: str) -> list[DamagePoint]:
    """Return a stage minus the baseline, pair by pair, from undamaged to the last severity."""
    points = []
    for severity in _severities(experiment):
        mine = damage_values(experiment, stage, kind, severity)
        other = damage_values(experiment, experiment.record.baseline, kind, severity)
        points.append(
            _point(severity, {key: mine[key] - other[key] for key in mine if key in other})
        )
    return [point for point in points if point.runs]


def overall_differences(experiment: Experiment) -> tuple[Contrast, ...]:
    """Return every student minus the baseline, mean over all damage; decided together."""
    return _compared(experiment, "damaged")


def differences_by_kind(experiment: Experiment) -> list[NamedContrast]:
    """Return every student minus the baseline under every kind of damage; all decided together."""
    asked = experiment.asked
    kinds = () if asked is None else tuple(asked.corruptions)
    found = [(kind, one) for kind in kinds for one in _compared(experiment, f"damaged:{kind}")]
    after = settled(one for _, one in found)
    return [NamedContrast(kind, one) for (kind, _), one in zip(found, after, strict=True)]


def _compared(experiment: Experiment, metric: str) -> tuple[Contrast, ...]:
    against = {"stage": experiment.record.baseline}
    single = compare_study(study_of(experiment), against, metric).single
    return tuple(one for one in single if one.n)


def _severities(experiment: Experiment) -> Iterator[int]:
    yield 0
    yield from () if experiment.asked is None else experiment.asked.severities


def _point(severity: int, values: Values) -> DamagePoint:
    interval = paired_difference(values, dict.fromkeys(values, 0.0)).interval if values else None
    return DamagePoint(severity, mean_of_folds(values), interval, len(values))
