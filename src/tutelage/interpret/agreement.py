"""Do the concepts a network attends to mean what their names say? Attention beside annotations, and in words."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.losses.concepts import on_grid
from tutelage.types import ConceptStream, Explanation


def concept_accuracy(attention: Tensor, annotated: Tensor) -> Tensor:
    """Return the part of the annotated rows whose most attended concept is an annotated one, [B].

    For one-hot annotations this is the accuracy of ``argmax``. A row that holds a NaN, or no concept at all,
    is left out; a sample without any other row gives NaN.

    Args:
        attention: how much each row is about each concept, [B, ..., M].
        annotated: how much each concept is present, of the same shape.

    Raises:
        ValueError: the shapes differ.

    Examples:
        >>> concept_accuracy(torch.tensor([[0.7, 0.3], [0.7, 0.3]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        tensor([0., 1.])
    """
    if attention.shape != annotated.shape:
        raise ValueError(
            f"attention {list(attention.shape)} and annotations {list(annotated.shape)} differ; allowed: one shape"
        )
    rows = (len(attention), -1)
    known = (annotated.sum(dim=-1) > 0).reshape(rows)  # false for NaN, too
    top = attention.argmax(dim=-1, keepdim=True)
    right = (annotated.gather(-1, top).squeeze(-1) > 0).reshape(rows) & known
    return right.sum(dim=1) / known.sum(dim=1)


def concept_accuracies(
    explanation: Explanation, concepts: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the concept accuracy of every stream whose concepts are annotated, [B] each.

    Args:
        explanation: of a batch.
        concepts: annotations of the batch by stream: ``global`` [B, M], ``spatial`` [B, *places, M]. Those of
            places are put onto the places of the stream.

    Raises:
        ValueError: a stream has another number of concepts than its annotations.
    """
    return {
        name: concept_accuracy(attention, annotated)
        for name, (attention, annotated) in _on_places(explanation, concepts).items()
    }


def concept_chances(explanation: Explanation, concepts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the concept accuracy that attention at random would have, [B] for every stream that is annotated.

    It is the part of the concepts that are annotated, mean over the rows that ``concept_accuracies`` counts.
    Arguments and errors are those of :func:`concept_accuracies`.
    """
    found = {}
    for name, (_, annotated) in _on_places(explanation, concepts).items():
        rows = annotated.flatten(1, -2) if annotated.ndim > 2 else annotated[:, None]
        known = rows.sum(dim=-1) > 0  # false for NaN, too
        share = (rows > 0).to(torch.get_default_dtype()).mean(dim=-1)
        found[name] = (share * known).sum(dim=1) / known.sum(dim=1)
    return found


def _on_places(
    explanation: Explanation, concepts: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return attention and annotations of every stream that is annotated, of one shape [B, ..., M]."""
    found = {}
    for name, stream in explanation.streams.items():
        if name not in concepts:
            continue
        annotated = concepts[name]
        if annotated.ndim == 2:
            attention = stream.attention.mean(dim=1)
        else:
            shape = (len(stream.attention), *stream.space, len(stream.names))
            attention = stream.attention.reshape(shape)
            annotated = on_grid(annotated, stream.space)
        found[name] = attention, annotated
    return found


def comparable(stream: ConceptStream, annotated: Tensor) -> bool:
    """Return whether annotations of a batch can be put onto the places of a stream.

    Args:
        stream: of an explanation.
        annotated: [B, M] or [B, *places, M].
    """
    given = annotated.shape[1:-1]
    pairs = zip(given, stream.space, strict=False)
    fits = all(have % want == 0 or want % have == 0 for have, want in pairs)
    return annotated.shape[-1] == len(stream.names) and (
        not given or (len(given) == len(stream.space) and fits)
    )


def mass_inside(maps: Tensor, inside: Tensor) -> Tensor:
    """Return the part of what speaks for a class that lies at certain places, such as the annotated ones, [B].

    Args:
        maps: what each place adds, [B, *space]; only positive values count.
        inside: the places, [B, *space] bool.

    Returns:
        From 0 to 1; NaN where nothing speaks for the class. What chance gives is the share of these places.

    Source:
        Arras, Osman, Samek 2022, CLEVR-XAI, arXiv:2003.07258: relevance mass accuracy.

    Examples:
        >>> mass_inside(torch.tensor([[3.0, 1.0, -2.0]]), torch.tensor([[True, False, False]]))
        tensor([0.7500])
    """
    speaking = maps.clamp_min(0).flatten(1)
    return torch.where(inside.flatten(1), speaking, 0.0).sum(dim=1) / speaking.sum(dim=1)


def mentioned(
    explanation: Explanation, *, place: float = 0.6, part: float = 0.3, whole: float = 0.2
) -> list[dict[str, list[str]]]:
    """Return the names of the concepts that stand out in the attention, for each sample by stream.

    Args:
        explanation: of a batch.
        place: a place is active when its largest attention is above this.
        part: a concept of places is named when its largest attention over the active places is above this.
        whole: a concept of the whole input is named when its attention is above this.

    Source:
        jyhong0304/concept_centric_transformers, ``plot_cub_expl``: the thresholds of the figures for CUB.
    """
    found: list[dict[str, list[str]]] = [{} for _ in range(len(explanation.rest))]
    for name, stream in explanation.streams.items():
        attention = stream.attention
        if attention.shape[1] == 1:
            named = attention[:, 0] > whole
        else:
            active = attention.amax(dim=2, keepdim=True) > place
            named = torch.where(active, attention, 0.0).amax(dim=1) > part
        for sample, row in zip(found, named.tolist(), strict=True):
            sample[name] = [text for text, yes in zip(stream.names, row, strict=True) if yes]
    return found
