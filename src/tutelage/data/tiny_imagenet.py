"""Tiny ImageNet: 200 classes of ImageNet at 64x64 pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tutelage.data.image_loader import ImageLoader
from tutelage.data.pictures import ImageLayout, exactly
from tutelage.data.sources import Source, find
from tutelage.data.synsets import readable, synonyms
from tutelage.errors import UserError

CLASSES = 200
COUNTS = {"train": (100_000, 500), "test": (10_000, 50)}
ARCHIVE = "tiny-imagenet-200.zip"
_ANNOTATIONS = "val/val_annotations.txt"
_CITATION = "Le, Yang (2015), Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N"


@dataclass(frozen=True)
class TinyImageNet(ImageLoader):
    """Tiny ImageNet: 100,000 images to train on and 10,000 to test, 64x64 RGB, 200 classes.

    The official validation images are the test part, as everywhere: the labels of the official test images
    were never published. A ``val`` that was sorted into class folders is read, too. Classes are numbered in the
    order of their WordNet numbers (wnids). ``folder`` is the folder ``tiny-imagenet-200`` or the official
    tiny-imagenet-200.zip.
    """

    name: ClassVar[str] = "tinyimagenet"

    def _source(self, cache: Path) -> Source:
        return find(
            "TinyImageNet.folder", self.folder, cache,
            tops=("train", "val", "wnids.txt", "words.txt"), archives=(ARCHIVE,),
            inside=("tiny-imagenet-200",),
            where=f"http://cs231n.stanford.edu/{ARCHIVE} and put it, or its folder, into {cache}, "
            "or name where it is: folder",
        )  # fmt: skip

    def _layout(self, source: Source) -> ImageLayout:
        tokens = sorted(source.text("wnids.txt").split())
        self._expect_classes(f"{source.path}: wnids.txt", len(set(tokens)), CLASSES)
        words = synonyms(source.text("words.txt"))
        flat = any(name.startswith("val/images/") for name in source.names)
        tested = _annotations(source) if flat else {}

        def sort(path: Sequence[str]) -> tuple[str, str] | None:
            """Return part and class of train/<wnid>/images/<file>, val/images/<file> or val/<wnid>/...<file>."""
            if len(path) == 4 and path[0] == "train" and path[2] == "images":
                return "train", path[1]
            if (
                path[0] == "val" and len(path) in (3, 4) and path[1] in words
            ):  # sorted by hand, as many do
                return "test", path[1]
            if len(path) == 3 and path[:2] == ["val", "images"]:
                if path[2] not in tested:
                    raise UserError(
                        f"{source.path}: {'/'.join(path)}: found no line for it in {_ANNOTATIONS}"
                    )
                return "test", tested[path[2]]
            return None

        names = readable(tokens, words, str(source.path))
        return ImageLayout(self.name, _CITATION, names, sort, COUNTS, 64, exactly)


def _annotations(source: Source) -> Mapping[str, str]:
    """Return the class of each file of ``val``: lines of name, wnid and a box, between tabs."""
    lines = [line.split("\t") for line in source.text(_ANNOTATIONS).splitlines() if line.strip()]
    wrong = next((line for line in lines if len(line) < 2), None)
    if wrong is not None:
        raise UserError(
            f"{source.path}: {_ANNOTATIONS}: found {wrong[0]!r}, allowed are a file name, a wnid and a "
            "box, between tabs"
        )
    return {line[0]: line[1].strip() for line in lines}
