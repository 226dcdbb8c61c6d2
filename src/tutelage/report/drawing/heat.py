"""Cells shaded by their value."""

from collections.abc import Sequence

from matplotlib.colors import LinearSegmentedColormap

from tutelage.report.palette import BLUE, ON_DARK, ON_LIGHT, VERMILLION

SEQUENTIAL = LinearSegmentedColormap.from_list("blues", ["#f4f7fa", "#9cc8e3", BLUE, "#003f63"])
DIVERGING = LinearSegmentedColormap.from_list(
    "difference", ["#8f3e00", VERMILLION, "#f3b48a", "#f6f7f8", "#8fc1e0", BLUE, "#00486f"]
)
NUMBERS_UP_TO = 20
"""Of more classes, cells have no numbers or only some classes are shown."""


def ink_on(colour: Sequence[float]) -> str:
    """Return what can be read on a colour, (red, green, blue, ...), each from 0 to 1."""
    red, green, blue = colour[:3]
    return ON_DARK if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else ON_LIGHT
