"""Which parameters and samples a persistence image accepts, and what follows from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tutelage.errors import UserError
from tutelage.modalities.base import check_shape, one_of
from tutelage.modalities.topology import extent
from tutelage.modalities.topology.kernel import Array
from tutelage.modalities.topology.raster import Rule

SIGNS = {"sublevel": (1.0,), "superlevel": (-1.0,), "both": (1.0, -1.0)}
NORMALIZE = {"none": 0, "max": 1, "sum": 2}
CHOICES = {
    "filtration": tuple(SIGNS),
    "construction": ("T", "V"),
    "reading": ("plane", "rows", "columns", "rows+columns"),
    "weight": ("persistence", "linear", "constant"),
    "normalize": tuple(NORMALIZE),
    "dtype": ("float32", "uint8"),
    "cells": ("full", "persim"),
}
PLACE = "PersistenceImage"


def check_parameters(given: Mapping[str, Any]) -> None:
    """Refuse parameters that mean nothing.

    Args:
        given: all parameters of a persistence image, by name.

    Raises:
        UserError: the sentence for the first of them.
    """
    for name, allowed in CHOICES.items():
        one_of(f"{PLACE}.{name}", given[name], allowed)
    if given["dtype"] == "uint8" and given["normalize"] != "max":
        raise UserError(
            f"{PLACE}.normalize: found {given['normalize']!r} with dtype 'uint8', allowed: 'max', "
            "because 255 must stand for a known value"
        )
    if tuple(given["dimensions"]) not in ((0,), (1,), (0, 1)):
        raise UserError(
            f"{PLACE}.dimensions: found {tuple(given['dimensions'])}, allowed: (0,), (1,), (0, 1)"
        )
    if not given["min_persistence"] >= 0:
        raise UserError(f"{PLACE}.min_persistence: found {given['min_persistence']}, allowed: >= 0")
    least = 2 if given["cells"] == "persim" else 1
    if min(pair(given["resolution"])) < least:
        raise UserError(
            f"{PLACE}.resolution: found {given['resolution']}, allowed: at least {least} pixels"
        )
    for name in ("birth_range", "persistence_range"):
        check_range(name, given[name])


def rule_of(given: Mapping[str, Any]) -> Rule:
    """Return what happens between points and pixels, as kernels read it."""
    return Rule(
        float(given["min_persistence"]),
        given["weight"] != "constant",
        given["weight"] == "linear",
        NORMALIZE[given["normalize"]],
        given["cells"] == "persim",
    )


def check_range(name: str, given: Sequence[float] | None) -> None:
    """Refuse a range that is not (low, high)."""
    if given is not None and not (len(given) == 2 and given[0] < given[1]):
        raise UserError(f"{PLACE}.{name}: found {given}, allowed: (low, high), low < high")


def check_sample(sample: tuple[int, ...], reading: str, dimensions: Sequence[int]) -> None:
    """Refuse samples that are neither signals nor pictures, and holes of lines.

    Raises:
        UserError: the sentence.
    """
    check_shape(PLACE, sample)
    plane = len(sample) == 3 and reading == "plane"
    if not plane and tuple(dimensions) != (0,):
        raise UserError(
            f"{PLACE}.dimensions: found {tuple(dimensions)} for lines, "
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
