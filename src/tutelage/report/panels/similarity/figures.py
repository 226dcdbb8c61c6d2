"""Similarity maps: one row for each feature, one column for each network, the merged map among them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.heat import SEQUENTIAL
from tutelage.report.palette import MUTED
from tutelage.report.panels.similarity.data import NamedMap
from tutelage.report.wording import short, significant
from tutelage.runs.similarity import SimilarityMaps

MOST = 5
"""Networks in the figure, beside the merged map."""
HEADER = ("feature", "network", "sample")
"""Then follow the samples that it is compared with; values are kept in half precision."""
MERGED = "merged"

Rows = list[tuple[object, ...]]


def similarity_maps(found: SimilarityMaps, columns: Sequence[NamedMap]) -> Drawing:
    """Return the figure with the data that are drawn."""
    taps = len(found.header.taps)
    height = 40 + taps * (round((WIDTH - 60) / max(4, len(columns))) + 26)
    with canvas(WIDTH, height) as figure:
        rows = paint_similarity(figure, found, columns)
        label = "Which test samples networks find alike, one map for each network and feature"
        return finish(figure, "similarity", label, (*HEADER, *map(str, found.index)), rows)


def paint_similarity(figure: Figure, found: SimilarityMaps, columns: Sequence[NamedMap]) -> Rows:
    """Draw the maps into a figure of any size and return what is drawn, a row for each row of a map."""
    header, rows = found.header, Rows()
    grid = figure.subplots(len(header.taps), len(columns), squeeze=False)
    borders = np.flatnonzero(np.diff(found.labels)) + 0.5
    first = {(one.stage, one.tap): one.distance for one in header.distances
             if (one.fold, one.seed) == (header.fold, header.seed)}  # fmt: skip
    for t, tap in enumerate(header.taps):
        top = max(float(np.quantile(one.maps[t], 0.99)) for one in columns)
        for axes, one in zip(grid[t], columns, strict=True):
            axes.imshow(one.maps[t], cmap=SEQUENTIAL, vmin=0, vmax=top, interpolation="nearest")
            axes.set_xticks(borders, [""] * len(borders))
            axes.set_yticks(borders, [""] * len(borders))
            if t == 0:
                axes.set_title(MERGED if one.stage is None else short(one.stage, 14))
            if one.stage is not None:
                axes.set_xlabel(significant(first[one.stage, tap]), color=MUTED)
            name = MERGED if one.stage is None else one.stage
            rows += [
                (tap, name, int(sample), *(str(np.float16(value)) for value in line))
                for sample, line in zip(found.index, one.maps[t], strict=True)
            ]
        grid[t, 0].set_ylabel(tap)
    return rows
