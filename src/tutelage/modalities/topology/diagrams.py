"""Diagrams of a batch, one after the other in flat arrays."""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.links import Links
from tutelage.modalities.topology.pairs import load_sample, new_memory, sample_pairs
from tutelage.modalities.topology.plane import unclamp


@kernel
def write_diagrams(
    samples: Float,
    sign: float,
    minimum: float,
    essential: bool,
    links: Links,
    wanted: tuple[bool, bool],
    points: Array,
    labels: Array,
    ends: Array,
) -> int:
    """Write the pairs of every line or picture.

    Args:
        samples: [N, C, L] or [N, C, H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        minimum: pairs of smaller or equal persistence are dropped.
        essential: also write the component that never dies.
        links: construction, see :func:`tutelage.modalities.topology.links.links`.
        wanted: whether components and holes are written.
        points: receives birth and death in the values of the samples, [2, capacity]; a capacity of
            N C (L // 2 + 2) for lines and 2 N C (H W + 1) for pictures always suffices.
        labels: receives dimension and channel, [2, capacity].
        ends: receives the end of every sample, [N].

    Returns:
        Number of points.
    """
    memory = new_memory(samples, links)
    births, deaths = memory.births, memory.deaths
    total = 0
    for n in range(samples.shape[0]):
        for c in range(samples.shape[1]):
            sample = samples[n, c]
            saddles = load_sample(sample, sign, memory)
            for dimension in range(2):
                if not wanted[dimension]:
                    continue
                count = sample_pairs(sample, sign, saddles, dimension, minimum, memory)
                if samples.ndim == 4:
                    unclamp(deaths, count)
                if essential and dimension == 0:
                    births[count] = lowest(sample.reshape(-1), sign)
                    deaths[count] = np.inf
                    count += 1
                total = append(births, deaths, count, sign, dimension, c, points, labels, total)
        ends[n] = total
    return total


@kernel
def lowest(values: Float, sign: float) -> float:
    """Return the smallest of ``sign`` x values, without the copy that numpy's form makes."""
    least = sign * values[0]
    for k in range(1, values.size):
        least = min(least, sign * values[k])
    return float(least)


@kernel
def append(
    births: Float,
    deaths: Float,
    count: int,
    sign: float,
    dimension: int,
    channel: int,
    points: Array,
    labels: Array,
    total: int,
) -> int:
    """Copy one diagram behind the others and return the new end."""
    for k in range(count):
        points[0, total + k] = sign * births[k]
        points[1, total + k] = sign * deaths[k]
        labels[0, total + k] = dimension
        labels[1, total + k] = channel
    return total + count
