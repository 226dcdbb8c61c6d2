"""Where a network puts test samples: its last features in two dimensions, and how well they fall into classes.

``embedding.npz`` of a run folder is added by ``tutelage look`` when the run is complete.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from tutelage.runs import arrays as files
from tutelage.runs.schema import Count, Fraction, Schema, UnreadableError

__all__ = ["ClusterScores", "EmbeddingMaps", "EmbeddingHeader", "embedding_path", "read_embedding"]

Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class ClusterScores:
    """How well k-means on the features, with as many clusters as classes, finds the classes; all in [0, 1]."""

    v_score: Fraction
    homogeneity: Fraction
    completeness: Fraction


@dataclass(frozen=True)
class EmbeddingHeader:
    """What the numbers are of.

    Args:
        run: fingerprint of the run.
        weights: SHA-256 of its network.
        feature: that was looked at.
        width: how many numbers it has.
        clusters: of k-means, the classes among the samples.
        scores: of these clusters.
        explained: shares of the variance that the two principal components have.
    """

    schema: Schema
    run: str
    weights: str
    feature: str
    width: Positive
    clusters: Count
    scores: ClusterScores
    explained: tuple[Fraction, Fraction]


@dataclass(frozen=True)
class EmbeddingMaps:
    """``embedding.npz``.

    Args:
        header: what the numbers are of.
        index: sample ids, [n].
        labels: their classes, [n].
        pca: the first two principal components, [n, 2].
        tsne: the map by t-SNE, [n, 2]; None where only scores were asked for.
    """

    header: EmbeddingHeader
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    pca: NDArray[np.float64]
    tsne: NDArray[np.float64] | None = None

    def save(self, folder: Path) -> None:
        """Write it into a run folder."""
        stored = {"index": self.index, "labels": self.labels, "pca": self.pca.astype(np.float32)}
        if self.tsne is not None:
            stored["tsne"] = self.tsne.astype(np.float32)
        stored["facts"] = files.facts(HEADER, self.header)
        files.save(embedding_path(folder), stored, compressed=True)


HEADER = TypeAdapter(EmbeddingHeader)


def embedding_path(folder: Path) -> Path:
    """Return the file of a run folder."""
    return folder / "embedding.npz"


def read_embedding(folder: Path, run: str) -> EmbeddingMaps | None:
    """Return what a run folder holds, or None where nobody has looked.

    Args:
        folder: of the run.
        run: its fingerprint.

    Raises:
        UnreadableError: the file is damaged, or of another run.
    """
    path = embedding_path(folder)
    if not path.is_file():
        return None
    header, stored = files.load_with_facts(path, "an embedding", HEADER, "index", "labels", "pca")
    if header.run != run:
        raise UnreadableError(f"{path}: is of another run")
    files.rows(stored, len(stored["index"]), path)
    ids, labels = (files.column(stored, name, np.int64, path) for name in ("index", "labels"))
    planes = {name: _plane(stored, name, path) for name in ("pca", "tsne") if name in stored}
    return EmbeddingMaps(header, ids, labels, planes["pca"], planes.get("tsne"))


def _plane(stored: files.Arrays, name: str, path: Path) -> NDArray[np.float64]:
    values = files.column(stored, name, np.float64, path)
    if values.ndim != 2 or values.shape[1] != 2 or not np.isfinite(values).all():
        raise UnreadableError(f"{path}: {name} holds no points of a plane")
    return values
