"""What diagrams of the training data span: ranges for the image, and what falls outside of them."""

import numpy as np

from tutelage.modalities._line import line_pairs
from tutelage.modalities._links import Links
from tutelage.modalities._numba import Array, Float, kernel
from tutelage.modalities._plane import (
    components,
    holes,
    new_field,
    prepare,
)

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
def line_extent(signals: Float, sign: float, minimum: float, limits: Array, totals: Array) -> None:
    """Add the diagrams of lines to the totals.

    Args:
        signals: [N, C, L].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        minimum: pairs of smaller or equal persistence are dropped.
        limits: see :func:`add_diagram`.
        totals: see :func:`no_totals`.
    """
    items, channels, length = signals.shape
    scratch = np.empty((3, length + 2))
    births = np.empty(length + 1)
    deaths = np.empty(length + 1)
    for n in range(items):
        for c in range(channels):
            count = line_pairs(signals[n, c], sign, minimum, scratch, births, deaths)
            add_diagram(births, deaths, count, sign, limits, totals)


@kernel
def plane_extent(
    planes: Float,
    sign: float,
    minimum: float,
    links: Links,
    wanted: tuple[bool, bool],
    limits: Array,
    totals: Array,
) -> None:
    """Add the diagrams of pictures to the totals.

    Args:
        planes: [N, C, H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        minimum: pairs of smaller or equal persistence are dropped.
        links: construction, see :func:`tutelage.modalities._links.links`.
        wanted: whether components and holes count.
        limits: see :func:`add_diagram`.
        totals: see :func:`no_totals`.
    """
    items, channels, height, width = planes.shape
    births = np.empty(height * width + 1)
    deaths = np.empty(height * width + 1)
    offsets = np.empty(8, np.int32)
    field = new_field(planes[0, 0])
    for n in range(items):
        for c in range(channels):
            saddles = prepare(planes[n, c], sign, field, links, offsets)
            if wanted[0]:
                count = components(field, saddles, links, offsets, minimum, births, deaths)
                add_diagram(births, deaths, count, sign, limits, totals)
            if wanted[1]:
                count = holes(field, saddles, links, offsets, minimum, births, deaths)
                add_diagram(births, deaths, count, sign, limits, totals)
