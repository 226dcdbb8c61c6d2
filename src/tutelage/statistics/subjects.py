"""Would the difference hold for people who were not tested? A bootstrap over test subjects.

Seeds repeat the training; they say nothing about other people. Here the subjects are drawn anew
together with all their samples, and the seeds are drawn anew within their fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tutelage.statistics.paired import FEWEST_UNITS, Interval, Verdict, paired_difference


@dataclass(frozen=True)
class SubjectPair:
    """How two matched runs did on one test subject."""

    fold: str
    seed: int
    subject: str
    n: int
    a: float
    b: float


@dataclass(frozen=True)
class SubjectDifference:
    """The mean difference with an interval for new subjects."""

    subjects: int
    pairs: int
    mean: float
    confidence: float
    interval: Interval | None
    percentile: Interval | None

    @property
    def verdict(self) -> Verdict:
        """What may be claimed about people who were not tested."""
        few = min(self.subjects, self.pairs) < FEWEST_UNITS
        if few or self.interval is None or not self.interval.excludes_zero:
            return "not distinguishable"
        return "better" if self.mean > 0 else "worse"


def subject_difference(
    pairs: Sequence[SubjectPair],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> SubjectDifference:
    """Bootstrap the accuracy difference over test subjects and over the seeds of each fold.

    Every run weighs the same, as in the main table: a subject weighs its share of the samples of
    its fold. The interval is the mean ± Student's t (k - 1 degrees of freedom for k subjects) times
    the bootstrap's standard error, widened by sqrt(k/(k - 1)), because percentiles of few clusters
    are too narrow. It is never narrower than the interval that decides of the pairs
    (:func:`~tutelage.statistics.paired.paired_difference`): a claim about more people cannot be surer than it.

    Args:
        pairs: one entry per matched run and test subject.
        confidence: in (0, 1).
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        The mean difference over runs, the interval that decides and the plain percentile interval.

    Source:
        Cluster bootstrap: Davison & Hinkley 1997, sec. 3.8. Two factors resampled at once: Owen
        2007, arXiv:0712.1111 (errs on the wide side). Factor: Hesterberg 2015, arXiv:1411.5279.
    """
    runs = sorted({(pair.fold, pair.seed) for pair in pairs})
    subjects = sorted({pair.subject for pair in pairs})
    size = np.zeros((len(runs), len(subjects)))
    gain = np.zeros_like(size)
    for pair in pairs:
        at = runs.index((pair.fold, pair.seed)), subjects.index(pair.subject)
        size[at] += pair.n
        gain[at] += pair.n * (pair.a - pair.b)
    if not runs:
        return SubjectDifference(0, 0, float("nan"), confidence, None, None)
    share = size.sum(axis=1, keepdims=True)
    size, gain = size / share, gain / share
    mean = float(gain.sum() / size.sum())
    if len(subjects) < 2:
        return SubjectDifference(len(subjects), len(runs), mean, confidence, None, None)
    means = _resampled(size, gain, [fold for fold, _ in runs], resamples, seed)
    k = len(subjects)
    half = float(stats.t.ppf((1 + confidence) / 2, k - 1) * np.std(means) * np.sqrt(k / (k - 1)))
    gains = dict(zip(runs, gain.sum(axis=1).tolist(), strict=True))
    decides = paired_difference(gains, dict.fromkeys(runs, 0.0), confidence=confidence).interval
    if decides is not None:
        half = max(half, (decides.high - decides.low) / 2)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return SubjectDifference(
        subjects=k,
        pairs=len(runs),
        mean=mean,
        confidence=confidence,
        interval=Interval(mean - half, mean + half, "new people"),
        percentile=Interval(float(low), float(high), "new people"),
    )


def _resampled(
    size: NDArray[np.float64],
    gain: NDArray[np.float64],
    folds: Sequence[str],
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Weighted mean difference of every resample, [resamples]; empty draws are dropped."""
    generator = np.random.default_rng(seed)
    runs, subjects = size.shape
    people = generator.multinomial(subjects, np.full(subjects, 1 / subjects), resamples)
    times = np.zeros((resamples, runs))
    for fold in dict.fromkeys(folds):
        columns = [i for i, name in enumerate(folds) if name == fold]
        draws = generator.multinomial(
            len(columns), np.full(len(columns), 1 / len(columns)), resamples
        )
        times[:, columns] = draws
    weight = np.einsum("br,rs,bs->b", times, size, people, optimize=True)
    total = np.einsum("br,rs,bs->b", times, gain, people, optimize=True)
    return np.asarray(total[weight > 0] / weight[weight > 0])
