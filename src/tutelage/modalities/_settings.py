"""Which parameters and samples a persistence image accepts, and what follows from them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tutelage.errors import UserError
from tutelage.modalities import _extent as extent
from tutelage.modalities._numba import Array
from tutelage.modalities.base import one_of

if TYPE_CHECKING:
    from tutelage.modalities.persistence_image import PersistenceImage

SIGNS = {"sublevel": (1.0,), "superlevel": (-1.0,), "both": (1.0, -1.0)}
NORMALIZE = {"none": 0, "max": 1, "sum": 2}
WEIGHTS = ("persistence", "linear", "constant")
READINGS = ("plane", "rows", "columns", "rows+columns")
PLACE = "PersistenceImage"


def check_parameters(image: "PersistenceImage") -> None:
    """Refuse parameters that mean nothing.

    Raises:
        UserError: the sentence for the first of them.
    """
    one_of(f"{PLACE}.filtration", image.filtration, SIGNS)
    one_of(f"{PLACE}.construction", image.construction, ("T", "V"))
    one_of(f"{PLACE}.reading", image.reading, READINGS)
    one_of(f"{PLACE}.weight", image.weight, WEIGHTS)
    one_of(f"{PLACE}.normalize", image.normalize, NORMALIZE)
    one_of(f"{PLACE}.dtype", image.dtype, ("float32", "uint8"))
    one_of(f"{PLACE}.cells", image.cells, ("full", "persim"))
    if image.dtype == "uint8" and image.normalize != "max":
        raise UserError(
            f"{PLACE}.normalize: found {image.normalize!r} with dtype 'uint8', allowed: 'max', "
            "because 255 must stand for a known value"
        )
    if tuple(image.dimensions) not in ((0,), (1,), (0, 1)):
        raise UserError(
            f"{PLACE}.dimensions: found {tuple(image.dimensions)}, allowed: (0,), (1,), (0, 1)"
        )
    if not image.min_persistence >= 0:
        raise UserError(f"{PLACE}.min_persistence: found {image.min_persistence}, allowed: >= 0")
    least = 2 if image.cells == "persim" else 1
    if min(pair(image.resolution)) < least:
        raise UserError(
            f"{PLACE}.resolution: found {image.resolution}, allowed: at least {least} pixels"
        )
    check_range("birth_range", image.birth_range)
    check_range("persistence_range", image.persistence_range)


def check_range(name: str, given: Sequence[float] | None) -> None:
    """Refuse a range that is not (low, high)."""
    if given is not None and not (len(given) == 2 and given[0] < given[1]):
        raise UserError(f"{PLACE}.{name}: found {given}, allowed: (low, high), low < high")


def check_sample(sample: tuple[int, ...], image: "PersistenceImage") -> None:
    """Refuse samples that are neither signals nor pictures, and holes of lines.

    Raises:
        UserError: the sentence.
    """
    if len(sample) not in (2, 3) or 0 in sample:
        raise UserError(
            f"{PLACE}: found samples of shape {sample}, allowed: [channels, time] "
            "or [channels, height, width], none of them 0"
        )
    plane = len(sample) == 3 and image.reading == "plane"
    if not plane and tuple(image.dimensions) != (0,):
        raise UserError(
            f"{PLACE}.dimensions: found {tuple(image.dimensions)} for lines, "
            "allowed: (0,); a line has no holes"
        )


def pair(resolution: int | Sequence[int]) -> tuple[int, int]:
    """Return (rows, columns)."""
    if isinstance(resolution, Sequence):
        rows, columns = resolution
        return int(rows), int(columns)
    return int(resolution), int(resolution)


def lines(samples: Array, reading: str) -> Array:
    """Return samples as lines, [N, C, L]."""
    if reading == "columns":
        samples = np.ascontiguousarray(samples.swapaxes(2, 3))
    return samples.reshape(*samples.shape[:2], int(np.prod(samples.shape[2:])))


def span(low: float, high: float, given: Sequence[float] | None) -> tuple[float, float]:
    """Return the given range, else the one seen; a usable one where nothing or one value was seen."""
    if given is not None:
        return float(given[0]), float(given[1])
    if not low <= high:
        return 0.0, 1.0
    if low == high:
        return (0.0, 1.0) if low == 0 else (float(low) - abs(low) / 2, float(high) + abs(high) / 2)
    return float(low), float(high)


def summary(totals: Array) -> dict[str, float]:
    """Return the shares that a user should know before trusting the images."""
    points, mass = max(totals[extent.POINTS], 1.0), totals[extent.MASS] or 1.0
    return {
        "points_per_diagram": float(totals[extent.POINTS] / totals[extent.DIAGRAMS]),
        "points_outside": float(totals[extent.OUTSIDE] / points),
        "persistence_outside": float(totals[extent.MASS_OUTSIDE] / mass),
        "empty_diagrams": float(totals[extent.EMPTY] / totals[extent.DIAGRAMS]),
    }
