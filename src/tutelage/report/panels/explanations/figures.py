"""What concepts did for one sample: bars of how far each moved its prediction, and where it did so."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from tutelage.interpret.places import place_of
from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.heat import DIVERGING
from tutelage.report.drawing.sheet import TALLEST, Box, Sheet, SignalAxis, rgb
from tutelage.report.palette import BLUE, INK, MUTED, ON_LIGHT, VERMILLION
from tutelage.report.panels.explanations.accounts import Account, ConceptPart
from tutelage.report.wording import plural, short, signed

MAPS = 6
"""In a row."""
KEY, HEADING, ROW, CHANNEL, TICKS = 30, 28, 22, 24, 40
"""Pixels: the key, a heading, a bar or a strip, a channel, below a time axis."""
LETTER = 6.7
"""Pixels of a letter of a name."""
PICTURE, WINDOW, BARS = 200, 300, 300
"""Pixels: the side of an image, the width of a signal and of bars that stand beside others."""


def sample(
    account: Account, picture: NDArray[Any], classes: Sequence[str], axis: SignalAxis, name: str
) -> Drawing:
    """One sample: what the network reads, how far each concept moved its prediction, and where."""
    rows = len(account.parts) + 2
    strips = picture.ndim == 2 and any(_timed(part) for part in account.parts)
    maps = [] if strips or picture.ndim == 2 else _mapped(account)
    height = KEY + HEADING + 8.0
    if strips:
        height += _tall(picture) + TICKS + HEADING + ROW * rows
    else:
        height += max(PICTURE, ROW * rows) + ((HEADING + 24 + _side() + 22) if maps else 0)
    with canvas(WIDTH, round(height)) as figure:
        sheet = Sheet(figure, round(height))
        _key(figure, height, classes[account.first], classes[account.rival])
        if strips:
            _stacked(sheet, account, picture, axis)
        else:
            _beside(sheet, account, picture, maps)
        header = ("sample", "stream", "concept", "place", "to_prediction_minus_to_rival")
        drawn = [(account.sample, part.stream, part.name, position, f"{value:.6g}")
                 for part in account.parts for position, value in enumerate(part.moved)]  # fmt: skip
        label = f"What concepts did for sample {account.sample}"
        return finish(figure, name, label, header, drawn)


def _key(figure: Figure, height: float, first: str, rival: str) -> None:
    marks = [Patch(facecolor=BLUE), Patch(facecolor=VERMILLION)]
    names = [f"towards {short(first, 44)}", f"towards {short(rival, 44)}"]
    figure.legend(marks, names, loc="upper left", ncols=2, handlelength=1.2, borderpad=0,
                  borderaxespad=0, bbox_to_anchor=(0, 1 - 5 / height))  # fmt: skip


def _timed(part: ConceptPart) -> bool:
    return len(part.space) == 1 and part.placed


def _mapped(account: Account) -> list[ConceptPart]:
    """Return the concepts that are drawn on an image: those with places along its axes."""
    return [part for part in account.parts if part.placed and len(part.space) == 2][:MAPS]


def _side() -> float:
    return WIDTH / MAPS - 16


def _beside(
    sheet: Sheet, account: Account, picture: NDArray[Any], maps: Sequence[ConceptPart]
) -> None:
    """Draw the bars, the input right of them, and the strongest concepts on the input below.

    Bars stand on the left, so that a narrow screen shows them without scrolling.
    """
    top = float(KEY + HEADING)
    names = _column([name for name, _ in _rows(account)], 330)
    width = PICTURE if picture.ndim == 3 else WINDOW
    left = float(WIDTH - width)
    sheet.heading(names, top, "how far")
    _bars(sheet, account, (names, top, left - names - 40, ROW))
    sheet.heading(left, top, "input")
    if picture.ndim == 3:
        sheet.picture((left, top, width, PICTURE), rgb(picture))
    else:
        sheet.signal((left, top, width, PICTURE), picture, 1.2)
    below = top + max(PICTURE, ROW * (len(account.parts) + 2)) + HEADING + 16
    reach = max((float(np.abs(part.moved).max()) for part in maps), default=1.0)
    for number, part in enumerate(maps):
        left = number * WIDTH / MAPS
        sheet.heading(left, below, short(part.label, 21))
        box = sheet.picture((left, below, _side(), _side()), painted(picture, part, reach))
        _outline(sheet, box, part)
        sheet.text(
            left,
            below + box[3] + 16,
            f"{signed(part.total, 2)} in all places",
            fontsize=11,
            color=MUTED,
        )


def _stacked(sheet: Sheet, account: Account, picture: NDArray[Any], axis: SignalAxis) -> None:
    """Draw the signal, below it when each concept moved the prediction, left of that how far.

    Bars stand beside the names, so that a narrow screen shows them without scrolling.
    """
    names = _column([name for name, _ in _rows(account)], 230)
    left, height, top = names + BARS + 24, _tall(picture), float(KEY + HEADING)
    width = WIDTH - left - 20
    sheet.heading(left, top, "input")
    middles = sheet.signal((left, top, width, height), picture, 1.3)
    for text, middle in zip(axis.channels, middles, strict=False):
        sheet.text(
            left - 10, middle, short(text, 14), ha="right", va="center", fontsize=12, color=MUTED
        )
    end = picture.shape[1] / (axis.rate or 1)
    _time(sheet, (left, top + height, width, TICKS), end, bool(axis.rate))
    below = top + height + TICKS + HEADING
    sheet.heading(names, below, "how far")
    sheet.heading(left, below, "when")
    placed = [float(np.abs(part.moved).max()) for part in account.parts if part.placed]
    reach = max(*placed, 1e-12)
    for row, part in enumerate(account.parts):
        if not part.placed:
            sheet.text(left, below + (row + 0.5) * ROW, "in the whole window", va="center", fontsize=11,
                       color=MUTED)  # fmt: skip
            continue
        box = (left, below + row * ROW + 1, width, ROW - 3)
        sheet.image(box, part.moved[None], cmap=DIVERGING, vmin=-reach, vmax=reach)
        _outline(sheet, box, part)
    _bars(sheet, account, (names, below, BARS, ROW))


def _time(sheet: Sheet, box: Box, end: float, seconds: bool) -> None:
    left, top, width, _ = box
    digits = 0 if end >= 20 or not seconds else 1 if end >= 8 else 2
    for part in np.linspace(0, 1, 5):
        sheet.text(
            left + part * width,
            top + 14,
            f"{part * end:.{digits}f}",
            ha="center",
            fontsize=11,
            color=MUTED,
        )
    sheet.text(left + width / 2, top + 31, "seconds" if seconds else "samples", ha="center", fontsize=11,
               color=MUTED)  # fmt: skip


def _rows(account: Account) -> list[tuple[str, float]]:
    """Return names and lengths of the bars."""
    rows = [(part.label, part.total) for part in account.parts]
    if account.many:
        rows.append(
            (plural(account.many, "other concept"), float(account.others[0] - account.others[1]))
        )
    return [*rows, ("no concept", float(account.rest[0] - account.rest[1]))]


def _bars(sheet: Sheet, account: Account, box: Box) -> None:
    """Draw how far each concept moved the prediction away from its rival; the last rows are what is left.

    Args:
        sheet: the figure.
        account: of the sample.
        box: of the bars, right of their names; its height is that of a row.
    """
    left, top, width, height = box
    rows = _rows(account)
    values = np.array([value for _, value in rows])
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    # Room for a number on each side that has bars.
    before, behind = (52 if low else 6), (52 if high else 6)
    scale = (width - before - behind) / max(high - low, 1e-12)
    zero = left + before - low * scale
    for row, (name, value) in enumerate(rows):
        middle, long = top + (row + 0.5) * height, value * scale
        colour = BLUE if value >= 0 else VERMILLION
        sheet.axes.add_patch(Rectangle((zero, middle - 7), long, 14, facecolor=colour, linewidth=0))
        sheet.text(zero + long + (5 if value >= 0 else -5), middle, signed(value, 2),
                   ha="left" if value >= 0 else "right", va="center", fontsize=11.5)  # fmt: skip
        quiet = row >= len(account.parts)
        sheet.text(left - 10, middle, short(name, 48), ha="right", va="center", fontsize=12,
                   color=MUTED if quiet else INK)  # fmt: skip
    sheet.axes.plot([zero, zero], [top, top + height * len(rows)], color=MUTED, linewidth=1)


def _outline(sheet: Sheet, box: Box, part: ConceptPart) -> None:
    """Outline the places where the data annotate a concept; a border between two of them is not drawn."""
    if part.marked is None:
        return
    grid = np.pad(np.atleast_2d(part.marked.reshape(part.space)), 1)
    left, top, width, height = box
    down, right = height / (grid.shape[0] - 2), width / (grid.shape[1] - 2)
    for i, j in np.argwhere(grid[:-1] != grid[1:]):
        x, y = left + (j - 1) * right, top + i * down
        sheet.axes.plot(
            [x, x + right], [y, y], color=ON_LIGHT, linewidth=1.4, solid_capstyle="round"
        )
    for i, j in np.argwhere(grid[:, :-1] != grid[:, 1:]):
        x, y = left + j * right, top + (i - 1) * down
        sheet.axes.plot(
            [x, x], [y, y + down], color=ON_LIGHT, linewidth=1.4, solid_capstyle="round"
        )


def _column(names: Sequence[str], widest: float) -> float:
    return min(max(LETTER * max(map(len, names), default=0) + 14, 96), widest)


def _tall(picture: NDArray[Any]) -> float:
    return CHANNEL * min(len(picture), TALLEST) + 14


def painted(picture: NDArray[Any], part: ConceptPart, reach: float) -> NDArray[np.uint8]:
    """Return a picture in grey with what a concept moved laid over it, place by place, [height, width, 3].

    Args:
        picture: [channels, height, width].
        part: with places along its axes.
        reach: what is painted fully.
    """
    pixels = rgb(picture)
    grey = 90 + 0.62 * (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]
    moved = part.moved[place_of(pixels.shape[:2], part.space).numpy()] / max(reach, 1e-12)
    strength = 0.85 * np.clip(np.abs(moved), 0, 1)[..., None] ** 0.7
    colour = 255 * np.asarray(DIVERGING(0.5 + 0.34 * np.sign(moved)))[..., :3]
    blended: NDArray[np.uint8] = np.rint((1 - strength) * grey + strength * colour).astype(np.uint8)
    return blended
