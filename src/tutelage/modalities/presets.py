"""Parameters of published persistence images, as the authors' code used them."""

from typing import Any

from tutelage.errors import unknown
from tutelage.modalities.persistence_image import PersistenceImage

_COMMON: dict[str, Any] = {"weight": "linear", "normalize": "max", "cells": "persim"}
PUBLISHED: dict[str, dict[str, Any]] = {
    "tda_kd_pamap2": {
        **_COMMON,
        "resolution": (64, 64),
        "sigma": 0.015,
        "birth_range": (-1.0, 1.0),
        "persistence_range": (0.0, 1.0),
        "min_persistence": 0.01,
    },
    "tgd_cifar10": {
        **_COMMON,
        "reading": "rows+columns",
        "resolution": (50, 50),
        "sigma": 0.01,
        "birth_range": (0.0, 0.3),
        "persistence_range": (0.0, 0.3),
        "min_persistence": 0.02,
        "dtype": "uint8",
    },
    "geneactiv": {
        **_COMMON,
        "resolution": (64, 64),
        "sigma": 0.25,
        "birth_range": (-10.0, 10.0),
        "persistence_range": (0.0, 10.0),
        "min_persistence": 0.01,
    },
}


def published(name: str, *, n_jobs: int | None = None) -> PersistenceImage:
    """Return the persistence image of a published recipe, with its known defects.

    Args:
        name: ``tda_kd_pamap2`` for [0, 1]-scaled windows of 100 samples; ``tgd_cifar10`` for
            pictures, rows then columns, uint8; ``geneactiv`` for z-normalised windows of 500.
        n_jobs: threads; None: 1; -1: all cores.

    Returns:
        An unfitted estimator. Its grid leaves gaps: with births in [-1, 1] about half of a point's
        mass falls between the columns. For new work use :class:`PersistenceImage` as it is.

    Raises:
        UserError: no such recipe.

    Source:
        PAMAP2: TDA_KD, ``PI.ipynb``. CIFAR-10: TGD, ``GenPI_Images.ipynb``; its column images are
        those of the distributed data, not of the transpose that the notebook discards. GENEActiv:
        arXiv:2407.05315; the lifetime threshold is not published, 0.01 as for PAMAP2.
    """
    if name not in PUBLISHED:
        raise unknown("published", "recipe", name, PUBLISHED)
    return PersistenceImage(**PUBLISHED[name], n_jobs=n_jobs)
