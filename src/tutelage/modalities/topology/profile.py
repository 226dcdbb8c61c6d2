"""The integral of a normal curve over the cells of one axis, tabulated once.

On a uniform grid the mass that a point leaves in each cell depends only on where the point lies
between two grid lines. That profile is tabulated at ``PHASES`` positions with its slope, and read by
cubic Hermite interpolation: no error function is evaluated per point.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from scipy.special import ndtr

from tutelage.errors import UserError
from tutelage.modalities.topology.kernel import Array
from tutelage.modalities.topology.lanes import LANES  # profiles are padded to whole registers

REACH = 5.7  # standard deviations kept on each side: 1e-8 of the peak is cut
WIDEST = 8.0  # largest standard deviation, in widths of the axis


@dataclass(frozen=True, slots=True)
class CellRow:
    """A row of equal cells along birth or persistence.

    Args:
        origin: lower edge of the first cell, in filtration values.
        step: distance between the lower edges of neighbours.
        width: extent of one cell; equal to ``step`` unless a published grid is reproduced.
        cells: number of cells.
        sigma: standard deviation of the curve, in filtration values.
    """

    origin: float
    step: float
    width: float
    cells: int
    sigma: float

    @property
    def first(self) -> int:
        """First cell that a point reaches, counted from the cell it lies in."""
        return -floor((REACH * self.sigma + self.width) / self.step)

    @property
    def reached(self) -> int:
        """Number of cells that a point reaches."""
        return ceil(REACH * self.sigma / self.step + 1) - self.first

    @property
    def reach(self) -> int:
        """Number of cells in a profile, padded to whole registers."""
        return LANES * ceil(self.reached / LANES)

    def table(self) -> Array:
        """Return profile and slope at every phase, float32, [phases + 1, 2, reach].

        The number of phases grows as the curve gets narrower than a cell, so that the interpolation
        error stays near 3e-8 of the peak.

        Raises:
            UserError: sigma is not positive, or wider than the axis makes sense for.
        """
        phases, lower, upper = self._edges()
        # the lower tail keeps its digits; mirror cells that lie above the point into it
        value = np.where(lower > 0, ndtr(-lower) - ndtr(-upper), ndtr(upper) - ndtr(lower))
        bell = np.exp(-0.5 * lower**2) - np.exp(-0.5 * upper**2)
        slope = bell * self.step / self.sigma / np.sqrt(2 * np.pi) / phases
        return _table(value, slope, value)

    def derivative_table(self) -> Array:
        """Return the derivative of every profile by the position of its point, arranged as :meth:`table`.

        In filtration values. Differentiating the interpolation of that table instead would lose three
        digits.
        """
        phases, lower, upper = self._edges()
        low, high = (
            np.exp(-0.5 * edge**2) / np.sqrt(2 * np.pi) / self.sigma for edge in (lower, upper)
        )
        value = low - high
        slope = (lower * low - upper * high) * (self.step / self.sigma) / phases
        # both, because each of the two is 0 somewhere in the middle
        return _table(value, slope, np.maximum(np.abs(value), np.abs(slope)))

    def _edges(self) -> tuple[int, Array, Array]:
        """Return the number of phases, and the edges of a profile's cells at each, in sigmas from the point."""
        axis_width = self.step * self.cells
        if not 0 < self.sigma <= WIDEST * axis_width:
            raise UserError(
                f"PersistenceImage.sigma: found {self.sigma:g}, allowed: above 0, "
                f"at most {WIDEST:g} times the range ({WIDEST * axis_width:g})"
            )
        phases = min(max(16, ceil(24.5 * self.step / self.sigma)), 4096)
        fraction = np.arange(phases + 1)[:, None] / phases
        lower = (self.first + np.arange(self.reach)[None] - fraction) * self.step / self.sigma
        return phases, lower, lower + self.width / self.sigma


def _table(value: Array, slope: Array, size: Array) -> Array:
    # products of far tails would be subnormal numbers, which cost a hundred cycles each
    far = size < 1e-12 * np.abs(value).max()
    value[far] = 0
    slope[far] = 0
    return np.stack([value, slope], axis=1).astype(np.float32)


def axis(low: float, high: float, cells: int, sigma: float) -> CellRow:
    """Divide [low, high] into equal cells.

    Args:
        low: lower end, in filtration values.
        high: upper end, above ``low``.
        cells: number of cells.
        sigma: standard deviation, in filtration values.
    """
    step = (high - low) / cells
    return CellRow(low, step, step, cells, sigma)


def persim_axis(low: float, high: float, top: float, cells: int, sigma: float) -> CellRow:
    """Build the grid of ``persim.PersImage``, which the published recipes used.

    Its cells begin at ``linspace(low, high, cells)`` but are ``top / cells`` wide: with births in
    [-1, 1] they cover half of the axis, and the last cell lies beyond the range.

    Args:
        low: first lower edge.
        high: last lower edge.
        top: largest birth or death; fixes the width of a cell.
        cells: number of cells, at least 2.
        sigma: standard deviation, in filtration values.
    """
    return CellRow(low, (high - low) / (cells - 1), top / cells, cells, sigma)
