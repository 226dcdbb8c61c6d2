"""How many settings are as good as the best, given the noise of training."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from tutelage.statistics.spreads import by_fold
from tutelage.study.tune.record import Axis, Score, Setting, Tuning, mean_of

__all__ = ["Plateau", "Reach", "plateau", "reach"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Plateau:
    """What can be told from the best, and what cannot.

    Args:
        reference: the best setting's mean over fresh seeds; of the search itself where none were trained.
        fresh: whether the reference is over fresh seeds.
        sd: pooled SD over seeds at the best setting, within a fold; None of single runs.
        n: runs behind ``sd``.
        margin: least difference between a setting and the reference that can be told from noise (95 % confidence).
        inside: the settings that differ by less, or are better.
    """

    reference: float
    fresh: bool
    sd: float | None
    n: int
    margin: float | None
    inside: tuple[Setting, ...]


@dataclass(frozen=True)
class Reach:
    """The values of one dimension, or one part, among the settings of a plateau.

    Args:
        place: in the recipe.
        low: smallest of them.
        high: largest.
        whole: the plateau reaches both ends of what was tried.
        gaps: the search had this dimension only, and some setting in between is worse.
    """

    place: str
    low: float
    high: float
    whole: bool
    gaps: bool


def plateau(tuning: Tuning) -> Plateau | None:
    """Measure the plateau of a search; None before any setting is complete.

    The best of many noisy settings looks better than it is. So it is trained again with seeds that played no
    part in choosing it, and every setting is compared with the mean of these. The margin is that of Student's t
    for the difference of two means, with the SD over seeds of the best setting.
    """
    best = tuning.best
    if best is None:
        return None
    again = tuning.again
    fresh = (
        again.scores if again is not None and again.setting == best.number and again.scores else ()
    )
    sd, freedom, n = _noise(best.scores, fresh)
    reference = mean_of(fresh) if fresh else mean_of(best.scores)
    margin = None
    if sd is not None:
        scale = sd * np.sqrt(1 / len(best.scores) + 1 / len(fresh or best.scores))
        margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * scale)
    inside = tuple(
        setting
        for setting in tuning.complete
        if margin is not None and tuning.sign * (reference - (setting.value or 0.0)) <= margin
    )
    return Plateau(reference, bool(fresh), sd, n, margin, inside)


def reach(tuning: Tuning, level: Plateau, axis: Axis) -> tuple[Reach, ...]:
    """Return where on a dimension of numbers, or of parts, the plateau lies."""
    reaches = []
    for place in axis.columns:
        tried = [float(setting.values[place]) for setting in tuning.complete]
        inside = [float(setting.values[place]) for setting in level.inside]
        worse = [
            float(setting.values[place])
            for setting in tuning.complete
            if setting not in level.inside
        ]
        if not inside:
            continue
        low, high = min(inside), max(inside)
        reaches.append(
            Reach(
                place, low, high, whole=(low, high) == (min(tried), max(tried)),
                gaps=_one_number(tuning) and any(low < value < high for value in worse),
            )
        )  # fmt: skip
    return tuple(reaches)


def _one_number(tuning: Tuning) -> bool:
    return len(tuning.axes) == 1 and len(tuning.axes[0].parts) in (0, 2)


def _noise(searched: tuple[Score, ...], fresh: tuple[Score, ...]) -> tuple[float | None, int, int]:
    """Return the SD over seeds pooled over folds, its degrees of freedom, and the runs behind it."""
    values = {(score.fold, score.seed): score.value for score in (*searched, *fresh)}
    folds = [list(seeds.values()) for seeds in by_fold(values).values()]
    freedom = sum(len(fold) - 1 for fold in folds)
    if not freedom:
        return None, 0, len(values)
    squares = sum(float(np.var(fold)) * len(fold) for fold in folds)
    return float(np.sqrt(squares / freedom)), freedom, len(values)
