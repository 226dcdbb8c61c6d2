"""Pairs of birth and death of a line or of a picture, one sample after the other in the same memory."""

from typing import NamedTuple

import numpy as np

from tutelage.modalities.topology.kernel import Float, copied, kernel
from tutelage.modalities.topology.line import line_pairs
from tutelage.modalities.topology.links import Links
from tutelage.modalities.topology.plane import Field, new_field, plane_pairs, prepare


class Memory(NamedTuple):
    """Working memory for samples of one shape.

    Args:
        births: ``sign`` x birth of the pairs of the latest sample.
        deaths: ``sign`` x death.
        stack: for lines.
        field: for pictures.
    """

    births: Float
    deaths: Float
    stack: Float
    field: Field


@kernel
def new_memory(samples: Float, links: Links) -> Memory:
    """Allocate for lines [N, C, L] or pictures [N, C, H, W]."""
    # numba drops the branch that does not fit when it compiles: here, and in the functions below
    if samples.ndim == 3:
        size, length, height, width = samples.shape[2], samples.shape[2], 0, 0
    else:
        height, width = samples.shape[2:]
        size, length = height * width, 0
    field = new_field(height, width, links)
    return Memory(np.empty(size + 1), np.empty(size + 1), np.empty((3, length + 2)), field)


@copied
def load_sample(sample: Float, sign: float, memory: Memory) -> int:
    """Read a sample into the memory; return what :func:`sample_pairs` asks for.

    Args:
        sample: [L] or [H, W].
        sign: 1 for sublevel sets, -1 for superlevel sets.
        memory: of this shape.
    """
    if sample.ndim == 1:
        saddles = 0
    else:
        saddles = prepare(sample, sign, memory.field)
    return saddles


@copied
def sample_pairs(
    sample: Float, sign: float, saddles: int, dimension: int, minimum: float, memory: Memory
) -> int:
    """Write the pairs of a sample to the memory.

    Args:
        sample: [L] or [H, W], as loaded.
        sign: 1 for sublevel sets, -1 for superlevel sets.
        saddles: what :func:`load_sample` returned.
        dimension: 0 components, 1 holes (of pictures).
        minimum: pairs of smaller or equal persistence are dropped.
        memory: receives ``births`` and ``deaths``.

    Returns:
        Number of pairs.
    """
    births, deaths = memory.births, memory.deaths
    if sample.ndim == 1:
        count = line_pairs(sample, sign, minimum, memory.stack, births, deaths)
    elif dimension == 0:  # two calls with constants: each is compiled for itself
        count = plane_pairs(memory.field, saddles, False, minimum, births, deaths)
    else:
        count = plane_pairs(memory.field, saddles, True, minimum, births, deaths)
    return count
