"""Samples and texts in one space: stand-ins of ``benchmarks.labo``, and robots whose parts are known."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.concepts import robots as drawn
from benchmarks.labo.stand_in import PEOPLE, PER_CLASS
from tutelage.concepts.files import open_concepts
from tutelage.data import Cifar10, Hapt
from tutelage.vlm import OpenClip, SignalText
from tutelage.vlm.base import EncoderSource
from tutelage.vlm.training import embed

FOLDS = 6  # of three people each, of HAPT
TRAINED = 1000  # samples that one layer is fitted on


@dataclass(frozen=True)
class Space:
    """What an encoder makes of samples, beside the concepts of their classes.

    Args:
        samples: unit vectors, [n, D].
        labels: [n].
        folds: of each sample, [n]; those of one fold are tested on at a time. -1: never tested.
        texts: the concepts, M.
        owners: which class a concept was said of, [C, M] bool.
        embed: texts -> unit vectors, [M, D].
        true: which concept holds of which sample, [n, M] of zeros and ones, where that is known.
    """

    samples: Tensor
    labels: Tensor
    folds: Tensor
    texts: tuple[str, ...]
    owners: Tensor
    embed: Callable[[Sequence[str]], Tensor]
    true: Tensor | None = None

    def sides(self, fold: int, draw: int) -> tuple[Tensor, Tensor]:
        """Return ids of the training samples of a draw, and of the test samples of a fold."""
        rng = torch.Generator().manual_seed(1000 * fold + draw)
        rest = (self.folds != fold).nonzero()[:, 0]
        train = rest[torch.randperm(len(rest), generator=rng)[:TRAINED]]
        return train, (self.folds == fold).nonzero()[:, 0]


def cifar10(folder: Path) -> Space:
    """Images of CIFAR-10 that the stand-in for CLIP was not trained on; one fold, the official test part."""
    data = Cifar10(per_class=PER_CLASS).load()
    assert data.official_test is not None
    folds = torch.from_numpy(np.where(data.official_test, 0, -1))
    source = OpenClip(model=str(folder / "cifar10"))
    return _space("cifar10", data.class_names, source, data.inputs, data.labels, folds)


def hapt(folder: Path) -> Space:
    """Windows of the 18 people whom the signal-text encoder was not trained on; six folds of three people."""
    data = Hapt().load()
    kept = np.flatnonzero(~np.isin(data.subjects, PEOPLE))
    people = np.unique(data.subjects[kept])
    folds = torch.from_numpy(np.searchsorted(people, data.subjects[kept]) % FOLDS)
    source = SignalText(folder=str(folder / "hapt"))
    return _space("hapt", data.class_names, source, data.inputs[kept], data.labels[kept], folds)


def robots(folder: Path) -> Space:
    """Generated robots that the encoder has not seen; one fold, three fifths of them."""
    kept, texts, words = drawn.load(folder / "robots")
    speaks = torch.tensor([drawn.RULE.get(text, 0) for text in texts])
    owners = torch.stack([speaks < 0, speaks > 0])
    for (
        column
    ) in drawn.PHRASES.values():  # what speaks for one class speaks, where it is not, for the other
        a, b = (texts.index(text) for text in column)
        owners[:, a] |= owners[:, b].flip(0)
        owners[:, b] |= owners[:, a].flip(0)
    folds = torch.where(torch.arange(len(kept["labels"])) % 5 < 2, -1, 0)
    return Space(
        kept["samples"],
        kept["labels"].long(),
        folds,
        tuple(texts),
        owners,
        torch.no_grad()(words),
        kept["true"],
    )


def _space(
    name: str, classes: Sequence[str], source: EncoderSource, inputs, labels, folds: Tensor
) -> Space:
    concepts = open_concepts(name).for_classes(classes)
    samples = embed(source.load(), torch.from_numpy(np.array(inputs)))
    return Space(
        F.normalize(samples, dim=1),
        torch.from_numpy(labels),
        folds,
        tuple(concepts.texts),
        torch.from_numpy(concepts.owners),
        lambda texts: F.normalize(source.embed_texts(texts), dim=1),
    )


def vocabulary() -> list[str]:
    """Return the whole words of CLIP's tokeniser in small letters, four to twelve of them: 28,160."""
    import open_clip

    tokens = open_clip.get_tokenizer("ViT-B-32").encoder
    words = (token.removesuffix("</w>") for token in tokens if token.endswith("</w>"))
    return sorted(word for word in words if re.fullmatch("[a-z]{4,12}", word))
