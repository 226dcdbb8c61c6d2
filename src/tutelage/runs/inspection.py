"""What objectives show of some validation samples after the last epoch."""

import tokenize
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError

OWN = ("index", "labels", "examples", "inputs")
"""Arrays of the file itself; every other is what an objective shows."""

DAMAGED = (ValueError, KeyError, OSError, EOFError, SyntaxError, RuntimeError, MemoryError, BadZipFile, zlib.error,
           tokenize.TokenError)  # fmt: skip
"""What NumPy and zip raise of a compressed archive with wrong bytes."""


@dataclass(frozen=True)
class Inspection:
    """Inner values of n validation samples.

    Args:
        index: [n], sample ids.
        labels: [n], their classes.
        examples: [m], positions in ``index`` of the samples whose inputs are kept.
        inputs: [m, channels, ...], as the student reads them.
        values: ``<objective>.<name>`` -> [n, ...].
    """

    index: NDArray[Any]
    labels: NDArray[np.int64]
    examples: NDArray[np.int64]
    inputs: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]


def read_inspection(path: Path, classes: int, known: Mapping[int, int] | None) -> Inspection | None:
    """Read ``inspection.npz``, or return None where nothing was shown; nothing is unpickled.

    Args:
        path: the file.
        classes: C.
        known: class of each validation sample by id, or None where no predictions tell.

    Raises:
        UserError: the file is damaged, or contradicts itself or the predictions.
    """
    found = _read(path)
    if found is not None:
        _check_shapes(found, path)
        _check_values(found, classes, path)
        _check_labels(found, known, path)
    return found


def _read(path: Path) -> Inspection | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            own = {name: stored[name] for name in OWN}
            return Inspection(
                own["index"],
                own["labels"].astype(np.int64),
                own["examples"].astype(np.int64),
                own["inputs"].astype(np.float64),
                {name: stored[name].astype(np.float64) for name in stored.files if name not in OWN},
            )
    except DAMAGED as error:
        raise UserError(f"{path}: not a file of inspected samples ({error})") from None


def _check_shapes(found: Inspection, path: Path) -> None:
    n, kept = found.labels.size, found.examples.size
    for name, shape in {"index": found.index.shape, "labels": found.labels.shape}.items():
        if shape != (n,):
            raise UserError(f"{path}: {name} is {shape}, but there are {n} labels")
    if found.inputs.shape[:1] != (kept,) or found.examples.shape != (kept,):
        raise UserError(f"{path}: inputs is {found.inputs.shape}, but there are {kept} examples")
    for name, values in found.values.items():
        if values.shape[:1] != (n,):
            raise UserError(f"{path}: {name} is {values.shape}, but there are {n} samples")


def _check_values(found: Inspection, classes: int, path: Path) -> None:
    ends = {"labels": classes, "examples": len(found.labels)}
    for name, at in {"labels": found.labels, "examples": found.examples}.items():
        if not ((at >= 0) & (at < ends[name])).all():
            raise UserError(f"{path}: {name} must lie between 0 and {ends[name] - 1}")
    for name, values in {"inputs": found.inputs, **found.values}.items():
        if not np.isfinite(values).all():
            raise UserError(f"{path}: a value of {name} is not finite")


def _check_labels(found: Inspection, known: Mapping[int, int] | None, path: Path) -> None:
    for sample, label in zip(found.index.tolist(), found.labels.tolist(), strict=True):
        if known is not None and known.get(sample) != label:
            other = f"class {known[sample]}" if sample in known else "no such sample"
            raise UserError(
                f"{path}: sample {sample} is of class {label}, but predictions-validation.npz has {other}"
            )
