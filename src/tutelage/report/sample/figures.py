"""A sample with the evidence in it."""

import numpy as np
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import INK, MUTED, ORANGE, SERIES
from tutelage.report.sample.data import SampleExplanation

__all__ = ["sample_figure"]


def sample_figure(found: SampleExplanation) -> Drawing:
    """Draw the input, coloured where it speaks for the class; channels one above the other, images with a veil."""
    answer = found.class_names[found.answer]
    label = f"Evidence for {answer} in {found.of}"
    strength = found.evidence / max(float(found.evidence.max()), 1e-12)
    if found.values.ndim == 2:
        return _signal(found, strength, label)
    return _image(found, strength, label)


def _signal(found: SampleExplanation, strength: NDArray[np.float32], label: str) -> Drawing:
    channels, length = found.values.shape
    with canvas(WIDTH, 90 + 46 * channels) as figure:
        axes = figure.subplots()
        for start in range(length):
            axes.axvspan(
                start - 0.5,
                start + 0.5,
                color=ORANGE,
                alpha=0.5 * float(strength[start]),
                linewidth=0,
            )
        spread = np.maximum(found.values.std(axis=1), 1e-9)
        for number, line in enumerate(found.values):
            height = (line - line.mean()) / (4 * spread[number]) - number
            axes.plot(height, color=SERIES[number % len(SERIES)], linewidth=1.5)
        names = found.channel_names or tuple(f"channel {n}" for n in range(channels))
        axes.set_yticks([-n for n in range(channels)], names)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlim(-0.5, length - 0.5)
        axes.set_xlabel(
            f"sample; the more colour, the more it speaks for {found.class_names[found.answer]}"
        )
        rows = [[n, float(strength[n]), *map(float, found.values[:, n])] for n in range(length)]
        return finish(figure, "evidence", label, ("sample", "evidence", *names), rows)


def _image(found: SampleExplanation, strength: NDArray[np.float32], label: str) -> Drawing:
    pixels = found.values.transpose(1, 2, 0)
    low, high = float(pixels.min()), float(pixels.max())
    shown = np.clip((pixels - low) / max(high - low, 1e-9), 0, 1)
    if shown.shape[2] not in (1, 3):
        shown = shown.mean(axis=2, keepdims=True)
    with canvas(WIDTH // 2 * 2, 420) as figure:
        left, right = figure.subplots(1, 2)
        for axes, veil, title in ((left, False, "input"), (right, True, "evidence")):
            axes.imshow(shown.squeeze(), cmap="gray", interpolation="nearest")
            if veil:
                axes.imshow(strength, cmap="inferno", alpha=0.6, interpolation="bilinear")
            axes.set_title(title)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color(MUTED)
        rows = [[y, x, float(value)] for (y, x), value in np.ndenumerate(strength)]
        return finish(figure, "evidence", label, ("row", "column", "evidence"), rows)
