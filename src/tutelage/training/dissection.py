"""One sample at a time: its scores taken apart into concepts, and asked for again without each of them."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from tutelage.batches import Samples
from tutelage.interpret import comparable
from tutelage.losses.concepts import on_grid
from tutelage.models import Network, On
from tutelage.steps.base import Device
from tutelage.types import ConceptStream

__all__ = ["Asked", "annotated", "dissect", "present", "strongest"]

T = TypeVar("T")

_CONCEPTS = 8  # of a stream that are kept of a sample; the others are summed
_BATCH = 32


@dataclass(frozen=True)
class Asked:
    """A network that explains itself, what it reads and how it is run."""

    network: On
    samples: Samples
    fabric: Device

    @property
    def inner(self) -> Network:
        """The network that reads standardised inputs."""
        return self.network.network

    def inputs(self, index: Tensor) -> Tensor:
        """Return standardised inputs of these samples, on the device."""
        stored = self.samples.inputs[self.network.modality][index].to(self.fabric.device)
        return self.network.standardise(self.network.cut(stored))

    def batches(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield a few sample ids and their standardised inputs."""
        for start in range(0, len(index), _BATCH):
            few = index[start : start + _BATCH]
            yield few, self.inputs(few)


def strongest(logits: Tensor, besides: Tensor) -> Tensor:
    """Return the class with the highest score besides one, [n]."""
    return logits.scatter(1, besides[:, None], -math.inf).argmax(dim=1)


def dissect(asked: Asked, index: Tensor) -> dict[str, Tensor]:
    """Return what concepts do in each of these samples; the batch it stands in does not matter.

    Args:
        asked: the network.
        index: sample ids, [n].

    Returns:
        The arrays ``index`` to ``<stream>.without`` of ``explanations.npz`` (``docs/run-folder.md``).
    """
    labels = asked.samples.labels[index]
    rows = [
        _apart(asked.inner, asked.inputs(one[None]), label)
        for one, label in zip(index, labels.tolist(), strict=True)
    ]
    joined = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return {"index": index, "labels": labels} | joined


def _apart(inner: Network, x: Tensor, label: int) -> dict[str, Tensor]:
    """Take the scores of one input apart, and ask for them without each of its strongest concepts."""
    logits = _seeded(partial(inner, x)).logits[0].float().cpu()
    first = int(logits.argmax())
    next_best = int(strongest(logits[None], torch.tensor([first])))
    pair = torch.tensor([first, next_best if label == first else label])
    told = _seeded(partial(inner.explain, x, pair[None].to(x.device)))
    found = {"logits": logits, "classes": pair, "rest": told.rest[0].float().cpu()}
    for name, stream in told.streams.items():
        parts = stream.contributions[0].float().cpu()  # [L, M, 2]
        total = parts.sum(dim=0)
        by_size = (total[:, 0] - total[:, 1]).abs().argsort(descending=True, stable=True)
        kept, others = by_size[:_CONCEPTS], by_size[_CONCEPTS:]
        left = [_seeded(partial(inner.without, x, name, concept)) for concept in kept.tolist()]
        found |= {
            f"{name}.concepts": kept,
            f"{name}.attention": stream.attention[0].float().cpu()[:, kept].T,
            f"{name}.contributions": parts[:, kept].transpose(0, 1),
            f"{name}.others": total[others].sum(dim=0),
            f"{name}.without": torch.cat(left).float().cpu(),
        }
    return found


def _seeded(ask: Callable[[], T]) -> T:
    """Ask with the same random stream each time: a network that draws in evaluation then draws the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ask()


def annotated(
    asked: Asked, index: Tensor, streams: Mapping[str, ConceptStream]
) -> dict[str, Tensor]:
    """Return annotations of the concepts that a network has, where they hold of what it reads.

    Args:
        asked: the network.
        index: sample ids, [n].
        streams: its streams by name, of any batch.

    Returns:
        stream -> [n, M] or [n, *places, M], NaN where nothing is annotated.
    """
    samples, network = asked.samples, asked.network
    shape = list(samples.inputs[network.modality].shape[1:])
    cropped = network.seen(shape) != shape
    found = {}
    for scope, values in samples.take(index).concepts.items():
        stream = streams.get(scope)
        if stream is None or stream.names != tuple(samples.concept_names[scope]):
            continue
        if comparable(stream, values) and not (cropped and values.ndim > 2):
            found[scope] = values.to(asked.fabric.device)
    return found


def present(
    asked: Asked, index: Tensor, streams: Mapping[str, ConceptStream], arrays: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return how much the concepts that are told of each sample are annotated there.

    Args:
        asked: the network.
        index: ids of the samples, [n].
        streams: its streams by name, of any batch.
        arrays: what :func:`dissect` said of these samples.

    Returns:
        ``<stream>.annotated``, [n, T, L], or [n, T, 1] where the whole input is annotated.
    """
    found = {}
    for name, known in annotated(asked, index, streams).items():
        whole = known.ndim == 2
        values = known[:, None] if whole else on_grid(known, streams[name].space).flatten(1, -2)
        concepts = arrays[f"{name}.concepts"][:, None].expand(-1, values.shape[1], -1)
        found[f"{name}.annotated"] = values.cpu().gather(2, concepts).transpose(1, 2)
    return found
