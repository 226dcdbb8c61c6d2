"""A few windows of each class, drawn."""

import numpy as np
from numpy.typing import NDArray

from tutelage.data import DataSet
from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.sheet import Box, Sheet, rgb
from tutelage.report.palette import MUTED
from tutelage.report.wording import short

EACH = 4  # windows of a class
CLASSES = 20  # that are drawn
LEFT, GAP, HEIGHT = 150, 16, 92


def shown(dataset: DataSet) -> list[tuple[int, NDArray[np.int64]]]:
    """Return the classes that are drawn, each with the samples that are: of different people where it can be."""
    found = []
    for number in range(min(CLASSES, len(dataset.class_names))):
        members = np.flatnonzero(dataset.labels == number)
        if len(members):
            found.append((number, _spread(dataset, members)))
    return found


def _spread(dataset: DataSet, members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a few samples, evenly spaced, first of each person."""
    if dataset.subjects is not None:
        people = np.unique(dataset.subjects[members])
        some = people[np.linspace(0, len(people) - 1, min(EACH, len(people))).astype(int)]
        middles = [
            mine[len(mine) // 2]
            for one in some
            if len(mine := members[dataset.subjects[members] == one])
        ]
        if len(middles) == EACH:
            return np.array(middles)
    return np.asarray(
        members[np.linspace(0, len(members) - 1, min(EACH, len(members))).astype(int)]
    )


def windows(dataset: DataSet) -> Drawing:
    """Draw a row for each class; channels one above the other, each by its own spread over all that is drawn."""
    rows = shown(dataset)
    scale = _scale(dataset, np.concatenate([samples for _, samples in rows]))
    width = (WIDTH - LEFT - (EACH - 1) * GAP) / EACH
    with canvas(WIDTH, 24 + len(rows) * (HEIGHT + 26)) as figure:
        sheet = Sheet(figure, 24 + len(rows) * (HEIGHT + 26))
        table: list[list[object]] = []
        for place, (number, samples) in enumerate(rows):
            top = 24 + place * (HEIGHT + 26)
            name = dataset.class_names[number]
            sheet.text(0, top + HEIGHT / 2, short(name, 20), fontsize=12.5, fontweight="bold")
            for column, sample in enumerate(samples.tolist()):
                box = (LEFT + column * (width + GAP), top, width, HEIGHT)
                _sample(sheet, dataset, sample, box, scale)
                table.append([name, sample, _whose(dataset, sample)])
        label = f"Windows of {len(rows)} classes of {dataset.name}"
        return finish(figure, "windows", label, ("class", "sample", "subject"), table)


def _scale(dataset: DataSet, samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the spread of every channel within the windows of these samples, [C, 1]; 1 where nothing moves."""
    spread = (
        np.asarray(dataset.inputs[samples], np.float64).std(axis=-1, keepdims=True).mean(axis=0)
    )
    return np.where(spread > 0, spread, 1.0)


def _sample(
    sheet: Sheet, dataset: DataSet, sample: int, box: Box, scale: NDArray[np.float64]
) -> None:
    left, top, _, height = box
    if dataset.modality == "image":
        sheet.picture(box, rgb(np.asarray(dataset.inputs[sample])))
    else:
        sheet.signal(box, dataset.inputs[sample] / scale, 0.9)
    text = short(_whose(dataset, sample), 28)
    sheet.text(left, top + height + 14, text, fontsize=9.5, color=MUTED)


def _whose(dataset: DataSet, sample: int) -> str:
    if dataset.subjects is None:
        return f"sample {sample}"
    session = "" if dataset.sessions is None else f", {dataset.sessions[sample]}"
    return f"{dataset.subjects[sample]}{session}, sample {sample}"
