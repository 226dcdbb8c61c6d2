"""Persistence of a picture: components and holes, from its saddle pixels only."""

from typing import NamedTuple

import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.links import Links
from tutelage.modalities.topology.order import ascending


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
        offsets: index distance of the positions of :data:`tutelage.modalities.topology.links.RING`, [8].
        links: construction, see :func:`tutelage.modalities.topology.links.links`.
    """

    values: Float
    masks: Array
    below: Array
    above: Array
    saddles: Array
    keys: Array
    spare: Array
    offsets: Array
    links: Links


@kernel
def new_field(height: int, width: int, links: Links) -> Field:
    """Allocate for pictures of this size."""
    stride = width + 2
    count = (height + 2) * stride
    size = height * width + 1
    offsets = np.empty(8, np.int32)
    for k in range(3):
        offsets[k] = k - 1 - stride
        offsets[6 - k] = k - 1 + stride
    offsets[3], offsets[7] = 1, -1
    return Field(
        np.full(count, np.inf),
        np.zeros(count, np.uint8),
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.empty(size, np.int32),
        np.empty((2, size), np.uint32),
        np.empty(size, np.int32),
        offsets,
        links,
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
        masks: receives bits in the order of :data:`tutelage.modalities.topology.links.RING`.
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
def point(field: Field, height: int, width: int) -> int:
    """Point every pixel to one neighbour of its component, below and above, and list the saddles.

    Args:
        field: with ``masks`` filled; receives ``below``, ``above``, ``saddles``.
        height: of the picture.
        width: of the picture.

    Returns:
        Number of saddles, in the order of storage.
    """
    links = field.links
    down = np.zeros(256, np.int32)
    up = np.zeros(256, np.int32)
    saddle = np.zeros(256, np.uint8)
    for m in range(256):
        if links.lower[m] > 0:
            down[m] = field.offsets[links.lower_steps[m, 0]]
        if links.upper[m] > 0:
            up[m] = field.offsets[links.upper_steps[m, 0]]
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
def plane_pairs(
    field: Field, count: int, holes: bool, minimum: float, births: Float, deaths: Float
) -> int:
    """Pair minima with the saddles at which their component dies, or saddles with the maxima they enclose.

    Components are joined in ascending order; holes are the components of the complement, joined in
    descending order. A hole is born when the last gap around a peak closes (the saddle) and dies when
    the peak is filled. The ring of padding is the oldest component: what is joined to it is no hole.

    Args:
        field: filled; ``below`` is used up by components, ``above`` by holes.
        count: number of saddles, sorted.
        holes: pair holes instead of components.
        minimum: a pair is kept if its life exceeds this.
        births: receives values, [H W + 1].
        deaths: receives values, [H W + 1].

    Returns:
        Number of pairs; the component of the lowest pixel is not written.
    """
    values, links = field.values, field.links
    parents = field.above if holes else field.below
    parts = links.upper if holes else links.lower
    steps = links.upper_steps if holes else links.lower_steps
    pairs = 0
    for s in range(count):
        p = field.saddles[count - 1 - s if holes else s]
        m = field.masks[p]
        here = root(parents, p)
        for k in range(1, parts[m]):
            other = root(parents, p + field.offsets[steps[m, k]])
            if other == here:
                continue
            follows = values[other] > values[here] or (
                values[other] == values[here] and other > here
            )
            young, old = (other, here) if follows != holes else (here, other)
            births[pairs] = values[p] if holes else values[young]
            deaths[pairs] = values[young] if holes else values[p]
            pairs += deaths[pairs] - births[pairs] > minimum
            parents[young] = old
            here = old
    return pairs


@kernel
def prepare(plane: Float, sign: float, field: Field) -> int:
    """Fill the working memory for one picture.

    Args:
        plane: [H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        field: working memory of this size.

    Returns:
        Number of saddles, sorted by value and then by position.
    """
    height, width = plane.shape
    load(plane, sign, field.values)
    compare(field.values, height, width, field.masks)
    count = point(field, height, width)
    ascending(field.values, field.saddles, count, field.keys, field.spare)
    return count


@kernel
def unclamp(values: Float, count: int) -> None:
    """Write infinity again where :func:`load` put the largest finite number."""
    most = np.finfo(np.float64).max
    for k in range(count):
        if values[k] >= most:
            values[k] = np.inf
