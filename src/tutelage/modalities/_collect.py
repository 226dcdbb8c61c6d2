"""Diagrams of a batch, one after the other in flat arrays."""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
import numpy as np

from tutelage.modalities._line import line_pairs
from tutelage.modalities._links import Links
from tutelage.modalities._numba import Array, Float, kernel
from tutelage.modalities._plane import (
    components,
    holes,
    new_field,
    prepare,
    unclamp,
)


@kernel
def line_diagrams(
    signals: Float,
    sign: float,
    minimum: float,
    essential: bool,
    points: Array,
    labels: Array,
    ends: Array,
) -> int:
    """Write the pairs of every line.

    Args:
        signals: [N, C, L].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        minimum: pairs of smaller or equal persistence are dropped.
        essential: also write the component that never dies.
        points: receives birth and death in the values of the signal, [2, capacity]; a capacity of
            N C (L // 2 + 2) always suffices.
        labels: receives dimension and channel, [2, capacity].
        ends: receives the end of every sample, [N].

    Returns:
        Number of points.
    """
    items, channels, length = signals.shape
    scratch = np.empty((3, length + 2))
    births = np.empty(length + 1)
    deaths = np.empty(length + 1)
    total = 0
    for n in range(items):
        for c in range(channels):
            signal = signals[n, c]
            count = line_pairs(signal, sign, minimum, scratch, births, deaths)
            if essential:
                births[count] = lowest(signal, sign)
                deaths[count] = np.inf
                count += 1
            total = append(births, deaths, count, sign, 0, c, points, labels, total)
        ends[n] = total
    return total


@kernel
def plane_diagrams(
    planes: Float,
    sign: float,
    minimum: float,
    essential: bool,
    links: Links,
    wanted: tuple[bool, bool],
    points: Array,
    labels: Array,
    ends: Array,
) -> int:
    """Write the pairs of every picture.

    Args:
        planes: [N, C, H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        minimum: pairs of smaller or equal persistence are dropped.
        essential: also write the component that never dies.
        links: construction, see :func:`tutelage.modalities._links.links`.
        wanted: whether components and holes are written.
        points: receives birth and death, [2, capacity]; 2 N C (H W + 1) always suffices.
        labels: receives dimension and channel, [2, capacity].
        ends: receives the end of every sample, [N].

    Returns:
        Number of points.
    """
    items, channels, height, width = planes.shape
    births = np.empty(height * width + 1)
    deaths = np.empty(height * width + 1)
    offsets = np.empty(8, np.int32)
    field = new_field(planes[0, 0])
    total = 0
    for n in range(items):
        for c in range(channels):
            saddles = prepare(planes[n, c], sign, field, links, offsets)
            if wanted[0]:
                count = components(field, saddles, links, offsets, minimum, births, deaths)
                unclamp(deaths, count)
                if essential:
                    births[count] = lowest(planes[n, c].reshape(-1), sign)
                    deaths[count] = np.inf
                    count += 1
                total = append(births, deaths, count, sign, 0, c, points, labels, total)
            if wanted[1]:
                count = holes(field, saddles, links, offsets, minimum, births, deaths)
                unclamp(deaths, count)
                total = append(births, deaths, count, sign, 1, c, points, labels, total)
        ends[n] = total
    return total


@kernel
def lowest(values: Float, sign: float) -> float:
    """Return the smallest of ``sign`` x values, without the copy that numpy's form makes."""
    found = sign * values[0]
    for k in range(1, values.size):
        found = min(found, sign * values[k])
    return float(found)


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
