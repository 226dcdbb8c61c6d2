"""The last features of trained networks on the same test samples: two maps, and how they fall into classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError
from tutelage.runs.embedding import (
    ClusterScores,
    EmbeddingHeader,
    EmbeddingMaps,
    read_embedding,
)
from tutelage.training.looking import LookedAt, feature_of, hear, kept_of, test_samples

__all__ = ["MOST", "Planes", "embed", "embedding_of", "planes", "scores_of"]

MOST = 2000
"""Test samples of a fold that are looked at."""
_PERPLEXITY = 30.0  # the usual one; of few samples less, as scikit-learn asks for
_LEAST = 5

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Planes:
    """Features in two dimensions: principal components with their shares of the variance, and t-SNE."""

    pca: Points
    explained: tuple[float, float]
    tsne: Points | None


def embedding_of(looked: LookedAt, *, tsne: bool) -> EmbeddingMaps:
    """Return what a run folder holds of this network, or look at the network and keep it there.

    Args:
        looked: the network.
        tsne: a map by t-SNE is wanted.

    Raises:
        UserError: there are too few test samples, or the network is not what its folder says.
    """
    index = test_samples(looked.data, MOST)
    known = kept_of(looked, index, read_embedding)
    if known is None or (tsne and known.tsne is None):
        known = embed(looked, index, tsne=tsne)
        known.save(looked.run.folder)
    return known


def embed(looked: LookedAt, index: NDArray[np.int64], *, tsne: bool) -> EmbeddingMaps:
    """Return where a network puts samples, and how well they fall into classes there."""
    labels = looked.data.dataset.labels[index]
    classes = len(np.unique(labels))
    if len(index) < _LEAST or classes < 2:
        raise UserError(
            f"look: found {len(index)} test samples of {classes} classes in {looked.data.split.name!r} (allowed: "
            f"{_LEAST} or more, of two classes)"
        )
    name, values = feature_of(hear(looked, index), looked.run)
    features = values.double().numpy()
    made = planes(features, tsne=tsne)
    header = EmbeddingHeader(
        1, looked.run.fingerprint, looked.weights, name, features.shape[1], classes,
        scores_of(features, labels), made.explained,
    )  # fmt: skip
    return EmbeddingMaps(header, index, labels.astype(np.int64), made.pca, made.tsne)


def scores_of(features: Points, labels: NDArray[np.int64]) -> ClusterScores:
    """Return how well k-means, with as many clusters as there are classes, finds the classes.

    Args:
        features: [n, D].
        labels: [n].

    Source:
        Rosenberg & Hirschberg 2007, V-measure, EMNLP-CoNLL.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import homogeneity_completeness_v_measure

    clusters = KMeans(len(np.unique(labels)), n_init=10, random_state=0).fit_predict(features)
    pure, whole, v = homogeneity_completeness_v_measure(labels, clusters)
    return ClusterScores(_fraction(v), _fraction(pure), _fraction(whole))


def planes(features: Points, *, tsne: bool) -> Planes:
    """Return features in two dimensions; every step has a fixed seed.

    Args:
        features: [n, D].
        tsne: also by t-SNE, which takes seconds for thousands of samples.

    Source:
        van der Maaten & Hinton 2008, Visualizing Data using t-SNE, JMLR 9.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    wide = features if features.shape[1] > 1 else np.hstack([features, np.zeros_like(features)])
    pca = PCA(2, svd_solver="full").fit(wide)
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    plane = None
    if tsne:
        few = min(_PERPLEXITY, (len(features) - 1) / 3)
        plane = TSNE(2, perplexity=few, init="pca", random_state=0).fit_transform(wide)
    explained = _fraction(shares[0]), _fraction(shares[1])
    return Planes(np.asarray(pca.transform(wide), np.float64), explained,
                  None if plane is None else np.asarray(plane, np.float64))  # fmt: skip


def _fraction(value: float) -> float:
    return float(min(1.0, max(0.0, value)))
