"""Units of what sensors measure, and what brings one to another."""

import math
from collections.abc import Mapping

from tutelage.errors import UserError, unknown

__all__ = ["UNITS", "factor", "standard"]

STANDARD_GRAVITY = 9.80665  # m/s2

# Of each quantity: what one of each unit is in the first, which is the one that is kept.
_QUANTITIES: tuple[Mapping[str, float], ...] = (
    {"g": 1.0, "mg": 1e-3, "m/s2": 1 / STANDARD_GRAVITY},
    {"rad/s": 1.0, "deg/s": math.pi / 180, "mdeg/s": math.pi / 180e3},
    {"uT": 1.0, "mT": 1e3, "gauss": 1e2},
    {"V": 1.0, "mV": 1e-3, "uV": 1e-6},
    {"bpm": 1.0},
    {"C": 1.0},
    {"hPa": 1.0, "Pa": 1e-2},
    {"1": 1.0},
)
UNITS = tuple(unit for quantity in _QUANTITIES for unit in quantity)
"""Every unit that is known; ``1`` stands for none."""


def standard(unit: str, place: str = "units") -> tuple[str, float]:
    """Return the unit that is kept of a quantity, and what values are multiplied by to be in it.

    Raises:
        UserError: the unit is not known.

    Examples:
        >>> standard("mg")
        ('g', 0.001)
    """
    for quantity in _QUANTITIES:
        if unit in quantity:
            return next(iter(quantity)), quantity[unit]
    raise unknown(place, "unit", unit, UNITS)


def factor(found: str, wanted: str) -> float:
    """Return what values in one unit are multiplied by to be in another.

    Raises:
        UserError: a unit is not known, or they measure different things.

    Examples:
        >>> factor("mg", "g")
        0.001
    """
    (kind, of_found), (other, of_wanted) = standard(found), standard(wanted)
    if kind != other:
        raise UserError(f"units: {found} cannot become {wanted}; they measure different things")
    return of_found / of_wanted
