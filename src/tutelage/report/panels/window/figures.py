"""One window as signal, persistence diagram and images."""

import numpy as np
from matplotlib.axes import Axes

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import BLUE, INK, LINE, MUTED, SERIES
from tutelage.report.wording import modality, short
from tutelage.runs.example import ExampleWindow

TALLEST = 6


def example(window: ExampleWindow) -> Drawing:
    """The signal, then the diagram and the images of one channel, side by side."""
    panels = len(window.images) + (window.diagram is not None)
    with canvas(WIDTH, 268) as figure:
        widths = (1.45, *[1.0] * panels)
        grid = figure.subplots(1, 1 + panels, width_ratios=widths, squeeze=False)[0]
        _signal(grid[0], window)
        column = 1
        if window.diagram is not None:
            _diagram(grid[column], window)
            column += 1
        for axes, (name, image) in zip(grid[column:], window.images.items(), strict=True):
            _image(axes, modality(name), image[min(window.channel, len(image) - 1)])
        time = np.arange(window.signal.shape[1]) / (window.rate or 1.0)
        rows = np.column_stack([time, window.signal.T]).tolist()
        header = ("seconds" if window.rate else "sample", *window.channel_names)
        label = f"One window of {window.class_name}"
        return finish(figure, "window", label, header, rows)


def _signal(axes: Axes, window: ExampleWindow) -> None:
    """Channels one above the other, each scaled to its own range; the shown one is strong."""
    time = np.arange(window.signal.shape[1]) / (window.rate or 1.0)
    order = [window.channel] + [i for i in range(len(window.signal)) if i != window.channel]
    kept = sorted(order[:TALLEST])
    for row, channel in enumerate(kept):
        values = np.asarray(window.signal[channel], dtype=np.float64)
        scaled = (values - values.mean()) / max(float(np.ptp(values)), 1e-12)
        strong = channel == window.channel
        axes.plot(time, 0.82 * scaled - row, linewidth=1.9 if strong else 1.1,
                  color=BLUE if strong else MUTED, alpha=1 if strong else 0.75)  # fmt: skip
    axes.set_yticks([-row for row in range(len(kept))],
                    [short(window.channel_names[channel], 12) for channel in kept])  # fmt: skip
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("signal")
    axes.set_xlabel("seconds" if window.rate else "samples")
    axes.margins(x=0)


def _diagram(axes: Axes, window: ExampleWindow) -> None:
    assert window.diagram is not None
    births, deaths = (np.asarray(values, dtype=np.float64) for values in window.diagram)
    kept = np.isfinite(births) & np.isfinite(deaths)
    births, deaths = births[kept], deaths[kept]
    low = float(min(births.min(initial=0), deaths.min(initial=0)))
    high = float(max(births.max(initial=1), deaths.max(initial=1)))
    room = 0.06 * (high - low)
    axes.fill_between([low - room, high + room], [low - room] * 2, [low - room, high + room],
                      color=LINE, alpha=0.45, linewidth=0)  # fmt: skip
    axes.plot([low - room, high + room], [low - room, high + room], color=MUTED, linewidth=1)
    axes.scatter(births, deaths, s=30, color=SERIES[1], alpha=0.85, linewidths=0)
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(low - room, high + room)
    axes.set_box_aspect(1)
    axes.set_anchor("N")
    axes.set_title("persistence diagram")
    axes.set_xlabel("birth")
    axes.set_ylabel("death")


def _image(axes: Axes, name: str, image: np.ndarray) -> None:
    axes.imshow(image, cmap="viridis", origin="lower", interpolation="none", aspect="auto")
    axes.set_box_aspect(1)
    axes.set_anchor("N")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(name)
    height, width = image.shape
    axes.set_xlabel(f"{height} × {width}", color=MUTED)
    axes.tick_params(labelcolor=INK)
