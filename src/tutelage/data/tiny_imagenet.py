"""Tiny ImageNet: 200 classes of ImageNet at 64x64 pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tutelage.data.dataset import DataSet
from tutelage.data.pictures import (
    Choice,
    Layout,
    build,
    exactly,
)
from tutelage.data.sources import Source, find
from tutelage.data.store import (
    Progress,
    cached_on_disk,
    home,
    quiet,
    usable,
)
from tutelage.data.synsets import readable, synonyms
from tutelage.errors import UserError

CLASSES = 200
COUNTS = {"train": (100_000, 500), "test": (10_000, 50)}
ARCHIVE = "tiny-imagenet-200.zip"
_ANNOTATIONS = "val/val_annotations.txt"
_CITATION = "Le, Yang (2015), Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N"


@dataclass(frozen=True)
class TinyImageNet:
    """Tiny ImageNet: 100,000 images to train on and 10,000 to test, 64x64 RGB, 200 classes.

    The official validation images are the test part, as everywhere: the labels of the official test images
    were never published. Classes are numbered in the order of their WordNet numbers (wnids).

    Args:
        folder: the folder ``tiny-imagenet-200`` or the official tiny-imagenet-200.zip; relative to the
            working directory. None: ``tinyimagenet`` in the data cache.
        expect_official: refuse numbers of images other than the published ones.
        per_class: at most that many images of each class in each part, evenly spaced; None: all.
        classes: names or wnids of the classes to take; none: all.
    """

    name: ClassVar[str] = "tinyimagenet"

    folder: str | None = None
    expect_official: bool = True
    per_class: int | None = None
    classes: tuple[str, ...] = ()

    def load(self, folder: Path | None = None, progress: Progress | None = None) -> DataSet:
        """Return the images, decoded at the first time.

        Args:
            folder: data cache root, default :func:`tutelage.data.home`.
            progress: called with a text and the fraction done.

        Raises:
            UserError: no images, not as many as published, a broken one, or too small a disk.
        """
        place = (folder or home()) / self.name
        with usable(place):
            source = find(
                "TinyImageNet.folder", self.folder, place,
                tops=("train", "val", "wnids.txt", "words.txt"), archives=(ARCHIVE,),
                inside=("tiny-imagenet-200",),
                where=f"http://cs231n.stanford.edu/{ARCHIVE} and put it, or its folder, into {place}, "
                "or name where it is: folder",
            )  # fmt: skip
            choice = Choice(self.expect_official, self.per_class, self.classes)
            return cached_on_disk(
                place,
                replace(self, folder=None),
                source.stamp(place / ".listing.json"),
                lambda scratch: build(
                    source, self._layout(source), choice, scratch, progress or quiet
                ),
            )

    def _layout(self, source: Source) -> Layout:
        tokens = sorted(source.text("wnids.txt").split())
        if self.expect_official and len(set(tokens)) != CLASSES:
            raise UserError(
                f"{source.path}: wnids.txt: found {len(set(tokens))} classes, the published one has "
                f"{CLASSES}; expect_official: false takes what is there"
            )
        words = synonyms(source.text("words.txt"))
        tested = _annotations(source)

        def sort(path: Sequence[str]) -> tuple[str, str] | None:
            """Return part and class of train/<wnid>/images/<file> or val/images/<file>."""
            if len(path) == 4 and path[0] == "train" and path[2] == "images":
                return "train", path[1]
            if len(path) == 3 and path[:2] == ["val", "images"]:
                if path[2] not in tested:
                    raise UserError(
                        f"{source.path}: {'/'.join(path)}: found no line for it in {_ANNOTATIONS}"
                    )
                return "test", tested[path[2]]
            return None

        return Layout(
            self.name, "TinyImageNet", _CITATION, readable(tokens, words, str(source.path)),
            sort, COUNTS, 64, exactly,
        )  # fmt: skip


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
