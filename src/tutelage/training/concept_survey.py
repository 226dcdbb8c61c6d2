"""What a self-explaining network says of validation samples, kept beside its run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.batches import Samples
from tutelage.errors import UserError
from tutelage.interpret import concept_scores, faithfulness, gallery, heat_maps
from tutelage.models import On
from tutelage.modes import evaluating
from tutelage.recipe.fold import Fold
from tutelage.runs.explanations import ExplanationHeader, Explanations, StreamHeader
from tutelage.steps.base import Device
from tutelage.training.dissection import Asked, annotated, dissect, present, strongest
from tutelage.training.settings import cpu_fabric
from tutelage.types import ConceptStream

__all__ = ["explain", "explains_itself", "try_explaining"]

_SCORED = 1000  # validation samples that concepts are ranked by
_EXPLAINED, _CLASSES = 24, 12  # samples that are taken apart, classes they come from
_GALLERIES, _TOP = 12, 6  # concepts of a stream that are shown, samples of each
_SPEAKING = 5  # concepts that are named for a class
_MEASURED, _LEAST = 64, 8  # samples that faithfulness is measured on, at most and at least
_WORK = 20_000  # of these samples times concepts
_FLOATS = 2**26  # of all contributions to all classes at a time
_SIDE = 128  # pixels of a picture that is kept to be looked at


def explains_itself(network: On) -> bool:
    """Return whether a network takes its own scores apart."""
    return network.network.explains()


def explain(
    network: On, samples: Samples, data: Fold, validation: Tensor, fabric: Device
) -> Explanations | None:
    """Return what a network says of its own predictions (``docs/run-folder.md``); None where it says nothing.

    Args:
        network: as it is deployed.
        samples: the data, with the network's input.
        data: the fold; its own input is shown where the network reads vectors.
        validation: sample ids; evenly spaced ones are taken where there are very many.
        fabric: device and precision.
    """
    if not explains_itself(network) or not len(validation) or len(samples.class_names) < 2:
        return None
    network.eval()
    asked = Asked(network, samples, fabric)
    with torch.no_grad(), fabric.autocast():
        index = _evenly(validation, _SCORED)
        survey = _survey(asked, index)
        chosen = index[_chosen(samples.labels[index], survey.logits.argmax(dim=1))]
        arrays = dissect(asked, chosen)
        arrays |= present(asked, chosen, survey.streams, arrays)
        scores = concept_scores(asked.inner, (x for _, x in asked.batches(index)))
        for name, values in scores.items():
            arrays |= _shown(asked, survey, index, name, gallery(values, _TOP))
        measured = _measured(asked, validation, survey)
    shown = (arrays[f"{name}.gallery"].flatten() for name in scores)
    seen = torch.unique(torch.cat([chosen, *shown]))
    arrays |= {"input_index": seen, "inputs": _pictures(network, samples, data, seen)}
    header = ExplanationHeader(
        {name: StreamHeader(tuple(stream.names), tuple(stream.space))
         for name, stream in survey.streams.items()},
        len(index), measured,
    )  # fmt: skip
    return Explanations.of(header, {name: values.numpy() for name, values in arrays.items()})


def try_explaining(network: On, samples: Samples, index: Tensor, place: str) -> None:
    """Let a network explain one sample, so that a mistake shows before anything is trained.

    Args:
        network: any; one that does not explain itself is left alone.
        samples: the data.
        index: sample ids.
        place: in the recipe, for errors.

    Raises:
        UserError: the contributions do not sum up to the scores.
    """
    if not explains_itself(network) or len(samples.class_names) < 2:
        return
    with evaluating(network), torch.no_grad():
        arrays = dissect(Asked(network, samples, cpu_fabric()), index[:1])
    scores = arrays["logits"].gather(1, arrays["classes"])
    off = float((_total(arrays) - scores).abs().max())
    if not off <= 1e-3 * max(1.0, float(scores.abs().max())):
        raise UserError(
            f"{place}.network: what its concepts add is {off:.3g} away from its scores; allowed: explanations "
            "that sum up to them"
        )


def _total(arrays: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of all that was taken apart, [n, 2]."""
    total = arrays["rest"]
    for name, values in arrays.items():
        if name.endswith(".contributions"):
            total = total + values.sum(dim=(1, 2))
        elif name.endswith(".others"):
            total = total + values
    return total


@dataclass(frozen=True)
class _Survey:
    """What concepts do over many samples.

    Args:
        logits: [n, C].
        labels: [n].
        margins: stream -> how far each concept moved the true class away from its strongest rival, [n, M].
        streams: of one batch: names and places.
    """

    logits: Tensor
    labels: Tensor
    margins: dict[str, Tensor]
    streams: dict[str, ConceptStream]


def _survey(asked: Asked, index: Tensor) -> _Survey:
    logits: list[Tensor] = []
    margins: dict[str, list[Tensor]] = {}
    streams: dict[str, ConceptStream] = {}
    for few, x in asked.batches(index):
        scores = asked.inner(x).logits.float().cpu()
        logits.append(scores)
        own = asked.samples.labels[few]
        pair = torch.stack([own, strongest(scores, own)], dim=1)
        streams = dict(asked.inner.explain(x, pair.to(x.device)).streams)
        for name, stream in streams.items():
            parts = stream.contributions.float().sum(dim=1)
            margins.setdefault(name, []).append((parts[..., 0] - parts[..., 1]).cpu())
    joined = {name: torch.cat(parts) for name, parts in margins.items()}
    return _Survey(torch.cat(logits), asked.samples.labels[index], joined, streams)


def _evenly(index: Tensor, count: int) -> Tensor:
    return index[torch.linspace(0, len(index) - 1, min(count, len(index))).long()]


def _chosen(labels: Tensor, predicted: Tensor) -> Tensor:
    """Return positions of a few samples of each class: the first that are right, the first that is not."""
    classes = _evenly(torch.unique(labels), _CLASSES).tolist()
    each = min(4, _EXPLAINED // len(classes))
    found = []
    for c in classes:
        mine = labels == c
        right = (mine & (predicted == c)).nonzero()[:, 0]
        wrong = (mine & (predicted != c)).nonzero()[:, 0]
        kept = right[: each - min(1, len(wrong))]
        found += [kept, wrong[: each - len(kept)]]
    return torch.cat(found)


def _shown(
    asked: Asked, survey: _Survey, index: Tensor, name: str, top: Tensor
) -> dict[str, Tensor]:
    """Return galleries of the concepts of a stream that move classes most, and which speak for which class.

    Args:
        asked: the network.
        survey: what its concepts do.
        index: ids of the samples that were scored.
        name: of the stream.
        top: rows of the best samples of each concept, [M, top].
    """
    margins = survey.margins[name]
    use = margins.abs().mean(dim=0)
    concepts = use.argsort(descending=True, stable=True)[:_GALLERIES]
    kept = index[top[concepts]]  # [G, top]
    means = [
        margins[survey.labels == c].sum(dim=0) / max(1, int((survey.labels == c).sum()))
        for c in range(len(asked.samples.class_names))
    ]
    speaking = [m.abs().argsort(descending=True, stable=True)[:_SPEAKING] for m in means]
    found = {
        f"{name}.use": use,
        f"{name}.speaking": torch.stack(speaking),
        f"{name}.by_class": torch.stack([m[s] for m, s in zip(means, speaking, strict=True)]),
        f"{name}.shown": concepts,
        f"{name}.gallery": kept,
        f"{name}.gallery_labels": asked.samples.labels[kept],
    }
    if math.prod(survey.streams[name].space) > 1:
        found[f"{name}.heat"] = _heat(asked, name, concepts, kept)
    return found


def _heat(asked: Asked, name: str, concepts: Tensor, index: Tensor) -> Tensor:
    """Return how much of its attention each sample of a gallery gives to the concept, by place, [G, top, L]."""
    ids, places = torch.unique(index, return_inverse=True)
    one = torch.zeros(1, dtype=torch.long, device=asked.fabric.device)
    parts = []
    for _, x in asked.batches(ids):
        stream = asked.inner.explain(x, one).streams[name]
        parts.append(heat_maps(stream, stream.space, floor=0.0).flatten(2).float().cpu())
    return torch.cat(parts)[places, concepts[:, None]]


def _measured(asked: Asked, validation: Tensor, survey: _Survey) -> dict[str, Any]:
    """Return how faithful the explanations are; nothing where that takes too long: very many concepts."""
    streams = survey.streams.values()
    concepts = sum(len(stream.names) for stream in streams)
    index = _evenly(validation, min(_MEASURED, _WORK // max(1, concepts)))
    if len(index) < min(_LEAST, len(validation)):
        return {}
    size = max(math.prod(s.space) * len(s.names) for s in streams) * survey.logits.shape[1]
    found: dict[str, Any] = faithfulness(
        asked.inner,
        asked.inputs(index),
        annotated(asked, index, survey.streams),
        batch_size=max(1, min(64, _FLOATS // size)),
    )
    return {key: _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    """Return numbers as JSON knows them: what is not finite is nothing."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value if math.isfinite(value) else None


def _pictures(network: On, samples: Samples, data: Fold, index: Tensor) -> Tensor:
    """Return inputs to look at: what the network reads, or what a vector was made from; large images reduced."""
    values = samples.inputs[network.modality]
    if values.ndim > 2:
        found = network.cut(values[index]).cpu()
    else:
        found = torch.from_numpy(np.array(data.dataset.inputs[index.numpy()]))
    longest = max(found.shape[2:])
    if found.ndim == 4 and longest > _SIDE:
        size = [max(1, round(side * _SIDE / longest)) for side in found.shape[2:]]
        small = F.interpolate(found.float(), size, mode="area")
        found = small if found.is_floating_point() else small.round().to(found.dtype)
    return found.float() if found.is_floating_point() else found
