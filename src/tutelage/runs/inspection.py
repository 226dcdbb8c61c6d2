"""What objectives show of some validation samples after the last epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError
from tutelage.runs import arrays
from tutelage.runs.schema import UnreadableError

OWN = {"index": None, "labels": np.int64, "examples": np.int64, "inputs": np.float64}
"""Arrays of the file itself; every other is what an objective shows."""


@dataclass(frozen=True)
class Inspection:
    """``inspection.npz``: inner values of n validation samples.

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
    inputs: NDArray[Any]
    values: Mapping[str, NDArray[Any]]

    def save(self, path: Path) -> None:
        """Write them."""
        own = {name: getattr(self, name) for name in OWN}
        arrays.save(path, own | dict(self.values), compressed=True)

    @classmethod
    def load(cls, path: Path, classes: int, known: Mapping[int, int] | None) -> "Inspection":
        """Read them.

        Args:
            path: the file.
            classes: C.
            known: class of each validation sample by id, or None where no predictions tell.

        Raises:
            UserError: the file is damaged, or contradicts itself or the predictions.
        """
        stored = arrays.load(path, "inspected samples", *OWN)
        own = {name: arrays.column(stored, name, kind, path) for name, kind in OWN.items()}
        values = {
            name: arrays.column(stored, name, np.float64, path) for name in stored if name not in OWN
        }  # fmt: skip
        shown = cls(**own, values=values)
        shown._check_shapes(path)
        shown._check_values(classes, path)
        check_labels(shown.index, shown.labels, known, path)
        return shown

    def _check_shapes(self, path: Path) -> None:
        n, kept = self.labels.size, self.examples.size
        for name, shape in {"index": self.index.shape, "labels": self.labels.shape}.items():
            if shape != (n,):
                raise UnreadableError(f"{path}: {name} is {shape}, but there are {n} labels")
        if self.inputs.shape[:1] != (kept,) or self.examples.shape != (kept,):
            raise UnreadableError(
                f"{path}: inputs is {self.inputs.shape}, but there are {kept} examples"
            )
        arrays.rows(self.values, n, path)

    def _check_values(self, classes: int, path: Path) -> None:
        ends = {"labels": classes, "examples": len(self.labels)}
        for name, at in {"labels": self.labels, "examples": self.examples}.items():
            if not ((at >= 0) & (at < ends[name])).all():
                raise UnreadableError(f"{path}: {name} must lie between 0 and {ends[name] - 1}")
        for name, values in {"inputs": self.inputs, **self.values}.items():
            if not np.isfinite(values).all():
                raise UnreadableError(f"{path}: a value of {name} is not finite")


def check_labels(
    index: NDArray[Any], labels: NDArray[Any], known: Mapping[int, int] | None, path: Path
) -> None:
    """Refuse samples whose class the predictions of the run do not confirm.

    Raises:
        UserError: one has another class there, or is not there.
    """
    for sample, label in zip(index.tolist(), labels.tolist(), strict=True):
        if known is not None and known.get(sample) != label:
            other = f"class {known[sample]}" if sample in known else "no such sample"
            raise UserError(
                f"{path}: sample {sample} is of class {label}, but predictions-validation.npz has {other}"
            )
