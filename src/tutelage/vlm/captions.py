"""Captions for samples that only have a class: templates with its name, and sentences about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from tutelage.errors import UserError

__all__ = ["IMAGE_TEMPLATES", "SIGNAL_TEMPLATES", "Captions"]

IMAGE_TEMPLATES = (
    "a photo of a {}.", "a small photo of a {}.", "a blurry photo of a {}.", "a picture of a {}.",
    "a close-up of a {}.", "a good photo of the {}.", "a photo of one {}.",
)  # fmt: skip
SIGNAL_TEMPLATES = (
    "a person {}.", "someone is {}.", "{}.", "a recording of {}.", "the wearer is {}.",
    "a window of motion while {}.",
)  # fmt: skip


@dataclass(frozen=True)
class Captions:
    """What may be said of a sample, by class.

    Args:
        class_names: N names.
        templates: with ``{}`` where the name goes.
        sentences: class -> what may be said of it besides; a class without has templates alone.
        share: probability of a sentence where there is one, in [0, 1].

    Raises:
        UserError: no templates, one without ``{}``, sentences of an unknown class, or a share outside [0, 1].
    """

    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    sentences: Mapping[str, Sequence[str]]
    share: float = 0.5

    def __post_init__(self) -> None:
        wrong = [text for text in self.templates if "{}" not in text]
        if wrong or not self.templates:
            raise UserError(f"captions.templates: found {wrong}, allowed: texts with {{}}")
        other = sorted(set(self.sentences) - set(self.class_names))
        if other:
            raise UserError(f"captions.sentences: found {other}, which are no classes")
        if not 0 <= self.share <= 1:
            raise UserError(f"captions.share: found {self.share}, allowed: 0 to 1")

    def draw(self, labels: torch.Tensor, generator: torch.Generator) -> list[str]:
        """Return one caption for each sample.

        Args:
            labels: classes, [B].
            generator: draws.
        """
        numbers = torch.rand(len(labels), 2, generator=generator).tolist()
        return [
            self._one(self.class_names[label], *pair)
            for label, pair in zip(labels.tolist(), numbers, strict=True)
        ]

    def named(self) -> list[list[str]]:
        """Return every template with each class's name, [N][templates]: what zero-shot prediction averages."""
        return [[text.format(name) for text in self.templates] for name in self.class_names]

    def _one(self, name: str, kind: float, place: float) -> str:
        sentences = self.sentences.get(name, ())
        if sentences and kind < self.share:
            return sentences[int(place * len(sentences))]
        return self.templates[int(place * len(self.templates))].format(name)
