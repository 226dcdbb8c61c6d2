"""Networks on the line between two students: how good the weights between and beyond them are.

``interpolation.npz`` of an experiment is written by ``tutelage look``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from tutelage.runs import arrays as files
from tutelage.runs.schema import Name, Schema, UnreadableError

__all__ = ["CURVES", "Interpolation", "InterpolationHeader", "Pair", "read_interpolation"]

CURVES = ("train_accuracy", "train_loss", "test_accuracy", "test_loss")


@dataclass(frozen=True)
class Pair:
    """Two runs of one fold and seed, by their fingerprints."""

    fold: Name
    seed: int
    first: str
    second: str


@dataclass(frozen=True)
class InterpolationHeader:
    """What the curves are of: eta 0 is ``first``, eta 1 ``second``."""

    schema: Schema
    first: Name
    second: Name
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Interpolation:
    """``interpolation.npz``.

    Args:
        header: what the curves are of.
        eta: where on the line, [E].
        curves: of ``CURVES`` each [pairs, E]; losses in nats.
    """

    header: InterpolationHeader
    eta: NDArray[np.float64]
    curves: dict[str, NDArray[np.float64]]

    def save(self, folder: Path) -> None:
        """Write it into the folder of an experiment."""
        stored = {"eta": self.eta, **self.curves, "facts": files.facts(HEADER, self.header)}
        files.save(folder / "interpolation.npz", stored)


HEADER = TypeAdapter(InterpolationHeader)


def read_interpolation(folder: Path) -> Interpolation | None:
    """Return what the folder of an experiment holds, or None where nobody has looked.

    Raises:
        UnreadableError: the file is damaged.
    """
    path = folder / "interpolation.npz"
    if not path.is_file():
        return None
    header, stored = files.load_with_facts(path, "an interpolation", HEADER, "eta", *CURVES)
    eta = files.column(stored, "eta", np.float64, path)
    curves = {name: files.column(stored, name, np.float64, path) for name in CURVES}
    wanted = (len(header.pairs), len(eta))
    if eta.ndim != 1 or any(values.shape != wanted for values in curves.values()):
        raise UnreadableError(f"{path}: curves are not of {wanted[0]} pairs at {wanted[1]} places")
    return Interpolation(header, eta, curves)
