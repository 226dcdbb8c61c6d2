"""What raters look at: a page with one question after the other, or pictures beside a table."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.concepts.ratings import COLUMNS, Question
from tutelage.files import replacing
from tutelage.inert import csv_cell
from tutelage.report.drawing.sheet import SignalAxis, rgb
from tutelage.report.page import environment_of
from tutelage.report.palette import BLUE, MUTED, STYLE
from tutelage.report.writing import write, writing

__all__ = ["picture_bytes", "write_pictures", "write_rating_page"]

SIDE = 224
"""Pixels of a small image, enlarged so that a person sees it."""


def write_pictures(
    asked: Sequence[Question], pictures: Mapping[str, NDArray[Any]], folder: Path, axis: SignalAxis
) -> list[Question]:
    """Write the samples of questions as .png files; return the questions with these files as samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in sorted({one.sample for one in asked}):
        with replacing(folder / f"{sample}.png") as unfinished:
            unfinished.write_bytes(picture_bytes(pictures[sample], axis))
    return [
        Question(one.kind, one.concept, one.class_name, str(folder / f"{one.sample}.png"))
        for one in asked
    ]


def write_rating_page(
    asked: Sequence[Question],
    pictures: Mapping[str, NDArray[Any]],
    path: Path,
    title: str,
    axis: SignalAxis,
) -> Path:
    """Write a page that asks, one question after the other, and gives the answers as a table.

    Args:
        asked: the questions, in their order.
        pictures: sample -> what is shown, [channels, ...].
        path: of the page; it needs no other file and no network, and keeps half-finished answers in the browser.
        title: of the page.
        axis: rate and names of channels of signals.

    Returns:
        The path.
    """
    shown = {
        sample: base64.b64encode(picture_bytes(pictures[sample], axis)).decode()
        for sample in sorted({one.sample for one in asked})
    }
    questions = [
        {"concept": one.concept, "sample": one.sample,
         "cells": [csv_cell(x) for x in (one.kind, one.concept, one.class_name, one.sample)]}
        for one in asked
    ]  # fmt: skip
    # "<" could end the script; as an escape it is the same text.
    content = json.dumps({"columns": COLUMNS, "questions": questions}).replace("<", "\\u003c")
    template = environment_of().get_template("rating.html.j2")
    html = template.render(
        title=title, content=content, shown=shown, count=len(asked), name=path.stem
    )
    with writing(path.parent):
        return write(path, html.encode())


def picture_bytes(picture: NDArray[Any], axis: SignalAxis) -> bytes:
    """Return a .png of an image, enlarged if it is small, or of a signal with its channels."""
    return _image(rgb(picture)) if picture.ndim == 3 else _signal(picture, axis)


def _image(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    times = max(1, SIDE // max(image.size))
    image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _signal(values: NDArray[Any], axis: SignalAxis) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = len(values)
    across = np.arange(values.shape[1]) / (axis.rate or 1.0)
    stream = io.BytesIO()
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(6.4, 0.6 + 0.7 * rows), layout="constrained")
        panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
        for number, (panel, channel) in enumerate(zip(panels, values, strict=True)):
            panel.plot(across, channel, color=BLUE, linewidth=1.2)
            name = axis.channels[number] if number < len(axis.channels) else f"channel {number + 1}"
            panel.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, color=MUTED)
            panel.tick_params(labelsize=8)
        panels[-1].set_xlabel("seconds" if axis.rate else "samples", fontsize=9)
        figure.savefig(stream, format="png", dpi=100, facecolor="white")
    return stream.getvalue()
