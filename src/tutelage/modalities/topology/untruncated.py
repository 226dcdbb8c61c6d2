"""Persistence images in float64 with no tail cut off, for the published recipes.

Dividing an image by its maximum shows whatever is there: where every point lies far outside of the
ranges, the published images are tails of 1e-16 to 1e-68 blown up to full scale.
"""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
from math import erfc, sqrt

import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.raster import AxisTable, ImageAxes, Rule


@kernel
def below(z: float) -> float:
    """Return the normal distribution function, losing digits only above the mean."""
    tail = 0.5 * erfc(abs(z) / sqrt(2.0))
    return 1.0 - tail if z > 0.0 else tail


@kernel
def masses(axis: AxisTable, point: float, line: Array) -> None:
    """Write the mass that a point leaves in each cell of one axis, in float64.

    Args:
        axis: the axis.
        point: position on the axis.
        line: receives [cells].
    """
    for k in range(line.size):
        edge = axis.origin + k * axis.step - point
        line[k] = below((edge + axis.width) / axis.sigma) - below(edge / axis.sigma)


@kernel
def draw_untruncated(
    births: Float,
    deaths: Float,
    count: int,
    sign: float,
    rule: Rule,
    axes: ImageAxes,
    canvas: Array,
    margin: int,
) -> None:
    """Draw a diagram point by point in float64 with no tail cut off.

    Args:
        births: ``sign`` x birth, at least [count].
        deaths: ``sign`` x death.
        count: number of points.
        sign: 1, or -1 where the values come from superlevel sets.
        rule: weights; where it normalises, the largest pixel of the canvas becomes 1, because
            float32 cannot hold what far tails leave.
        axes: both axes.
        canvas: receives [H, W + 2 margin], float32; row 0 is the lowest persistence.
        margin: columns to leave out on each side.
    """
    height = canvas.shape[0]
    width = canvas.shape[1] - 2 * margin
    exact = np.zeros((height, width))
    rows = np.empty(height)
    columns = np.empty(width)
    for p in range(count):
        life = deaths[p] - births[p]
        masses(axes.across, sign * births[p], columns)
        masses(axes.up, life, rows)
        for r in range(height):
            factor = rows[r] * (life if rule.weighted else 1.0)
            if factor > 0.0:
                for k in range(width):
                    exact[r, k] += factor * columns[k]
    most = 0.0
    for r in range(height):
        for k in range(width):
            most = max(most, exact[r, k])
    divisor = most if rule.normalize != 0 and most > 0.0 else 1.0
    for r in range(height):
        for k in range(width):
            canvas[r, margin + k] = exact[r, k] / divisor
