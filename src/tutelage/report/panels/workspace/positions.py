"""Which slot binds which part of a window: strips under the signal, small maps of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.heat import NUMBERS_UP_TO, SEQUENTIAL
from tutelage.report.drawing.sheet import SignalAxis
from tutelage.report.palette import BLUE, INK, MUTED, PAPER
from tutelage.report.panels.workspace.data import Slots, by_class, times_even
from tutelage.report.wording import minus, short

Floats = NDArray[np.float64]

WINDOWS, TALLEST, MAPS = 3, 6, 5
"""Windows that are shown; channels that are drawn of one; maps in a row."""
LEFT, GAP, KEY, HEADING, TICKS = 92, 22, 34, 27, 42
"""Pixels: beside the first window, between windows, for the key, for a heading, below a time axis."""
LINE, CHANNEL, LARGEST = 15, 22, 74
"""Pixels: a slot's strip, a channel, the side of a map."""
SIDES: tuple[Literal["left", "center", "right"], ...] = ("left", "center", "right")


@dataclass(frozen=True)
class _Sheet:
    """A figure on which axes are placed by pixels from the upper left corner.

    Args:
        figure: without a layout of its own.
        height: of the figure.
        norm: of the colours of strips and maps.
        end: of the time axis of a window.
    """

    figure: Figure
    height: float
    norm: Normalize
    end: float = 1.0

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes without frame or marks."""
        box = (
            left / WIDTH,
            1 - (top + height) / self.height,
            width / WIDTH,
            height / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return axes

    def heading(self, left: float, top: float, text: str, size: float = 12.5) -> None:
        """Write above a row that begins at ``top``."""
        self.figure.text(left / WIDTH, 1 - (top - 7) / self.height, text, fontsize=size,
                         fontweight="bold", color=INK)  # fmt: skip


def chosen(slots: Slots) -> list[int]:
    """Return positions in ``examples``: the first window of a few classes, evenly spread over those there are."""
    labels = slots.samples.labels[slots.samples.examples]
    classes = np.unique(labels)
    spread = np.linspace(0, len(classes) - 1, min(WINDOWS, len(classes))).round().astype(int)
    return [int(np.flatnonzero(labels == classes[i])[0]) for i in np.unique(spread)]


def sources(slots: Slots) -> dict[str, Floats]:
    """Return what is drawn under a window: heading -> [n, K, ...], an even use is 1; strips before maps."""
    own = {} if slots.own_positions is None else {"read by the student": slots.own_positions}
    every = own | {f"bound from {name}": values for name, values in slots.positions.items()}
    return {head: times_even(v) for head, v in sorted(every.items(), key=lambda item: item[1].ndim)}


def windows(slots: Slots, axis: SignalAxis, name: str) -> Drawing:
    """A few windows; under each, for every source, where each slot is active."""
    picked, parts = chosen(slots), sources(slots)
    inputs = slots.samples.inputs[picked]
    at = [int(slots.samples.examples[i]) for i in picked]
    column = (WIDTH - LEFT - 8 - GAP * (WINDOWS - 1)) / WINDOWS
    heights = [_top(inputs)] + [_height(values, column) for values in parts.values()]
    total = KEY + sum(heights) + HEADING * len(heights) + (TICKS if inputs.ndim == 3 else 8)
    with canvas(WIDTH, round(total)) as figure:
        figure.set_layout_engine("none")
        end = inputs.shape[2] / (axis.rate or 1) if inputs.ndim == 3 else 1.0
        sheet = _Sheet(figure, round(total), _norm([values[at] for values in parts.values()]), end)
        _key(sheet, LEFT)
        last = sum(values.ndim == 3 for values in parts.values()) if inputs.ndim == 3 else -1
        top = float(KEY)
        for row, (head, height) in enumerate(zip(["", *parts], heights, strict=True)):
            top += HEADING
            sheet.heading(LEFT, top, head)
            for number, i in enumerate(at):
                left = LEFT + number * (column + GAP)
                if head:
                    axes = _draw(sheet, (left, top, column), parts[head][i], named=not number)
                else:
                    sheet.heading(left, top, short(slots.classes[slots.samples.labels[i]], 28), 13)
                    axes = sheet.axes(left, top, column, height)
                    _input(axes, inputs, number, axis.channels, end)
                axes.tick_params(axis="x", labelbottom=row == last)
                if row == last:
                    axes.set_xlabel("seconds" if axis.rate else "samples")
            top += height + (TICKS if row == last else 0)
        header = ("class", "sample", "what", "slot_or_channel", "position", "value")
        label = f"Places of the slots in a few windows, {slots.run.stage}"
        return finish(figure, name, label, header, _rows(slots, picked, parts))


def over_time(slots: Slots, name: str) -> Drawing | None:
    """Where each slot of the student is active, mean over the windows of each class; None without places."""
    if slots.own_positions is None:
        return None
    labels, left = slots.samples.labels, 24
    mean = by_class(times_even(slots.own_positions), labels, len(slots.classes))
    kept = [int(c) for c in np.unique(labels)][:NUMBERS_UP_TO]
    columns = 4 if mean.ndim == 3 else 2
    column = (WIDTH - left - 8 - GAP * (columns - 1)) / columns
    each = _height(mean, column) + HEADING + (26 if mean.ndim == 3 else 8)
    total = round(KEY + -(-len(kept) // columns) * each)
    with canvas(WIDTH, total) as figure:
        figure.set_layout_engine("none")
        sheet = _Sheet(figure, total, _norm([mean[kept]]))
        _key(sheet, left)
        for number, c in enumerate(kept):
            x = left + number % columns * (column + GAP)
            y = KEY + number // columns * each + HEADING
            sheet.heading(x, y, short(slots.classes[c], 24))
            axes = _draw(sheet, (x, y, column), mean[c], named=not number % columns)
            if mean.ndim == 3:
                axes.set_xticks([0, 0.5, 1], ["start", "middle", "end"])
                for text, side in zip(axes.get_xticklabels(), SIDES, strict=True):
                    text.set_horizontalalignment(side)
        drawn = [(slots.classes[c], k + 1, p, value)
                 for c in range(len(slots.classes)) for k in range(slots.count)
                 for p, value in enumerate(mean[c, k].ravel())]  # fmt: skip
        label = f"Places of the student's slots by class, {slots.run.stage}"
        header = ("class", "slot", "position", "times_even_use")
        return finish(figure, name, label, header, drawn)


def _norm(parts: Sequence[Floats]) -> Normalize:
    values = np.concatenate([part.ravel() for part in parts]) if parts else np.ones(1)
    return Normalize(0, max(2.0, float(np.quantile(values[np.isfinite(values)], 0.995))))


def _height(values: Floats, column: float) -> float:
    """Return the pixels of K strips or maps, [n, K, ...]."""
    slots = int(values.shape[1])
    if values.ndim == 3:
        return max(LINE * slots, 40)
    return -(-slots // MAPS) * (_side(slots, column) + 20)


def _side(slots: int, column: float) -> float:
    return min(column / min(slots, MAPS) - 6, LARGEST)


def _top(inputs: Floats) -> float:
    return CHANNEL * min(int(inputs.shape[1]), TALLEST) + 10 if inputs.ndim == 3 else 150


def _input(axes: Axes, inputs: Floats, number: int, channels: Sequence[str], end: float) -> None:
    """Draw what the student reads; a channel has one scale in all windows, so that stillness looks still."""
    if inputs.ndim > 3:
        _picture(axes, inputs[number])
        return
    many, length = min(inputs.shape[1], TALLEST), inputs.shape[2]
    reach = np.maximum(np.ptp(inputs, axis=2).max(axis=0), 1e-12)
    time = (np.arange(length) + 0.5) * end / length
    for row, values in enumerate(inputs[number, :many]):
        axes.plot(
            time, 0.95 * (values - values.mean()) / reach[row] - row, color=BLUE, linewidth=1.4
        )
    axes.set_xlim(0, end)
    axes.set_ylim(-many + 0.3, 0.7)
    known = [short(text, 12) for text in channels] or [f"channel {i + 1}" for i in range(many)]
    axes.set_yticks([-row for row in range(many)], [""] * many if number else known[:many])


def _picture(axes: Axes, values: Floats) -> None:
    shown = values[:3] if len(values) >= 3 else values[:1]
    low, high = shown.min(), shown.max()
    shown = np.moveaxis((shown - low) / max(high - low, 1e-12), 0, 2)
    axes.imshow(shown if shown.shape[2] == 3 else shown[..., 0], cmap="gray", interpolation="none")
    axes.set_anchor("W")
    axes.set_axis_off()


def _draw(sheet: _Sheet, box: tuple[float, float, float], values: Floats, *, named: bool) -> Axes:
    """Draw the strips of one window, [K, positions], or its maps, [K, height, width]; return the last axes."""
    return (
        _strips(sheet, box, values, named=named) if values.ndim == 2 else _maps(sheet, box, values)
    )


def _strips(sheet: _Sheet, box: tuple[float, float, float], values: Floats, *, named: bool) -> Axes:
    left, top, width = box
    slots = len(values)
    axes = sheet.axes(left, top, width, _height(values[None], width))
    axes.imshow(values, cmap=SEQUENTIAL, norm=sheet.norm, aspect="auto", interpolation="none",
                extent=(0, sheet.end, slots + 0.5, 0.5))  # fmt: skip
    for k in range(1, slots):
        axes.axhline(k + 0.5, color=PAPER, linewidth=1.5)
    axes.set_yticks(range(1, slots + 1), [str(k) if named else "" for k in range(1, slots + 1)])
    return axes


def _maps(sheet: _Sheet, box: tuple[float, float, float], values: Floats) -> Axes:
    left, top, width = box
    in_a_row = min(len(values), MAPS)
    side = _side(len(values), width)
    for k, value in enumerate(values):
        x, y = left + k % in_a_row * width / in_a_row, top + k // in_a_row * (side + 20)
        axes = sheet.axes(x, y, side, side)
        axes.imshow(value, cmap=SEQUENTIAL, norm=sheet.norm, interpolation="none", origin="lower")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(str(k + 1), fontsize=11, labelpad=2)
    return axes


def _key(sheet: _Sheet, left: float) -> None:
    top = float(sheet.norm.vmax or 2)
    named = {
        "not used": 0.0,
        "as an even use of all": 1.0,
        f"{minus(top, 1)} times that, or more": top,
    }
    marks = [Patch(facecolor=SEQUENTIAL(sheet.norm(value)), edgecolor=MUTED, linewidth=0.5)
             for value in named.values()]  # fmt: skip
    sheet.figure.legend(marks, list(named), loc="upper left", ncols=3, handlelength=1.2, borderpad=0,
                        borderaxespad=0, bbox_to_anchor=(left / WIDTH, 1 - 6 / sheet.height))  # fmt: skip


def _rows(
    slots: Slots, picked: Sequence[int], parts: Mapping[str, Floats]
) -> list[tuple[object, ...]]:
    samples = slots.samples
    rows: list[tuple[object, ...]] = []
    for i in picked:
        at = int(samples.examples[i])
        shown = {"input": samples.inputs[i], **{head: values[at] for head, values in parts.items()}}
        rows += [(slots.classes[samples.labels[at]], samples.index[at], head, k + 1, p, value)
                 for head, values in shown.items() for k, row in enumerate(values)
                 for p, value in enumerate(row.ravel())]  # fmt: skip
    return rows
