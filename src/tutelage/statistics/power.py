"""How many folds and seeds a wanted resolution takes."""

from math import ceil

import numpy as np
from scipy import stats

from tutelage.statistics.paired import FEWEST_UNITS, PairedDifference

__all__ = ["seeds_needed", "units_needed"]


def units_needed(sd: float, resolution: float, *, confidence: float = 0.95) -> int:
    """Return the smallest number of independent units whose t interval reaches no further than a resolution.

    Args:
        sd: sample SD of the units: fold means, or the seeds of a single fold.
        resolution: half-width wanted, in the same unit; > 0.
        confidence: in (0, 1).

    Raises:
        ValueError: a resolution that is not positive, or a negative SD.

    Examples:
        >>> units_needed(1.0, 1.0)
        7
    """
    if resolution <= 0 or sd < 0:
        raise ValueError(f"units_needed: sd {sd} must be >= 0 and resolution {resolution} > 0")
    n = FEWEST_UNITS
    while stats.t.ppf((1 + confidence) / 2, n - 1) * sd / np.sqrt(n) > resolution:
        n += 1 if n < 1000 else n // 100
    return n


def seeds_needed(difference: PairedDifference, resolution: float) -> int | None:
    """Return the seeds of each of these folds that narrow the deciding interval to plus and minus a resolution.

    Args:
        difference: what was measured; how folds and seeds differ is taken from it.
        resolution: half-width wanted, in the same unit; > 0.

    Returns:
        Seeds of each fold; None where no number of them is enough, because the folds differ or are too few, and
        where the spread over seeds is not known.

    Raises:
        ValueError: a resolution that is not positive.

    Examples:
        >>> from tutelage.statistics.paired import paired_difference
        >>> seeds_needed(paired_difference([0.0, 1.0, 2.0], [0.0, 0.0, 0.0]), 1.0)
        7
    """
    if difference.folds <= 1:
        return units_needed(difference.sd, resolution) if difference.sd else None
    if resolution <= 0:
        raise ValueError(f"seeds_needed: resolution {resolution} must be > 0")
    if not difference.sd or not difference.within or difference.folds < FEWEST_UNITS:
        return None
    folds, within = difference.folds, difference.within**2
    between = max(0.0, difference.sd**2 - within * folds / difference.pairs)
    quantile = float(stats.t.ppf((1 + difference.confidence) / 2, folds - 1))
    room = folds * (resolution / quantile) ** 2 - between
    return max(1, ceil(within / room)) if room > 0 else None
