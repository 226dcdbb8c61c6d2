"""Points of a diagram -> persistence image, by separable profiles read from a table."""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
from math import floor
from typing import NamedTuple

import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.lanes import LANES, add_lanes, blend_lanes
from tutelage.modalities.topology.pixels import store_fraction
from tutelage.modalities.topology.profile import CellRow


class AxisTable(NamedTuple):
    """One axis of an image as a kernel reads it.

    Args:
        origin: lower edge of the first cell, in filtration values.
        step: distance between the lower edges of neighbours.
        width: extent of one cell.
        sigma: standard deviation of the curve, in filtration values.
        first: first cell that a point reaches, counted from the cell it lies in.
        reached: number of cells that a point reaches.
        reach: length of a profile, padded to whole registers.
        profiles: see :meth:`tutelage.modalities.topology.profile.CellRow.table`, flat.
    """

    origin: float
    step: float
    width: float
    sigma: float
    first: int
    reached: int
    reach: int
    profiles: Array


class ImageAxes(NamedTuple):
    """Both axes of an image.

    Args:
        across: birth.
        up: persistence.
    """

    across: AxisTable
    up: AxisTable


class Rule(NamedTuple):
    """What happens to a diagram between its points and its pixels.

    Args:
        minimum: points of smaller or equal persistence are dropped, in filtration values.
        weighted: multiply each point by its persistence; else by 1.
        relative: divide these weights by the longest persistence of the diagram.
        normalize: 0 not at all, 1 by the maximum of the image, 2 by its sum.
        untruncated: an image whose maximum is below a hundredth of its heaviest point is made again
            in float64 without cutting tails, because normalising shows what was cut.
    """

    minimum: float
    weighted: bool
    relative: bool
    normalize: int
    untruncated: bool


def image_axes(across: CellRow, up: CellRow) -> ImageAxes:
    """Tabulate both axes."""
    tables = [
        AxisTable(
            float(row.origin), float(row.step), float(row.width), float(row.sigma),
            row.first, row.reached, row.reach, row.table().ravel(),
        )
        for row in (across, up)
    ]  # fmt: skip
    return ImageAxes(*tables)


@kernel
def read_profile(table: Array, fraction: float, scale: float, profile: Array) -> None:
    """Interpolate one profile between its two nearest tabulated phases.

    Args:
        table: see :meth:`tutelage.modalities.topology.profile.CellRow.table`, flat.
        fraction: position of the point inside its cell, in [0, 1).
        scale: factor on the profile (the weight of the point).
        profile: receives [K], float32.
    """
    position = fraction * (table.size // (2 * profile.size) - 1)
    phase = int(position)
    t = position - phase
    rest = 1.0 - t
    a = np.float32(scale * (1.0 + 2.0 * t) * rest * rest)
    b = np.float32(scale * t * rest * rest)
    c = np.float32(scale * t * t * (3.0 - 2.0 * t))
    d = np.float32(-scale * t * t * rest)
    reach = profile.size
    start = phase * 2 * reach
    for k in range(0, reach, LANES):
        blend_lanes(profile, k, table, start + k, reach, a, b, c, d)


@kernel
def add_patch(
    canvas: Array,
    stride: int,
    top: int,
    first: int,
    stop: int,
    left: int,
    rows: Array,
    columns: Array,
) -> None:
    """Add the outer product of two profiles to the canvas.

    Args:
        canvas: [rows x stride], float32.
        stride: canvas columns.
        top: canvas row of ``rows[0]``; may be negative.
        first: first profile row that lies on the canvas.
        stop: end of the profile rows that lie on the canvas.
        left: canvas column of ``columns[0]``.
        rows: profile along persistence.
        columns: profile along birth.
    """
    start = (top + first) * stride + left
    # narrow profiles are the common case, and half of their time would go into an inner loop
    if columns.size == LANES:
        for r in range(first, stop):
            add_lanes(canvas, start, rows[r], columns, 0)
            start += stride
    elif columns.size == 2 * LANES:
        for r in range(first, stop):
            add_lanes(canvas, start, rows[r], columns, 0)
            add_lanes(canvas, start + LANES, rows[r], columns, LANES)
            start += stride
    else:
        for r in range(first, stop):
            for k in range(0, columns.size, LANES):
                add_lanes(canvas, start + k, rows[r], columns, k)
            start += stride


@kernel
def draw(
    births: Float,
    deaths: Float,
    count: int,
    sign: float,
    weighted: bool,
    axes: ImageAxes,
    canvas: Array,
    rows: Array,
    columns: Array,
) -> tuple[int, int]:
    """Add every point of a diagram to a canvas of zeros.

    Args:
        births: ``sign`` x birth, at least [count].
        deaths: ``sign`` x death.
        count: number of points.
        sign: 1, or -1 where the values come from superlevel sets.
        weighted: multiply each point by its persistence; else by 1.
        axes: both axes.
        canvas: zeros, [H, W + 2 K], float32; row 0 is the lowest persistence. The margins of K
            columns receive what falls left and right of the image.
        rows: scratch, [M], float32.
        columns: scratch, [K], float32.

    Returns:
        First and end row that were touched.
    """
    across, up = axes.across, axes.up
    reach = columns.size
    height, stride = canvas.shape
    flat = canvas.reshape(-1)
    low, high = height, 0
    for p in range(count):
        life = deaths[p] - births[p]
        y = (life - up.origin) / up.step
        x = (sign * births[p] - across.origin) / across.step
        # a point this far away leaves nothing; also keeps the integers below in range
        if not (abs(y) < 1e9 and abs(x) < 1e9):
            continue
        cell_y = floor(y)
        cell_x = floor(x)
        top = cell_y + up.first
        left = cell_x + across.first + reach
        first = max(0, -top)
        stop = min(up.reached, height - top)
        if stop <= first or left <= 0 or left >= stride - reach:
            continue
        read_profile(up.profiles, y - cell_y, life if weighted else 1.0, rows)
        read_profile(across.profiles, x - cell_x, 1.0, columns)
        add_patch(flat, stride, top, first, stop, left, rows, columns)
        low = min(low, top + first)
        high = max(high, top + stop)
    return low, high


@kernel
def largest(canvas: Array, margin: int, low: int, high: int) -> float:
    """Return the largest pixel of rows ``low`` to ``high``.

    Compared as integers: floats >= 0 sort alike, and the loop vectorises.
    """
    bits = canvas.view(np.int32)
    best = np.int32(0)
    for r in range(low, high):
        # a slice, here and below: numba vectorises a loop only if no index can be negative
        line = bits[r, margin : canvas.shape[1] - margin]
        for k in range(line.size):
            best = max(best, line[k])
    pattern = np.empty(1, np.int32)
    pattern[0] = best
    return float(pattern.view(np.float32)[0])


@kernel
def clear(canvas: Array, low: int, high: int) -> None:
    """Set rows ``low`` to ``high`` to zero."""
    for r in range(low, high):
        line = canvas[r]
        for k in range(line.size):
            line[k] = 0


@kernel
def total(canvas: Array, margin: int, low: int, high: int) -> float:
    """Return the sum of the pixels of rows ``low`` to ``high``."""
    mass = 0.0
    for r in range(low, high):
        line = canvas[r, margin : canvas.shape[1] - margin]
        for k in range(line.size):
            mass += line[k]
    return mass


@kernel
def finish(
    canvas: Array, margin: int, low: int, high: int, normalize: int, longest: float, image: Array
) -> None:
    """Normalise a canvas into an image, highest persistence first, and clear the canvas.

    Args:
        canvas: zeros outside of rows ``low`` to ``high``; left as zeros.
        margin: columns to leave out on each side.
        low: first touched row.
        high: end of the touched rows.
        normalize: see :class:`Rule`.
        longest: divides every pixel where ``normalize`` is 0.
        image: receives [H, W], float32 or uint8.
    """
    divisor = np.float32(longest)
    if normalize == 1:
        divisor = np.float32(largest(canvas, margin, low, high))
    elif normalize == 2:
        divisor = np.float32(total(canvas, margin, low, high))
    height, width = image.shape
    if not divisor > 0.0:  # no points, or none that reaches the image
        clear(canvas, low, high)
        low = high = height
    for r in range(low, high):
        store_fraction(canvas[r, margin : margin + width], divisor, image[height - 1 - r])
    clear(image, 0, height - max(low, high))
    clear(image, height - low, height)
    clear(canvas, low, high)
