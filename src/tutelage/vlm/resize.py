"""Pictures resized as Pillow resizes them, in tensors: the same bytes."""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["resized"]

_PRECISION = 22  # bits that a weight is rounded to


def resized(x: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Return images of another size, antialiased, by whole numbers as Pillow does for bytes.

    Args:
        x: [B, channels, height, width] in [0, 1]; taken as bytes.
        size: new height and width.
        interpolation: ``bicubic`` or ``bilinear``.

    Returns:
        [B, channels, *size], whole numbers of 255 divided by 255.

    Source:
        Pillow's two passes, columns first: weights in double precision, rounded to 22 bits, and bytes after each.
    """
    # Sums of products of 8 and 23 bits are exact in double precision, which not every accelerator has.
    exact = x.to("cpu" if x.device.type == "mps" else x.device, torch.float64)
    levels = (exact.clamp(0, 1) * 255).round()
    for axis, new in ((3, size[1]), (2, size[0])):
        if levels.shape[axis] != new:
            # Of numbers and not of a tensor, which would belong to whoever traces or exports.
            weights = torch.tensor(
                _weights(levels.shape[axis], new, interpolation), device=levels.device
            )
            levels = (levels.transpose(axis, 3) @ weights).transpose(axis, 3)
            levels = ((levels + 2 ** (_PRECISION - 1)) / 2**_PRECISION).floor().clamp(0, 255)
    return (levels / 255).to(x)


@lru_cache(maxsize=64)
def _weights(old: int, new: int, interpolation: str) -> NDArray[np.float64]:
    """Return what each old pixel counts for each new one, [old, new], times 2^22."""
    scale = old / new
    wide = max(scale, 1.0)
    support = (2.0 if interpolation == "bicubic" else 1.0) * wide
    table = np.zeros((old, new))
    for row in range(new):
        centre = (row + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), old)
        parts = [_kernel((i - centre + 0.5) / wide, interpolation) for i in range(first, last)]
        whole = sum(parts)
        table[first:last, row] = [
            math.copysign(int(abs(p / whole) * 2**_PRECISION + 0.5), p) for p in parts
        ]
    return table


def _kernel(x: float, interpolation: str) -> float:
    """Return the weight at a distance in pixels: a triangle, or the cubic of Keys with a = -1/2."""
    x = abs(x)
    if interpolation == "bilinear":
        return max(1.0 - x, 0.0)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x < 2 else 0.0
