"""Persistence of a picture: components and holes, from its saddle pixels only."""

from typing import NamedTuple

import numpy as np

from tutelage.modalities._links import Links
from tutelage.modalities._numba import Array, Float, kernel
from tutelage.modalities._order import ascending


class Field(NamedTuple):
    """Working memory for pictures of one size, all with a ring of padding around.

    Args:
        values: [(H + 2) (W + 2)]; infinite in the ring.
        masks: which neighbours come earlier, per pixel.
        below: towards an earlier pixel of the same component; itself at a minimum.
        above: towards a later pixel of the same component of the complement; the whole ring is
            one node, number 0, and stays it because no peak is higher.
        saddles: pixels where components meet, [H W].
        keys: scratch of the sort, [2, H W].
        spare: scratch of the sort, [H W].
    """

    values: Float
    masks: Array
    below: Array
    above: Array
    saddles: Array
    keys: Array
    spare: Array


@kernel
def new_field(plane: Float) -> Field:
    """Allocate for pictures like this one, [H, W]."""
    height, width = plane.shape
    count = (height + 2) * (width + 2)
    size = height * width + 1
    return Field(
        np.full(count, np.inf),
        np.zeros(count, np.uint8),
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.empty(size, np.int32),
        np.empty((2, size), np.uint32),
        np.empty(size, np.int32),
    )


@kernel
def load(plane: Float, sign: float, values: Float) -> None:
    """Copy a picture into the padded field, turned over where ``sign`` is -1.

    An infinite pixel becomes the largest finite number: the ring must stay above everything.
    Adding zero turns -0 into 0, whose bits sort differently.
    """
    most = np.finfo(np.float64).max
    height, width = plane.shape
    for i in range(height):
        line = values[(i + 1) * (width + 2) + 1 : (i + 2) * (width + 2) - 1]
        source = plane[i]
        for j in range(width):
            line[j] = min(sign * source[j], most) + 0.0


@kernel
def compare(values: Float, height: int, width: int, masks: Array) -> None:
    """Note for every pixel which of its neighbours come earlier; of equals, the one stored first.

    Args:
        values: padded, see :class:`Field`.
        height: of the picture.
        width: of the picture.
        masks: receives bits in the order of :data:`tutelage.modalities._links.RING`.
    """
    stride = width + 2
    for i in range(1, height + 1):
        start = i * stride
        over = values[start - stride : start]
        here = values[start : start + stride]
        under = values[start + stride : start + 2 * stride]
        line = masks[start : start + stride]
        for j in range(1, width + 1):
            x = here[j]
            line[j] = (
                np.uint8(over[j - 1] <= x)
                | (np.uint8(over[j] <= x) << np.uint8(1))
                | (np.uint8(over[j + 1] <= x) << np.uint8(2))
                | (np.uint8(here[j + 1] < x) << np.uint8(3))
                | (np.uint8(under[j + 1] < x) << np.uint8(4))
                | (np.uint8(under[j] < x) << np.uint8(5))
                | (np.uint8(under[j - 1] < x) << np.uint8(6))
                | (np.uint8(here[j - 1] <= x) << np.uint8(7))
            )


@kernel
def point(field: Field, height: int, width: int, links: Links, offsets: Array) -> int:
    """Point every pixel to one neighbour of its component, below and above, and list the saddles.

    Args:
        field: with ``masks`` filled; receives ``below``, ``above``, ``saddles``.
        height: of the picture.
        width: of the picture.
        links: see :func:`tutelage.modalities._links.links`.
        offsets: index distance of the ring positions, [8].

    Returns:
        Number of saddles, in the order of storage.
    """
    down = np.zeros(256, np.int32)
    up = np.zeros(256, np.int32)
    saddle = np.zeros(256, np.uint8)
    for m in range(256):
        if links.lower[m] > 0:
            down[m] = offsets[links.lower_steps[m, 0]]
        if links.upper[m] > 0:
            up[m] = offsets[links.upper_steps[m, 0]]
        saddle[m] = links.lower[m] > 1
    count = 0
    stride = width + 2
    for i in range(1, height + 1):
        for p in range(i * stride + 1, i * stride + 1 + width):
            m = field.masks[p]
            field.below[p] = p + down[m]
            field.above[p] = p + up[m]
            field.saddles[count] = p  # kept only if a saddle; cheaper than a branch
            count += saddle[m]
    return count


@kernel
def root(parents: Array, p: int) -> int:
    """Return the end of a path, halving it on the way."""
    while parents[p] != p:
        parents[p] = parents[parents[p]]
        p = parents[p]
    return p


@kernel
def components(
    field: Field,
    count: int,
    links: Links,
    offsets: Array,
    minimum: float,
    births: Float,
    deaths: Float,
) -> int:
    """Pair minima with the saddles at which their component dies, in ascending order.

    Args:
        field: filled; ``below`` is used up.
        count: number of saddles, sorted.
        links: see :func:`tutelage.modalities._links.links`.
        offsets: index distance of the ring positions, [8].
        minimum: a pair is kept if its life exceeds this.
        births: receives values, [H W + 1].
        deaths: receives values, [H W + 1].

    Returns:
        Number of pairs; the component of the lowest pixel is not written.
    """
    values, parents = field.values, field.below
    pairs = 0
    for s in range(count):
        p = field.saddles[s]
        m = field.masks[p]
        one = root(parents, p)
        for k in range(1, links.lower[m]):
            other = root(parents, p + offsets[links.lower_steps[m, k]])
            if other == one:
                continue
            later = values[other] > values[one] or (values[other] == values[one] and other > one)
            young = other if later else one
            old = one if later else other
            births[pairs] = values[young]
            deaths[pairs] = values[p]
            pairs += values[p] - values[young] > minimum
            parents[young] = old
            one = old
    return pairs


@kernel
def holes(
    field: Field,
    count: int,
    links: Links,
    offsets: Array,
    minimum: float,
    births: Float,
    deaths: Float,
) -> int:
    """Pair maxima with the saddles that enclose them: components of the complement, descending.

    A hole is born when the last gap around a peak closes (the saddle) and dies when the peak is
    filled. The ring of padding is the oldest component: what is joined to it is no hole.

    Args:
        field: filled; ``above`` is used up.
        count: number of saddles, sorted.
        links: see :func:`tutelage.modalities._links.links`.
        offsets: index distance of the ring positions, [8].
        minimum: a pair is kept if its life exceeds this.
        births: receives values, [H W + 1].
        deaths: receives values, [H W + 1].

    Returns:
        Number of pairs.
    """
    values, parents = field.values, field.above
    pairs = 0
    for s in range(count - 1, -1, -1):
        p = field.saddles[s]
        m = field.masks[p]
        one = root(parents, p)
        for k in range(1, links.upper[m]):
            other = root(parents, p + offsets[links.upper_steps[m, k]])
            if other == one:
                continue
            later = values[other] < values[one] or (values[other] == values[one] and other < one)
            young = other if later else one
            old = one if later else other
            births[pairs] = values[p]
            deaths[pairs] = values[young]
            pairs += values[young] - values[p] > minimum
            parents[young] = old
            one = old
    return pairs


@kernel
def prepare(plane: Float, sign: float, field: Field, links: Links, offsets: Array) -> int:
    """Fill the working memory for one picture.

    Args:
        plane: [H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        field: working memory of this size.
        links: see :func:`tutelage.modalities._links.links`.
        offsets: receives the index distance of the ring positions, [8], int32.

    Returns:
        Number of saddles, sorted by value and then by position.
    """
    height, width = plane.shape
    stride = width + 2
    for k in range(3):
        offsets[k] = k - 1 - stride
        offsets[6 - k] = k - 1 + stride
    offsets[3], offsets[7] = 1, -1
    load(plane, sign, field.values)
    compare(field.values, height, width, field.masks)
    count = point(field, height, width, links, offsets)
    ascending(field.values, field.saddles, count, field.keys, field.spare)
    return count


@kernel
def unclamp(values: Float, count: int) -> None:
    """Write infinity again where :func:`load` put the largest finite number."""
    most = np.finfo(np.float64).max
    for k in range(count):
        if values[k] >= most:
            values[k] = np.inf
