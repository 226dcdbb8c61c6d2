"""Which test samples networks find alike: maps of one fold and seed, and distances to the teachers' merged map.

``similarity.npz`` of an experiment is written by ``tutelage look``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from tutelage.runs import arrays as files
from tutelage.runs.schema import Amount, Name, Names, Schema, UnreadableError

__all__ = ["MapDistance", "SimilarityHeader", "SimilarityMaps", "read_similarity"]

MapOrder = Literal["merge_then_normalise", "normalise_then_merge"]


@dataclass(frozen=True)
class MapDistance:
    """How far the map of one network is from the merged one of its fold and seed.

    Args:
        stage: of the network.
        fold: of the student whose teachers are merged.
        seed: of that student.
        run: fingerprint of the network's run.
        tap: feature that the maps are of.
        distance: mean squared difference of the row-normalised maps.
    """

    stage: Name
    fold: Name
    seed: int
    run: str
    tap: str
    distance: Amount


@dataclass(frozen=True)
class SimilarityHeader:
    """What the maps are of.

    Args:
        stages: whose maps are kept, teachers first.
        fold: of them.
        seed: of the students.
        taps: features, one map each.
        weights: teacher -> weight in the merged map.
        order: of merging and normalising.
        source: stage whose ``MergedSimilarity`` says so; empty where none does, and teachers weigh the same.
        distances: of all folds and seeds that were looked at.
    """

    schema: Schema
    stages: Annotated[Names, Field(min_length=1)]
    fold: Name
    seed: int
    taps: Annotated[Names, Field(min_length=1)]
    weights: dict[str, Amount]
    order: MapOrder
    source: str
    distances: tuple[MapDistance, ...]


@dataclass(frozen=True)
class SimilarityMaps:
    """``similarity.npz``.

    Args:
        header: what the maps are of.
        index: sample ids, sorted by class, [n].
        labels: their classes, [n].
        maps: row-normalised, [stages, taps, n, n].
        merged: the teachers' merged ones, row-normalised, [taps, n, n].
    """

    header: SimilarityHeader
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    maps: NDArray[np.float64]
    merged: NDArray[np.float64]

    def save(self, folder: Path) -> None:
        """Write them into the folder of an experiment."""
        stored = {
            "index": self.index, "labels": self.labels, "maps": self.maps.astype(np.float16),
            "merged": self.merged.astype(np.float16),
            "facts": files.facts(HEADER, self.header),
        }  # fmt: skip
        files.save(folder / "similarity.npz", stored, compressed=True)


HEADER = TypeAdapter(SimilarityHeader)


def read_similarity(folder: Path) -> SimilarityMaps | None:
    """Return what the folder of an experiment holds, or None where nobody has looked.

    Raises:
        UnreadableError: the file is damaged.
    """
    path = folder / "similarity.npz"
    if not path.is_file():
        return None
    header, stored = files.load_with_facts(
        path, "similarity maps", HEADER, "index", "labels", "maps", "merged"
    )
    index, labels = (files.column(stored, name, np.int64, path) for name in ("index", "labels"))
    maps, merged = (files.column(stored, name, np.float64, path) for name in ("maps", "merged"))
    n, taps = len(index), len(header.taps)
    wanted = {"labels": (n,), "maps": (len(header.stages), taps, n, n), "merged": (taps, n, n)}
    for name, shape in wanted.items():
        if stored[name].shape != shape:
            raise UnreadableError(f"{path}: {name} is {stored[name].shape}, expected {shape}")
    return SimilarityMaps(header, index, labels, maps, merged)
