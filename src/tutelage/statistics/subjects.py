"""Would the difference hold for people who were not tested? A bootstrap over test subjects.

Seeds repeat the training; they say nothing about other people. Here the subjects are drawn anew
together with all their samples, and the seeds are drawn anew within their fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tutelage.statistics.paired import (
    Interval,
    Verdict,
    minus,
    t_interval,
    verdict_of,
)


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
        return verdict_of(self.interval, self.mean, min(self.subjects, self.pairs))

    def sentence(self, a: str, b: str, *, scale: float = 100.0, unit: str = "points") -> str:
        """Say the verdict for new subjects in one plain sentence."""
        if self.interval is None:
            return f"Nothing can be said of {a} and {b} for new subjects (n = {self.subjects})."
        ends = f"{minus(self.interval.low * scale)} to {minus(self.interval.high * scale)}"
        shown = f"{self.confidence * 100:g} % interval {ends} {unit}, {self.subjects} subjects"
        if self.verdict == "not distinguishable":
            return f"For new subjects {a} and {b} are not distinguishable ({shown})."
        return f"For new subjects {a} is {self.verdict} than {b} ({shown})."


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
    are too narrow. It is never narrower than the t interval of the pairs: a claim about more people
    cannot be surer than the claim about these.

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
    seeds = t_interval(gain.sum(axis=1), confidence)
    if seeds is not None:
        half = max(half, (seeds.high - seeds.low) / 2)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return SubjectDifference(
        subjects=k,
        pairs=len(runs),
        mean=mean,
        confidence=confidence,
        interval=Interval(mean - half, mean + half, "subject bootstrap"),
        percentile=Interval(float(low), float(high), "subject percentile"),
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
