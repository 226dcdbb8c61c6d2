"""Phrases that say nearly the same of a class: all but the first leave it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from tutelage.concepts.clean import Cleaned, Dropped
from tutelage.concepts.concept import ConceptSet
from tutelage.errors import within

__all__ = ["without_alike"]


def without_alike(
    concepts: ConceptSet, embed: Callable[[Sequence[str]], Tensor], limit: float = 0.95
) -> Cleaned:
    """Return the concepts without those that are like an earlier one of the same class.

    A concept of several classes stays with those where nothing earlier is like it. Embeddings of one class at a
    time are in memory.

    Args:
        concepts: phrases.
        embed: phrases -> embeddings, [n, D].
        limit: cosine from which on two phrases are alike, in (0, 1].

    Raises:
        ValueError: a limit outside (0, 1].
    """
    within("(0, 1]", alike=limit)
    owners = concepts.owners.copy()  # [N, M]
    likest: dict[int, str] = {}
    for row, name in enumerate(concepts.classes):
        numbers = concepts.of(name)
        for number, other in _repeated(embed([concepts.texts[i] for i in numbers]), limit):
            owners[row, numbers[number]] = False
            likest[numbers[number]] = concepts.texts[numbers[other]]
    kept, dropped = [], []
    for number, one in enumerate(concepts.concepts):
        left = tuple(
            name for name, owns in zip(concepts.classes, owners[:, number], strict=True) if owns
        )
        if not left:
            dropped.append(
                Dropped(one.text, one.owners, "like another of its class", likest[number])
            )
        else:
            origins = tuple(origin for origin in one.origins if origin.class_name in left)
            kept.append(replace(one, owners=left, origins=origins))
    return Cleaned(replace(concepts, concepts=tuple(kept)), tuple(dropped), 0)


def _repeated(vectors: Tensor, limit: float) -> list[tuple[int, int]]:
    """Return each phrase that is like an earlier one that stays, with the first such."""
    unit = F.normalize(vectors.double(), dim=1) if len(vectors) else vectors
    alike = (unit @ unit.mT >= limit - 1e-9).numpy() if len(unit) else np.zeros((0, 0), bool)
    stays: list[int] = []
    found = []
    for number in range(len(alike)):
        earlier = [other for other in stays if alike[number, other]]
        if earlier:
            found.append((number, earlier[0]))
        else:
            stays.append(number)
    return found
