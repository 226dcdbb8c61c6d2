"""What a concept looks like: the samples that are most about it, a row for each concept."""

import textwrap
from collections.abc import Sequence

import numpy as np
import torch

from tutelage.interpret import overlay
from tutelage.interpret.places import enlarged
from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.heat import SEQUENTIAL
from tutelage.report.drawing.sheet import Box, Sheet, rgb
from tutelage.report.palette import MUTED
from tutelage.report.panels.explanations.accounts import label_of
from tutelage.report.wording import short
from tutelage.runs.explanations import Explanations, StoredStream

CELL, LOW, NAMES = 104, 62, 172
"""Pixels: an image and a signal, the column of names."""
FLOOR = 0.5
"""Attention to an image that is not above this is not drawn, as in the published figures."""


def gallery(
    explanations: Explanations, name: str, classes: Sequence[str], figure_name: str
) -> Drawing:
    """The concepts of a stream that move classes most, a row each: the samples that attend to them most."""
    stream = explanations.streams[name]
    signal = explanations.inputs[int(stream.gallery[0, 0])].ndim == 2
    side = LOW if signal else CELL
    each, columns = side + 30, stream.gallery.shape[1]
    width = (WIDTH - NAMES) / columns
    height = round(each * len(stream.shown)) + 4
    with canvas(WIDTH, height) as figure:
        sheet = Sheet(figure, height)
        for row, concept in enumerate(stream.shown.tolist()):
            top = 4.0 + row * each
            _named(sheet, top, label_of(explanations, name, concept), float(stream.use[concept]))
            for column in range(columns):
                left = NAMES + column * width
                _example(
                    sheet,
                    (left, top, width - 14 if signal else side, side),
                    explanations,
                    stream,
                    (row, column),
                )
                text = short(classes[int(stream.gallery_labels[row, column])], int((width - 8) / 6))
                sheet.text(left, top + side + 14, text, fontsize=10.5, color=MUTED)
        header = ("stream", "concept", "use", "rank", "sample", "class")
        drawn = [(name, stream.names[concept], stream.use[concept], column + 1, int(stream.gallery[row, column]),
                  classes[int(stream.gallery_labels[row, column])])
                 for row, concept in enumerate(stream.shown.tolist()) for column in range(columns)]  # fmt: skip
        label = f"Samples that attend to each concept most, stream {name}"
        return finish(figure, figure_name, label, header, drawn)


def _named(sheet: Sheet, top: float, text: str, use: float) -> None:
    lines = textwrap.wrap(text, 22, max_lines=3, placeholder=" …")
    for number, line in enumerate(lines):
        sheet.text(0, top + 14 + 16 * number, line, fontsize=12, fontweight="bold")
    sheet.text(0, top + 16 + 16 * len(lines), f"moves {use:.2f}", fontsize=11, color=MUTED)


def _example(
    sheet: Sheet, box: Box, explanations: Explanations, stream: StoredStream, at: tuple[int, int]
) -> None:
    """Draw one sample of a gallery, bright where the concept is attended to."""
    picture = explanations.inputs[int(stream.gallery[at])]
    heat = None if stream.heat is None else stream.heat[at].reshape(stream.space)
    left, top, width, height = box
    if picture.ndim == 2:
        strip = 0 if heat is None else 9
        sheet.signal((left, top, width, height - strip - 3), picture, 0.9)
        if heat is not None:
            sheet.image((left, top + height - strip, width, strip), heat.reshape(1, -1), cmap=SEQUENTIAL, vmin=0,
                        vmax=1)  # fmt: skip
        return
    pixels = rgb(picture)
    if heat is not None and heat.ndim == 2:
        kept = torch.from_numpy(np.where(heat > FLOOR, heat, 0.0))[None, None]
        smooth = enlarged(kept, pixels.shape[:2])[0, 0].numpy()
        pixels = np.moveaxis(overlay(np.moveaxis(pixels, 2, 0), smooth), 0, 2)
    sheet.picture(box, pixels)
