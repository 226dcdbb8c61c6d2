"""What becomes of validation predictions when a person changes what concepts count."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tutelage.errors import UserError, unknown
from tutelage.models import Network
from tutelage.modes import evaluating
from tutelage.training.dissection import Asked

__all__ = ["ConceptEdit", "EditEffect", "edit_effect", "place_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ConceptEdit:
    """A concept that is to count differently.

    Args:
        concept: its name.
        weight: how many times as much it counts: 1 as it is, 0 not at all, -1 turned around.
        classes: for which classes; none for all.
        stream: of the concept, where several have one of this name.
    """

    concept: str
    weight: float
    classes: tuple[str, ...] = ()
    stream: str = ""


@dataclass(frozen=True)
class EditEffect:
    """Predictions of n samples before and after.

    Args:
        labels: [n], classes.
        before: [n], predicted classes.
        after: the same with the edits.
        moved: [n], how far the score of the true class moved away from its strongest rival.
    """

    labels: Ints
    before: Ints
    after: Ints
    moved: NDArray[np.float64]

    @property
    def accuracy(self) -> tuple[float, float]:
        """Before and after."""
        return tuple(float((said == self.labels).mean()) for said in (self.before, self.after))  # type: ignore[return-value]

    @property
    def righted(self) -> int:
        """How many became right."""
        return int(((self.before != self.labels) & (self.after == self.labels)).sum())

    @property
    def spoiled(self) -> int:
        """How many became wrong."""
        return int(((self.before == self.labels) & (self.after != self.labels)).sum())

    @property
    def changed(self) -> int:
        """How many are predicted otherwise."""
        return int((self.before != self.after).sum())

    def recalls(self) -> dict[int, tuple[float, float]]:
        """Return the recall of each class before and after, where its samples are predicted otherwise."""
        found = {}
        for label in np.unique(self.labels).tolist():
            mine = self.labels == label
            if (self.before[mine] != self.after[mine]).any():
                found[label] = (
                    float((self.before[mine] == label).mean()),
                    float((self.after[mine] == label).mean()),
                )
        return found


def place_of(
    network: Network, edit: ConceptEdit, streams: dict[str, tuple[str, ...]]
) -> tuple[str, int]:
    """Return stream and number of an edit's concept.

    Args:
        network: for messages.
        edit: names the concept.
        streams: names of the concepts of each stream.

    Raises:
        UserError: no concept has this name, or one in several streams.
    """
    if edit.stream and edit.stream not in streams:
        raise unknown("--stream", "stream", edit.stream, streams)
    asked = {edit.stream: streams[edit.stream]} if edit.stream else streams
    found = [
        (name, names.index(edit.concept)) for name, names in asked.items() if edit.concept in names
    ]
    if not found:
        every = [text for names in asked.values() for text in names]
        raise unknown(f"--concept: {type(network).__name__}", "concept", edit.concept, every)
    if len(found) > 1:
        raise UserError(
            f"--concept: {edit.concept!r} is in several streams; allowed: --stream with one of "
            f"{', '.join(name for name, _ in found)}"
        )
    return found[0]


def edit_effect(
    asked: Asked, index: Tensor, edits: Sequence[ConceptEdit], class_names: Sequence[str]
) -> EditEffect:
    """Return what edits do to the predictions of samples.

    A class score is a sum over concepts, so one that counts w times as much adds w - 1 times what it contributed.

    Args:
        asked: a network that explains itself, and its samples.
        index: sample ids, [n], at least one.
        edits: what is changed.
        class_names: N names.

    Raises:
        UserError: there is no such concept, stream or class, or one is changed twice for a class.
    """
    numbers = [_classes(edit, class_names) for edit in edits]
    before, after = [], []
    with torch.no_grad(), asked.fabric.autocast(), evaluating(asked.network):
        for _, x in asked.batches(index):
            logits = asked.inner(x).logits.float()
            streams = asked.inner.explain(x).streams
            places = [
                place_of(asked.inner, edit, {name: tuple(s.names) for name, s in streams.items()})
                for edit in edits
            ]
            _refuse_twice(edits, places, numbers)
            edited = logits.clone()
            for edit, (stream, concept), classes in zip(edits, places, numbers, strict=True):
                parts = streams[stream].contributions[:, :, concept].float().sum(dim=1)  # [b, N]
                edited[:, classes] += (edit.weight - 1) * parts[:, classes]
            before.append(logits.cpu())
            after.append(edited.cpu())
    labels = asked.samples.labels[index]
    old, new = torch.cat(before), torch.cat(after)
    moved = _margin(new, labels) - _margin(old, labels)
    return EditEffect(
        labels.numpy(), old.argmax(dim=1).numpy(), new.argmax(dim=1).numpy(), moved.double().numpy()
    )


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return own - others.amax(dim=1)


def _classes(edit: ConceptEdit, class_names: Sequence[str]) -> list[int]:
    for name in edit.classes:
        if name not in class_names:
            raise unknown("--class", "class", name, class_names)
    return [class_names.index(name) for name in edit.classes] or list(range(len(class_names)))


def _refuse_twice(
    edits: Sequence[ConceptEdit],
    places: Sequence[tuple[str, int]],
    numbers: Sequence[Sequence[int]],
) -> None:
    seen = set()
    for edit, place, classes in zip(edits, places, numbers, strict=True):
        for number in classes:
            if (place, number) in seen:
                raise UserError(
                    f"edits: {edit.concept!r} is changed twice for one class, allowed is once"
                )
            seen.add((place, number))
