"""What the eight neighbours of a pixel say about it, tabulated for all 256 cases.

A set bit means that this neighbour comes earlier in the filtration. The earlier neighbours form
the lower link, the others the upper link; a pixel with one component in each only continues what
is there. Where sublevel sets connect 8 neighbours, their complement connects 4, and the other way
round, so that a picture has no crossing of both (Jordan).
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from tutelage.modalities.topology.kernel import Array

# clockwise from the upper left; odd numbers share an edge with the pixel
RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


class Links(NamedTuple):
    """Components of the lower and the upper link for every mask.

    Args:
        lower: number of components of the lower link, [256].
        lower_steps: ring positions, one in each component, [256, 4].
        upper: number of components of the upper link, [256].
        upper_steps: as ``lower_steps``.
    """

    lower: Array
    lower_steps: Array
    upper: Array
    upper_steps: Array


@cache
def links(construction: str) -> Links:
    """Return the tables of one construction.

    Args:
        construction: ``T``: pixels are squares, sublevel sets connect 8 neighbours; ``V``: pixels
            are points, they connect 4.
    """
    eight = construction == "T"
    lower = [_components(mask, eight) for mask in range(256)]
    upper = [_components(255 - mask, not eight) for mask in range(256)]
    return Links(*_tables(lower), *_tables(upper))


def _tables(components: list[list[int]]) -> tuple[Array, Array]:
    count = np.array([len(c) for c in components], np.uint8)
    steps = np.array([[*c, 0, 0, 0, 0][:4] for c in components], np.uint8)
    return count, steps


def _components(mask: int, eight: bool) -> list[int]:
    """Return one ring position of every component that touches the pixel."""
    waiting = [k for k in range(8) if mask >> k & 1]
    positions = []
    while waiting:
        part, todo = set(), [waiting[0]]
        while todo:
            k = todo.pop()
            part.add(k)
            around = {(k + 1) % 8, (k - 1) % 8}
            if eight and k % 2:  # two edge neighbours touch across the corner between them
                around |= {(k + 2) % 8, (k - 2) % 8}
            todo += [n for n in around if n in waiting and n not in part]
        waiting = [k for k in waiting if k not in part]
        touching = sorted(part) if eight else sorted(k for k in part if k % 2)
        positions += touching[:1]
    return positions
