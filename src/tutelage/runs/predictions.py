"""What a network said of every sample of a split, and what objectives recorded of every training sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.runs import arrays
from tutelage.runs.schema import UnreadableError


@dataclass(frozen=True)
class Predictions:
    """``predictions-<split>.npz``.

    Args:
        index: [n], sample ids.
        labels: [n], their classes.
        subjects: [n], who they are of; empty texts where the data do not say.
        logits: [n, C].
    """

    index: NDArray[Any]
    labels: NDArray[np.int64]
    subjects: NDArray[Any]
    logits: NDArray[np.floating]

    @classmethod
    def of(cls, index: Any, labels: Any, logits: Any, subjects: Any) -> "Predictions":
        """Put them together from anything that is an array; ``subjects`` may be None."""
        ids = np.asarray(index)
        who = np.full(len(ids), "", dtype=np.str_) if subjects is None else np.asarray(subjects)
        return cls(ids, np.asarray(labels), who, np.asarray(logits))

    def save(self, path: Path) -> None:
        """Write them."""
        arrays.save(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read them.

        Raises:
            UnreadableError: the file is damaged, lacks an array, or its arrays do not belong together.
        """
        stored = arrays.load(path, "predictions", "index", "labels", "subjects", "logits")
        said = cls(
            arrays.column(stored, "index", None, path),
            arrays.column(stored, "labels", np.int64, path),
            arrays.column(stored, "subjects", None, path),
            arrays.column(stored, "logits", np.float64, path),
        )
        if said.index.ndim != 1 or said.labels.ndim != 1 or said.logits.ndim != 2:
            raise UnreadableError(f"{path}: index, labels and logits are not [n], [n] and [n, C]")
        arrays.rows(vars(said), len(said.index), path)
        return said

    @property
    def classes(self) -> dict[int, int]:
        """Sample id -> its class."""
        return dict(zip(self.index.tolist(), self.labels.tolist(), strict=True))

    @property
    def scores(self) -> dict[int, NDArray[np.floating]]:
        """Sample id -> its logits."""
        return dict(zip(self.index.tolist(), self.logits, strict=True))


@dataclass(frozen=True)
class SampleTraces:
    """``traces.npz``: what objectives recorded of each training sample in the last epoch, [n] by trace."""

    index: NDArray[Any]
    values: Mapping[str, NDArray[np.floating]]

    def save(self, path: Path) -> None:
        """Write them."""
        arrays.save(path, {"index": self.index, **self.values})

    @classmethod
    def load(cls, path: Path) -> "SampleTraces":
        """Read them.

        Raises:
            UnreadableError: the file is damaged, or holds an array that is not one number per sample.
        """
        stored = arrays.load(path, "traces", "index")
        index = arrays.column(stored, "index", None, path)
        if index.ndim != 1:
            raise UnreadableError(
                f"{path}: index is {index.shape}, expected one id for each sample"
            )
        values = {
            name: arrays.column(stored, name, np.float64, path) for name in stored if name != "index"
        }  # fmt: skip
        for name, array in values.items():
            if array.shape != (len(index),):
                raise UnreadableError(
                    f"{path}: {name} is {array.shape}, but there are {len(index)} samples"
                )
        return cls(index, values)
