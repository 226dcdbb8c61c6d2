"""Where a network looks in a few test samples, and the angles at which it looks at all of them.

``attention.npz`` of a run folder is added by ``tutelage look`` when the run is complete.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tutelage.runs import arrays as files
from tutelage.runs.schema import Schema, UnreadableError

__all__ = ["MAPS", "AttentionMaps", "AttentionHeader", "attention_path", "read_attention"]

MAPS = ("activation", "evidence", "positive", "negative")
_NEEDED = ("index", "labels", "inputs", "inside", "outside", *MAPS)


@dataclass(frozen=True)
class AttentionHeader:
    """What the numbers are of.

    Args:
        run: fingerprint of the run.
        weights: SHA-256 of its network.
        feature: that was looked at.
        evidence: the feature that the evidence is read from, or ``input``.
    """

    schema: Schema
    run: str
    weights: str
    feature: str
    evidence: str


@dataclass(frozen=True)
class AttentionMaps:
    """``attention.npz``.

    Args:
        header: what the numbers are of.
        index: ids of the samples that are shown, [n].
        labels: their classes, [n].
        inputs: what the network reads of them, [n, channels, ...].
        maps: of ``MAPS`` each [n, ...], with the axes of the inputs after their channels, from 0 to 1.
        inside: how many positions of all samples lie at each angle where the network looks, 90 bins of one degree.
        outside: the same where it does not look.
    """

    header: AttentionHeader
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    inputs: NDArray[np.float64]
    maps: dict[str, NDArray[np.float64]]
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    def save(self, folder: Path) -> None:
        """Write it into a run folder."""
        stored = {
            "index": self.index, "labels": self.labels, "inputs": self.inputs.astype(np.float32),
            "inside": self.inside, "outside": self.outside,
            **{name: values.astype(np.float16) for name, values in self.maps.items()},
            "facts": files.facts(HEADER, self.header),
        }  # fmt: skip
        files.save(attention_path(folder), stored, compressed=True)


HEADER = TypeAdapter(AttentionHeader)


def attention_path(folder: Path) -> Path:
    """Return the file of a run folder."""
    return folder / "attention.npz"


def read_attention(folder: Path, run: str) -> AttentionMaps | None:
    """Return what a run folder holds, or None where nobody has looked.

    Args:
        folder: of the run.
        run: its fingerprint.

    Raises:
        UnreadableError: the file is damaged, or of another run.
    """
    path = attention_path(folder)
    if not path.is_file():
        return None
    header, stored = files.load_with_facts(path, "attention", HEADER, *_NEEDED)
    if header.run != run:
        raise UnreadableError(f"{path}: is of another run")
    counts = [files.column(stored, name, np.int64, path) for name in ("inside", "outside")]
    ids, labels = (files.column(stored, name, np.int64, path) for name in ("index", "labels"))
    inputs = files.column(stored, "inputs", np.float64, path)
    maps = {name: files.column(stored, name, np.float64, path) for name in MAPS}
    space = (len(ids), *inputs.shape[2:])
    fits = len(labels) == len(inputs) == len(ids) and all(m.shape == space for m in maps.values())
    finite = all(np.isfinite(values).all() for values in (inputs, *maps.values()))
    if not fits or not finite or any(c.shape != (90,) or (c < 0).any() for c in counts):
        raise UnreadableError(f"{path}: its arrays do not belong together")
    return AttentionMaps(header, ids, labels, inputs, maps, counts[0], counts[1])
