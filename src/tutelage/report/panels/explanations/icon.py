"""An input as small as a thumb nail."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.report.drawing.sheet import rgb
from tutelage.report.palette import BLUE

SIDE = 44
"""Pixels."""


def icon(picture: NDArray[Any]) -> str:
    """Return markup of an image, [channels, height, width], or of the liveliest channel of a signal."""
    if picture.ndim == 3:
        return _image(rgb(picture))
    values = np.asarray(picture, dtype=np.float64)
    line = values[int(np.ptp(values, axis=1).argmax())]
    line = line[np.linspace(0, len(line) - 1, min(len(line), 2 * SIDE)).round().astype(int)]
    scaled = (line.max() - line) / max(float(np.ptp(line)), 1e-12)
    across = np.linspace(2, SIDE - 2, len(line))
    points = " ".join(
        f"{x:.1f},{y:.1f}" for x, y in zip(across, 4 + (SIDE - 8) * scaled, strict=True)
    )
    return (
        f'<svg viewBox="0 0 {SIDE} {SIDE}" aria-hidden="true"><polyline points="{points}" fill="none" '
        f'stroke="{BLUE}" stroke-width="1.4"/></svg>'
    )


def _image(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((2 * SIDE, 2 * SIDE))
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    text = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/png;base64,{text}" alt="" width="{SIDE}" height="{SIDE}">'
