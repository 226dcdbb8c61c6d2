"""Other libraries doing the same work, each as its documentation or publication does it.

Every function takes one batch, [N, L] or [N, H, W], and does what a user would do; imports lie
inside, because not every environment has every library.
"""

import warnings
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.special import ndtr

SIDE, SIGMA, LEAST = 64, 0.015, 0.01
Peer = Callable[[np.ndarray], object]


def path_matrix(x: np.ndarray) -> sparse.csr_matrix:
    """Sparse distances of a path: edges at the higher end, births on the diagonal."""
    n = len(x)
    i = np.arange(n - 1)
    top = np.maximum(x[:-1], x[1:])
    rows, columns = (
        np.concatenate([i, i + 1, np.arange(n)]),
        np.concatenate([i + 1, i, np.arange(n)]),
    )
    return sparse.coo_matrix((np.concatenate([top, top, x]), (rows, columns)), shape=(n, n)).tocsr()


def ripser_diagrams(batch: np.ndarray) -> list[np.ndarray]:
    from ripser import ripser

    found = []
    for x in batch:
        points = ripser(path_matrix(x), maxdim=0, distance_matrix=True)["dgms"][0]
        points = points[np.isfinite(points[:, 1])]
        found.append(points[points[:, 1] - points[:, 0] > LEAST])
    return found


def published(batch: np.ndarray) -> object:
    """Run the notebook of TDA_KD: ripser and the deprecated PersImage."""
    from persim import PersImage

    images = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        maker = PersImage(
            pixels=(SIDE, SIDE), spread=SIGMA, specs={"minBD": -1, "maxBD": 1}, verbose=False
        )
    for points in ripser_diagrams(batch):
        image = maker.transform(points) if len(points) else np.zeros((SIDE, SIDE))
        images.append(image / max(image.max(), 1e-300))
    return images


def ripser_imager(batch: np.ndarray) -> object:
    from persim import PersistenceImager

    maker = PersistenceImager(
        birth_range=(0, 1),
        pers_range=(0, 1),
        pixel_size=1 / SIDE,
        kernel_params={"sigma": [[SIGMA**2, 0], [0, SIGMA**2]]},
    )
    images = []
    for points in ripser_diagrams(batch):
        image = maker.transform(points) if len(points) else np.zeros((SIDE, SIDE))
        images.append(image / max(image.max(), 1e-300))
    return images


def gudhi_images(batch: np.ndarray) -> object:
    """scikit-learn form of gudhi; pictures: one image per dimension."""
    from gudhi.representations import PersistenceImage
    from gudhi.sklearn.cubical_persistence import CubicalPersistence

    dimensions = [0] if batch.ndim == 2 else [0, 1]
    diagrams = CubicalPersistence(
        homology_dimensions=dimensions, input_type="top_dimensional_cells", min_persistence=LEAST
    ).fit_transform(list(batch))
    maker = PersistenceImage(
        bandwidth=SIGMA, weight=lambda p: p[1], resolution=[SIDE, SIDE], im_range=[0, 1, 0, 1]
    )
    images = []
    for one in diagrams:
        for found in one:
            points = found[np.isfinite(found[:, 1])]
            image = maker(points) if len(points) else np.zeros(SIDE * SIDE)
            images.append(image / max(image.max(), 1e-300))
    return images


def cripser_images(batch: np.ndarray) -> object:
    import cripser

    images = []
    for x in batch:
        found = cripser.compute_ph(x.astype(np.float64), maxdim=0)
        keep = (found[:, 2] < 1e300) & (found[:, 2] - found[:, 1] > LEAST)
        image = cripser.persistence_image(
            found[keep],
            homology_dims=(0,),
            n_birth_bins=SIDE,
            n_life_bins=SIDE,
            sigma=SIGMA,
            birth_range=(0, 1),
            life_range=(0, 1),
        )
        images.append(image / max(image.max(), 1e-300))
    return images


def gemm(points: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Image of one diagram as a product of two matrices of normal masses."""
    if not len(points):
        return np.zeros((SIDE, SIDE))
    births, lives = points[:, 0], points[:, 1] - points[:, 0]
    across = np.diff(ndtr((edges[:, None] - births) / SIGMA), axis=0)
    up = np.diff(ndtr((edges[:, None] - lives) / SIGMA), axis=0)
    return ((up * lives) @ across.T)[::-1]


def line_points(x: np.ndarray) -> np.ndarray:
    """Finite pairs of one line by gudhi's private routine, the fastest of the peers."""
    from gudhi._pers_cub_low_dim_ext import _persistence_on_a_line

    points = _persistence_on_a_line(x)
    return points[np.isfinite(points[:, 1]) & (points[:, 1] - points[:, 0] > LEAST)]


def expert_numpy(batch: np.ndarray) -> object:
    """What an expert writes today: gudhi's private routines and one matrix product per image."""
    from gudhi._pers_cub_low_dim_ext import _persistence_on_rectangle_from_top_cells

    edges = np.linspace(0, 1, SIDE + 1)
    images = []
    for x in batch:
        if batch.ndim == 2:
            diagrams = [line_points(x)]
        else:
            found = _persistence_on_rectangle_from_top_cells(x.astype(np.float64), LEAST)
            diagrams = [points[np.isfinite(points[:, 1])] for points in found]
        for points in diagrams:
            image = gemm(points, edges)
            images.append(image / max(image.max(), 1e-300))
    return images


def expert_torch(batch: np.ndarray) -> object:
    """As above with all images of 100 signals in one padded batched product, float32."""
    import torch

    edges = torch.linspace(0, 1, SIDE + 1)
    scale = 1 / (SIGMA * 2**0.5)
    images = []
    for start in range(0, len(batch), 100):
        diagrams = [torch.from_numpy(line_points(x)).float() for x in batch[start : start + 100]]
        points = torch.nn.utils.rnn.pad_sequence(diagrams, batch_first=True)
        births, lives = points[..., 0], points[..., 1] - points[..., 0]
        across = torch.erf((edges - births[..., None]) * scale).diff(dim=2)
        up = torch.erf((edges - lives[..., None]) * scale).diff(dim=2) * lives[..., None]
        image = torch.bmm(up.transpose(1, 2), across).flip(1)
        image /= image.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30)
        images.append(image)
    return images


def gudhi_diagrams(kind: str) -> Peer:
    """Return gudhi's scikit-learn estimator for ``top_dimensional_cells`` or ``vertices``."""

    def run(batch: np.ndarray) -> object:
        from gudhi.sklearn.cubical_persistence import CubicalPersistence

        dimensions = [0] if batch.ndim == 2 else [0, 1]
        return CubicalPersistence(
            homology_dimensions=dimensions, input_type=kind, min_persistence=0.0
        ).fit_transform(list(batch))

    return run


def gudhi_line(batch: np.ndarray) -> object:
    from gudhi._pers_cub_low_dim_ext import _persistence_on_a_line

    return [_persistence_on_a_line(x) for x in batch]


def giotto_images(batch: np.ndarray) -> object:
    """giotto-tda; needs numpy below 2, so it runs in an environment of its own."""
    from gtda.diagrams import PersistenceImage
    from gtda.homology import CubicalPersistence

    pictures = batch[:, None, :] if batch.ndim == 2 else batch
    dimensions = (0,) if batch.ndim == 2 else (0, 1)
    diagrams = CubicalPersistence(homology_dimensions=dimensions, n_jobs=None).fit_transform(
        pictures
    )
    images = PersistenceImage(
        sigma=SIGMA, n_bins=SIDE, weight_function=lambda x: x, n_jobs=None
    ).fit_transform(diagrams)
    return images / np.maximum(images.max(axis=(2, 3), keepdims=True), 1e-300)


def pyts_gramian(batch: np.ndarray) -> object:
    from pyts.image import GramianAngularField

    return GramianAngularField(image_size=SIDE).transform(batch)


def pyts_transition(batch: np.ndarray) -> object:
    from pyts.image import MarkovTransitionField

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MarkovTransitionField(image_size=SIDE).transform(batch)
