"""Rows of the benchmark: who is measured on what, and how much faster we have to be."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import peers

from tutelage.modalities import (
    GramianField,
    PersistenceImage,
    SublevelPersistence,
    TransitionField,
    published,
)

RULE = {
    "birth_range": (0, 1),
    "persistence_range": (0, 1),
    "sigma": peers.SIGMA,
    "min_persistence": peers.LEAST,
}

FIELDS = {"gramian": GramianField, "transition": TransitionField}


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        name: the peer and the work.
        data: which inputs.
        peer: does the work on a part of them; a name means the giotto environment.
        part: items that the peer gets in one round.
        must: ratio peer / ours that has to be reached; None: for information.
        stretch: ratio to aim at.
        exact: our images must equal the peer's within this, after dividing by the maximum.
    """

    name: str
    data: str
    peer: peers.Peer | str
    part: int
    must: float | None = None
    stretch: float | None = None
    exact: float | None = None
    ours: str = "image"


ROWS = (
    Row("ripser + PersImage (as published)", "pamap2", peers.published, 24, 300, 900, 1e-5, "published"),
    Row("ripser + PersistenceImager", "pamap2", peers.ripser_imager, 60, 80, 200, 1e-5),
    Row("gudhi.sklearn + gudhi PersistenceImage", "pamap2", peers.gudhi_images, 60, 100, 400),
    Row("giotto-tda Cubical + PersistenceImage", "pamap2", "giotto_images", 200, 20, 50),
    Row("cripser + persistence_image", "pamap2", peers.cripser_images, 60, 100, 400),
    Row("expert: gudhi line + numpy product", "pamap2", peers.expert_numpy, 300, 7, 14, 1e-5),
    Row("expert: gudhi line + torch bmm", "pamap2", peers.expert_torch, 600, 3, 8, 1e-5),
    Row("expert: gudhi line + torch bmm", "geneactiv", peers.expert_torch, 300, None, None, 1e-5),
    Row("gudhi.sklearn + gudhi PersistenceImage", "photos", peers.gudhi_images, 40, 80, 400),
    Row("giotto-tda Cubical + PersistenceImage", "photos", "giotto_images", 100, 15, 50),
    Row("expert: gudhi rectangle + numpy product", "photos", peers.expert_numpy, 100, 4, 9, 1e-5),
    Row("expert: gudhi rectangle + numpy product", "noise", peers.expert_numpy, 60, None, None, 1e-5),
    Row("diagrams: ripser", "pamap2", peers.ripser_diagrams, 100, 50, 300, None, "diagram"),
    Row(
        "diagrams: gudhi.sklearn, lines", "pamap2",
        peers.gudhi_diagrams("top_dimensional_cells"), 1000, 1.5, 10, None, "diagram",
    ),
    Row("diagrams: gudhi private line routine", "pamap2", peers.gudhi_line, 1000, None, None, None, "diagram"),
    Row(
        "diagrams: gudhi.sklearn T, H0 + H1", "photos",
        peers.gudhi_diagrams("top_dimensional_cells"), 200, 1.2, 2, None, "diagram",
    ),
    Row(
        "diagrams: gudhi.sklearn V, H0 + H1", "photos",
        peers.gudhi_diagrams("vertices"), 40, 25, 50, None, "diagram V",
    ),
    Row("pyts GramianAngularField", "pamap2", peers.pyts_gramian, 600, exact=1e-5, ours="gramian"),
    Row("pyts MarkovTransitionField", "pamap2", peers.pyts_transition, 600, exact=1e-5, ours="transition"),
)  # fmt: skip


def ours(kind: str, x: np.ndarray) -> tuple[Callable[[], object], object]:
    """Return our side of a comparison over all items, and the estimator."""
    dimensions = (0,) if x.ndim == 3 else (0, 1)
    if kind.startswith("diagram"):
        estimator = SublevelPersistence(
            dimensions=dimensions, construction="V" if kind.endswith("V") else "T"
        ).fit(x[:1])
        return lambda: estimator.transform(x), estimator
    if kind in FIELDS:
        image = FIELDS[kind]().fit(x[:1])
    else:
        image = published("tda_kd_pamap2") if kind == "published" else PersistenceImage(**RULE)
        dtype = "uint8" if kind == "bytes" else "float32"
        image.set_params(dimensions=dimensions, dtype=dtype).fit(x[:1])
    if kind == "fresh":
        return lambda: image.transform(x), image
    # a data loader or the cache writes to the same memory again and again: 64 windows of 40 channels
    buffer = image.transform(x[:256])

    def run() -> object:
        for start in range(0, len(x), 256):
            part = x[start : start + 256]
            image.transform(part, out=buffer[: len(part)])
        return buffer

    return run, image
