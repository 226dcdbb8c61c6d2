"""A drawing surface measured in pixels, for figures that are made of many small pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import WIDTH
from tutelage.report.palette import BLUE, INK

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""

TALLEST = 6
"""Channels that are drawn of a signal."""


@dataclass(frozen=True)
class SignalAxis:
    """What is known of the signal: samples per second or 0, and names of channels or none."""

    rate: float = 0.0
    channels: tuple[str, ...] = ()


class Sheet:
    """A figure whose coordinates are pixels from the upper left corner."""

    def __init__(self, figure: Figure, height: float) -> None:
        figure.set_layout_engine("none")
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, WIDTH)
        self.axes.set_ylim(height, 0)
        self.axes.autoscale(False)

    def text(self, left: float, top: float, text: str, **how: Any) -> None:
        """Write, by default with the baseline at ``top``."""
        self.axes.text(left, top, text, **({"color": INK} | how))

    def heading(self, left: float, top: float, text: str) -> None:
        """Write above what begins at ``top``."""
        self.text(left, top - 8, text, fontsize=12.5, fontweight="bold")

    def image(self, box: Box, values: NDArray[Any], **how: Any) -> None:
        """Draw cells; numbers take colours."""
        left, top, width, height = box
        self.axes.imshow(values, extent=(left, left + width, top + height, top), aspect="auto",
                         interpolation="none", **how)  # fmt: skip

    def picture(self, box: Box, pixels: NDArray[np.uint8]) -> Box:
        """Draw an image as large as the box allows; return where it lies."""
        left, top, width, height = box
        scale = min(width / pixels.shape[1], height / pixels.shape[0])
        taken = (left, top, scale * pixels.shape[1], scale * pixels.shape[0])
        self.image(taken, pixels)
        return taken

    def signal(self, box: Box, values: NDArray[Any], strength: float) -> list[float]:
        """Draw channels one above the other on one scale; return the height of each."""
        left, top, width, height = box
        shown = np.asarray(values[:TALLEST], dtype=np.float64)
        row = height / len(shown)
        reach = max(float(np.ptp(shown, axis=1).max()), 1e-12)
        across = left + (np.arange(shown.shape[1]) + 0.5) * width / shown.shape[1]
        middles = [top + (i + 0.5) * row for i in range(len(shown))]
        for middle, channel in zip(middles, shown, strict=True):
            centred = channel - (channel.max() + channel.min()) / 2
            self.axes.plot(
                across, middle - 0.94 * row * centred / reach, color=BLUE, linewidth=strength
            )
        return middles


def rgb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image as bytes, [height, width, 3]; values that are no bytes are stretched."""
    shown = picture[:3] if len(picture) >= 3 else np.repeat(picture[:1], 3, axis=0)
    if shown.dtype != np.uint8:
        low, high = float(shown.min()), float(shown.max())
        shown = np.rint(255 * (shown - low) / max(high - low, 1e-12)).astype(np.uint8)
    return np.moveaxis(shown, 0, 2)
