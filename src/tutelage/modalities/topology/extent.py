"""What diagrams of the training data span: ranges for the image, and what falls outside of them."""

import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.links import Links
from tutelage.modalities.topology.pairs import load_sample, new_memory, sample_pairs

# positions in the array of totals
LOW, HIGH, LONGEST, POINTS, OUTSIDE, MASS, MASS_OUTSIDE, EMPTY, DIAGRAMS = range(9)


def no_totals() -> Array:
    """Return the totals of no diagram at all."""
    totals = np.zeros(9)
    totals[LOW], totals[HIGH] = np.inf, -np.inf
    return totals


@kernel
def add_diagram(
    births: Float, deaths: Float, count: int, sign: float, limits: Array, totals: Array
) -> None:
    """Add one diagram to the totals.

    Args:
        births: ``sign`` x birth, at least [count].
        deaths: ``sign`` x death.
        count: number of points.
        sign: 1, or -1 where the values come from superlevel sets.
        limits: lowest and highest birth, lowest and highest persistence of the image.
        totals: see :func:`no_totals`; births in the values of the signal.
    """
    totals[DIAGRAMS] += 1
    totals[EMPTY] += count == 0
    totals[POINTS] += count
    for p in range(count):
        birth = sign * births[p]
        life = deaths[p] - births[p]
        totals[LOW] = min(totals[LOW], birth)
        totals[HIGH] = max(totals[HIGH], birth)
        totals[LONGEST] = max(totals[LONGEST], life)
        totals[MASS] += life
        inside = limits[0] <= birth <= limits[1] and limits[2] <= life <= limits[3]
        if not inside:
            totals[OUTSIDE] += 1
            totals[MASS_OUTSIDE] += life


@kernel
def add_samples(
    samples: Float,
    sign: float,
    minimum: float,
    links: Links,
    wanted: tuple[bool, bool],
    limits: Array,
    totals: Array,
) -> None:
    """Add the diagrams of lines or pictures to the totals.

    Args:
        samples: [N, C, L] or [N, C, H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        minimum: pairs of smaller or equal persistence are dropped.
        links: construction, see :func:`tutelage.modalities.topology.links.links`.
        wanted: whether components and holes count.
        limits: see :func:`add_diagram`.
        totals: see :func:`no_totals`.
    """
    memory = new_memory(samples, links)
    births, deaths = memory.births, memory.deaths
    for n in range(samples.shape[0]):
        for c in range(samples.shape[1]):
            sample = samples[n, c]
            saddles = load_sample(sample, sign, memory)
            for dimension in range(2):
                if wanted[dimension]:
                    count = sample_pairs(sample, sign, saddles, dimension, minimum, memory)
                    add_diagram(births, deaths, count, sign, limits, totals)
