"""From signal or image to persistence image without leaving the processor's cache."""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
import numpy as np

from tutelage.modalities.topology.kernel import Array, Float, kernel
from tutelage.modalities.topology.links import Links
from tutelage.modalities.topology.pairs import load_sample, new_memory, sample_pairs
from tutelage.modalities.topology.raster import ImageAxes, Rule, clear, draw, finish, largest
from tutelage.modalities.topology.untruncated import draw_untruncated


@kernel
def new_canvas(height: int, width: int, axes: ImageAxes) -> tuple[Array, Array, Array]:
    """Allocate canvas, rows and columns for :func:`render`."""
    reach = axes.across.reach
    canvas = np.zeros((height, width + 2 * reach), np.float32)
    return canvas, np.empty(axes.up.reach, np.float32), np.empty(reach, np.float32)


@kernel
def render(
    births: Float,
    deaths: Float,
    count: int,
    sign: float,
    rule: Rule,
    axes: ImageAxes,
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
        canvas: zeros, see :func:`tutelage.modalities.topology.raster.draw`; left as zeros.
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
def draw_images(
    samples: Float,
    sign: float,
    rule: Rule,
    axes: ImageAxes,
    links: Links,
    images: Array,
    first: tuple[int, int],
) -> None:
    """Make one image of the components and one of the holes of every line or picture.

    Args:
        samples: [N, C, L] or [N, C, H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        rule: point filter, weights and normalisation.
        axes: both axes.
        links: construction, see :func:`tutelage.modalities.topology.links.links`.
        images: receives [N, channels, rows, columns].
        first: first channel for components and for holes; -1: not wanted.
    """
    canvas, rows, columns = new_canvas(images.shape[2], images.shape[3], axes)
    memory = new_memory(samples, links)
    births, deaths = memory.births, memory.deaths
    for n in range(samples.shape[0]):
        for c in range(samples.shape[1]):
            sample = samples[n, c]
            saddles = load_sample(sample, sign, memory)
            for dimension in range(2):
                if first[dimension] < 0:
                    continue
                count = sample_pairs(sample, sign, saddles, dimension, rule.minimum, memory)
                image = images[n, first[dimension] + c]
                render(births, deaths, count, sign, rule, axes, canvas, rows, columns, image)
