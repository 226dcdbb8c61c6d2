"""Honest intervals for matched runs: how large is a difference, and may it be claimed?

Values go in and come out in the unit of the metric (fractions for accuracy); only sentences are
scaled to points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tutelage.statistics.spreads import sample_sd

Verdict = Literal["better", "worse", "not distinguishable"]

FEWEST_PAIRS = 3
"""Below this no difference is ever claimed."""

BOOTSTRAP_FROM = 20
"""From this many pairs on the bootstrap interval decides; below, Student's t does."""


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval and the way it was made."""

    low: float
    high: float
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends lie strictly on one side of zero."""
        return self.low > 0 or self.high < 0


def t_interval(
    differences: NDArray[np.float64], confidence: float, shared: float = 0.0
) -> Interval | None:
    """Student's t interval of the mean difference.

    Args:
        differences: one number per matched pair, [n].
        confidence: in (0, 1).
        shared: ratio of test to training samples when the pairs share training data, else 0.

    Returns:
        The interval, or None with fewer than two pairs.

    Source:
        Nadeau & Bengio 2003, Machine Learning 52(3), eq. 9: the variance of the mean is
        (1/n + n_test/n_train) s^2, because the training sets of the folds overlap.
    """
    n = len(differences)
    if n < 2:
        return None
    scale = float(np.std(differences, ddof=1) * np.sqrt(1 / n + shared))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * scale
    mean = float(np.mean(differences))
    return Interval(mean - half, mean + half, "corrected t" if shared else "t")


def bootstrap_interval(
    differences: NDArray[np.float64], *, confidence: float, resamples: int, seed: int
) -> Interval | None:
    """Bias-corrected and accelerated (BCa) bootstrap interval of the mean difference.

    Returns:
        The interval, or None with fewer than two pairs; of a few pairs it is far too narrow.

    Source:
        Efron 1987, J. Am. Stat. Assoc. 82(397), sec. 4; acceleration from the jackknife.
    """
    n = len(differences)
    if n < 2:
        return None
    mean = float(np.mean(differences))
    if np.ptp(differences) == 0:
        return Interval(mean, mean, "bootstrap")
    picks = np.random.default_rng(seed).integers(0, n, (resamples, n))
    means = np.sort(differences[picks].mean(axis=1))
    below = (np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / 2 / resamples
    bias = stats.norm.ppf(np.clip(below, 1 / resamples, 1 - 1 / resamples))
    left_out = mean - (n * mean - differences) / (n - 1)
    acceleration = np.sum(left_out**3) / (6 * np.sum(left_out**2) ** 1.5)
    z = bias + stats.norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = np.quantile(means, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return Interval(float(low), float(high), "bootstrap")


@dataclass(frozen=True)
class PairedDifference:
    """The mean of a - b over matched pairs and what may be said about it."""

    n: int
    mean: float
    sd: float | None
    confidence: float
    t: Interval | None
    bootstrap: Interval | None
    corrected: Interval | None

    @property
    def interval(self) -> Interval | None:
        """The one that decides: corrected t if asked for, else t, or the bootstrap from n = 20."""
        if self.corrected is not None:
            return self.corrected
        return self.bootstrap if self.n >= BOOTSTRAP_FROM else self.t

    @property
    def verdict(self) -> Verdict:
        """What may be claimed; never a difference with n < 3 or without any spread."""
        return verdict_of(self.interval, self.mean, self.n if self.sd else 0)

    @property
    def p_value(self) -> float:
        """Two-sided p of the t test behind ``t`` or ``corrected``; 1 where no claim is allowed."""
        interval = self.corrected or self.t
        if interval is None or not self.sd or self.n < FEWEST_PAIRS:
            return 1.0
        half = (interval.high - interval.low) / 2
        error = half / float(stats.t.ppf((1 + self.confidence) / 2, self.n - 1))
        return float(2 * stats.t.sf(abs(self.mean) / error, self.n - 1))

    def sentence(self, a: str, b: str, *, scale: float = 100.0, unit: str = "points") -> str:
        """Say the verdict in one plain sentence.

        Args:
            a: name of the first side.
            b: name of the second side.
            scale: factor from the metric to the unit; 100 turns fractions into points.
            unit: its name.
        """
        text = difference_sentence(self, a, b, scale=scale, unit=unit)
        if self.sd == 0 and self.n >= FEWEST_PAIRS:
            text += " All differences are equal, so their spread cannot be estimated."
        return text


def verdict_of(interval: Interval | None, mean: float, n: int) -> Verdict:
    """Turn an interval into a verdict; with fewer than three pairs nothing is claimed."""
    if interval is None or n < FEWEST_PAIRS or not interval.excludes_zero:
        return "not distinguishable"
    return "better" if mean > 0 else "worse"


def difference_sentence(
    result: PairedDifference, a: str, b: str, *, scale: float, unit: str
) -> str:
    """Build the sentence of a paired difference."""
    if result.n == 0:
        return f"{a} and {b} cannot be compared: no fold and seed has both."
    pairs = f"n = {result.n} pair{'s' if result.n != 1 else ''}"
    interval = result.interval
    if result.verdict != "not distinguishable" and interval is not None:
        low, high = sorted((abs(interval.low * scale), abs(interval.high * scale)))
        size = f"{abs(result.mean) * scale:.1f} {unit}"
        level = f"{result.confidence * 100:g} % interval {low:.1f} to {high:.1f}"
        return f"{a} is {result.verdict} than {b} by {size} ({level}, {pairs})."
    shown = f"difference {minus(result.mean * scale)}"
    if interval is not None:
        shown += f", interval {minus(interval.low * scale)} to {minus(interval.high * scale)}"
    return f"{a} and {b} are not distinguishable with {pairs} ({shown})."


def minus(value: float, digits: int = 1) -> str:
    """Format a number with a true minus sign and without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    test_fraction: float | None = None,
) -> PairedDifference:
    """Compare matched values: a[i] and b[i] come from the same fold and seed.

    Below twenty pairs Student's t interval decides. The bootstrap of three points knows only ten
    different means and keeps a 95 % promise about 75 % of the time: it is shown, never decides.

    Args:
        a: values of the first side, [n].
        b: values of the second side, [n], same order.
        confidence: in (0, 1).
        resamples: bootstrap samples.
        seed: of the bootstrap.
        test_fraction: share of the samples that a fold tests, in (0, 1), when the folds share
            training data; then the corrected interval of Nadeau and Bengio decides.

    Returns:
        The mean of a - b, its intervals and the verdict.

    Raises:
        ValueError: unequal lengths, values that are not finite, or a fraction outside (0, 1).
    """
    if len(a) != len(b):
        raise ValueError(f"paired_difference: a has {len(a)} values, b has {len(b)}; pairs match")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise ValueError("paired_difference: a value is not finite; leave failed runs out")
    _check_fraction("confidence", confidence)
    shared = 0.0
    if test_fraction is not None:
        _check_fraction("test_fraction", test_fraction)
        shared = test_fraction / (1 - test_fraction)
    if len(differences) > 1 and np.ptp(differences) < 1e-12:
        differences = np.full_like(differences, differences.mean())
    return PairedDifference(
        n=len(differences),
        mean=float(differences.mean()) if len(differences) else float("nan"),
        sd=sample_sd(differences.tolist()),
        confidence=confidence,
        t=t_interval(differences, confidence),
        bootstrap=bootstrap_interval(
            differences, confidence=confidence, resamples=resamples, seed=seed
        ),
        corrected=t_interval(differences, confidence, shared) if shared else None,
    )


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"paired_difference: {name} is {value}; it lies between 0 and 1")


def pairs_needed(sd: float, resolution: float, *, confidence: float = 0.95) -> int:
    """Smallest number of pairs whose t interval has a half-width of at most ``resolution``.

    Args:
        sd: sample SD of the paired differences.
        resolution: wanted half-width, in the same unit; > 0.
        confidence: in (0, 1).

    Raises:
        ValueError: a resolution that is not positive, or a negative SD.

    Example:
        >>> pairs_needed(1.0, 1.0)
        7
    """
    if resolution <= 0 or sd < 0:
        raise ValueError(f"pairs_needed: sd {sd} must be >= 0 and resolution {resolution} > 0")
    n = FEWEST_PAIRS
    while stats.t.ppf((1 + confidence) / 2, n - 1) * sd / np.sqrt(n) > resolution:
        n += 1 if n < 1000 else n // 100
    return n


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment for several comparisons, capped at 1.

    Source:
        Holm 1979, Scand. J. Statistics 6(2), 65-70.

    Example:
        >>> holm({"a": 0.01, "b": 0.04})
        {'a': 0.02, 'b': 0.04}
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - rank)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}
