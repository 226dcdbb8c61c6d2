"""How many seeds a wanted resolution takes."""

from math import ceil

import numpy as np
from scipy import stats

from tutelage.statistics.paired import FEWEST_PAIRS, pairs_needed

__all__ = ["seeds_needed"]

FAR = 1000
"""Seeds beyond which nobody asks."""


def seeds_needed(
    sd: float,
    resolution: float,
    folds: int,
    test_fraction: float = 0.0,
    *,
    confidence: float = 0.95,
) -> int | None:
    """Return the smallest number of seeds whose interval reaches no further than a resolution.

    Args:
        sd: of the paired differences.
        resolution: half-width wanted, in the same unit; > 0.
        folds: every seed is trained on each of them.
        test_fraction: share of the samples that a fold tests; the corrected interval is used where it is > 0.
        confidence: in (0, 1).

    Returns:
        Seeds of each fold; None where more seeds do not help, because the folds share their training data.

    Raises:
        ValueError: a resolution that is not positive, or a negative SD.

    Source:
        Nadeau & Bengio 2003, eq. 9; without shared data Student's t.

    Example:
        >>> seeds_needed(1.0, 1.0, 1), seeds_needed(1.0, 1.0, 3), seeds_needed(1.0, 0.5, 9, 1 / 9)
        (7, 3, None)
    """
    if not test_fraction or folds < 2:
        return ceil(pairs_needed(sd, resolution, confidence=confidence) / folds)
    if resolution <= 0 or sd < 0:
        raise ValueError(f"seeds_needed: sd {sd} must be >= 0 and resolution {resolution} > 0")
    shared = test_fraction / (1 - test_fraction)
    seeds = np.arange(1, FAR + 1)
    n = seeds * folds
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * sd * np.sqrt(1 / n + shared)
    enough = np.flatnonzero((half <= resolution) & (n >= FEWEST_PAIRS))
    return int(seeds[enough[0]]) if len(enough) else None
