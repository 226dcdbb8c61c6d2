"""A trained bottleneck changed by a person: a concept removed, added, or counted differently.

Weights of a bottleneck are normalised over its concepts, so that changing one would change all. An edit therefore
takes the normalised weights as final: what it changes is exactly what it says.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, unknown
from tutelage.models.concept_bottleneck import ConceptBottleneck

__all__ = ["add_concept", "remove_concept", "reweigh_concept"]


def remove_concept(bottleneck: ConceptBottleneck, concept: str) -> ConceptBottleneck:
    """Return a bottleneck without a concept: each class loses exactly what the concept contributed.

    Raises:
        UserError: there is no such concept.
    """
    number = _number(bottleneck, concept)
    kept = [i for i in range(len(bottleneck.names)) if i != number]
    owners = {text: names for text, names in bottleneck.selected.items() if text != concept}
    return _edited(bottleneck, owners, bottleneck.vectors[kept], bottleneck.association[:, kept])


def reweigh_concept(
    bottleneck: ConceptBottleneck,
    concept: str,
    factor: float,
    classes: Sequence[str] | None = None,
) -> ConceptBottleneck:
    """Return a bottleneck in which a concept counts ``factor`` times as much.

    A class score changes by ``factor - 1`` times what the concept contributed.

    Args:
        bottleneck: trained; stays as it is.
        concept: which.
        factor: 0 takes it away from these classes, a negative one turns it around.
        classes: for which classes; all unless given.

    Raises:
        UserError: there is no such concept or class.
    """
    number = _number(bottleneck, concept)
    names = bottleneck.class_names if classes is None else classes
    weights = bottleneck.association.detach().clone()
    weights[[_class(bottleneck, name) for name in names], number] *= factor
    return _edited(bottleneck, bottleneck.selected, bottleneck.vectors, weights)


def add_concept(
    bottleneck: ConceptBottleneck,
    concept: str,
    weights: Mapping[str, float],
    vector: Tensor | None = None,
) -> ConceptBottleneck:
    """Return a bottleneck with one more concept.

    A class score grows by ``scale * value * weight``. Normalised weights of a class sum to one over its M
    concepts, so that 1 / M is an average one.

    Args:
        bottleneck: trained; stays as it is.
        concept: a text that is not among the concepts yet.
        weights: class -> what the concept counts for it; 0 for all others.
        vector: the text's embedding, [channels]; that of the bottleneck's encoder unless given.

    Raises:
        UserError: the concept is there already, relevance is not none, there is no such class, or neither a vector
            nor an encoder.
    """
    if concept in bottleneck.selected:
        raise UserError(f"concept {concept!r} is among the concepts already; reweigh it")
    if bottleneck.relevance != "none":
        raise UserError(
            f"concept {concept!r}: what is usual of it is not known; concepts are added where relevance is none"
        )
    if vector is None:
        if bottleneck.encoder is None:
            raise UserError(f"concept {concept!r}: a vector is needed where there is no encoder")
        vector = bottleneck.encoder.embed_texts([concept])[0]
    column = torch.zeros(len(bottleneck.class_names), 1).to(bottleneck.weights)
    for name, weight in weights.items():
        column[_class(bottleneck, name)] = weight
    vectors = torch.cat([bottleneck.vectors, vector.to(bottleneck.vectors)[None]])
    owners = bottleneck.selected | {concept: tuple(weights)}
    return _edited(bottleneck, owners, vectors, torch.cat([bottleneck.association, column], dim=1))


def _edited(
    bottleneck: ConceptBottleneck,
    selected: Mapping[str, Sequence[str]],
    vectors: Tensor,
    association: Tensor,
) -> ConceptBottleneck:
    edited = deepcopy(bottleneck)
    edited.own(selected, vectors.detach())
    edited.weights = nn.Parameter(association.detach().clone())
    edited.softmax = "none"
    return edited


def _number(bottleneck: ConceptBottleneck, concept: str) -> int:
    if concept not in bottleneck.selected:
        raise unknown("concept", "concept", concept, bottleneck.selected)
    return bottleneck.names.index(concept)


def _class(bottleneck: ConceptBottleneck, name: str) -> int:
    if name not in bottleneck.class_names:
        raise unknown("classes", "class", name, bottleneck.class_names)
    return bottleneck.class_names.index(name)
