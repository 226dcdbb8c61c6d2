"""From signal or image to persistence image without leaving the processor's cache."""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
import numpy as np

from tutelage.modalities._line import line_pairs
from tutelage.modalities._links import Links
from tutelage.modalities._numba import Array, Float, kernel
from tutelage.modalities._plane import (
    components,
    holes,
    new_field,
    prepare,
)
from tutelage.modalities._raster import (
    Grid,
    Rule,
    clear,
    draw,
    finish,
    largest,
)
from tutelage.modalities._untruncated import draw_untruncated


@kernel
def render(
    births: Float,
    deaths: Float,
    count: int,
    sign: float,
    rule: Rule,
    axes: Grid,
    canvas: Array,
    rows: Array,
    columns: Array,
    image: Array,
) -> None:
    """Make one image of one diagram.

    Args:
        births: ``sign`` x birth, at least [count].
        deaths: ``sign`` x death.
        count: number of points.
        sign: 1, or -1 where the values come from superlevel sets.
        rule: weights and normalisation.
        axes: both axes.
        canvas: zeros, see :func:`tutelage.modalities._raster.draw`; left as zeros.
        rows: scratch, [M], float32.
        columns: scratch, [K], float32.
        image: receives [H, W], float32 or uint8; row 0 is the highest persistence.
    """
    margin = columns.size
    longest = 0.0
    for p in range(count):
        longest = max(longest, deaths[p] - births[p])
    low, high = draw(births, deaths, count, sign, rule.weighted, axes, canvas, rows, columns)
    if rule.untruncated and count > 0:
        heaviest = longest if rule.weighted else 1.0
        if largest(canvas, margin, low, high) < 0.01 * heaviest:
            clear(canvas, low, high)
            low, high = 0, image.shape[0]
            draw_untruncated(births, deaths, count, sign, rule, axes, canvas, margin)
    divisor = longest if rule.relative and longest > 0.0 else 1.0
    finish(canvas, margin, low, high, rule.normalize, divisor, image)


@kernel
def line_images(
    signals: Float, sign: float, rule: Rule, axes: Grid, images: Array, block: int
) -> None:
    """Make one image of every line.

    Args:
        signals: [N, C, L].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        rule: point filter, weights and normalisation.
        axes: both axes.
        images: receives channels ``block`` to ``block + C`` of [N, channels, H, W].
        block: first channel to write.
    """
    items, channels, length = signals.shape
    reach = axes.reach[0]
    height, width = images.shape[2:]
    scratch = np.empty((3, length + 2))
    births = np.empty(length + 1)
    deaths = np.empty(length + 1)
    canvas = np.zeros((height, width + 2 * reach), np.float32)
    rows = np.empty(axes.reach[1], np.float32)
    columns = np.empty(reach, np.float32)
    for n in range(items):
        for c in range(channels):
            count = line_pairs(signals[n, c], sign, rule.minimum, scratch, births, deaths)
            image = images[n, block + c]
            render(births, deaths, count, sign, rule, axes, canvas, rows, columns, image)


@kernel
def plane_images(
    planes: Float,
    sign: float,
    rule: Rule,
    axes: Grid,
    links: Links,
    images: Array,
    first: tuple[int, int],
) -> None:
    """Make one image of the components and one of the holes of every picture.

    Args:
        planes: [N, C, H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        rule: point filter, weights and normalisation.
        axes: both axes.
        links: construction, see :func:`tutelage.modalities._links.links`.
        images: receives [N, channels, rows, columns].
        first: first channel for components and for holes; -1: not wanted.
    """
    items, channels = planes.shape[:2]
    reach = axes.reach[0]
    height, width = images.shape[2:]
    size = planes.shape[2] * planes.shape[3] + 1
    births = np.empty(size)
    deaths = np.empty(size)
    offsets = np.empty(8, np.int32)
    canvas = np.zeros((height, width + 2 * reach), np.float32)
    rows = np.empty(axes.reach[1], np.float32)
    columns = np.empty(reach, np.float32)
    field = new_field(planes[0, 0])
    for n in range(items):
        for c in range(channels):
            saddles = prepare(planes[n, c], sign, field, links, offsets)
            for dimension in range(2):
                if first[dimension] < 0:
                    continue
                if dimension == 0:
                    count = components(field, saddles, links, offsets, rule.minimum, births, deaths)
                else:
                    count = holes(field, saddles, links, offsets, rule.minimum, births, deaths)
                image = images[n, first[dimension] + c]
                render(births, deaths, count, sign, rule, axes, canvas, rows, columns, image)
