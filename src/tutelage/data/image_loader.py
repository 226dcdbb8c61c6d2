"""Official image sets: files counted as published, decoded once into a store on disk."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from tutelage.data.dataset import COLOURS, DataSet, Ints
from tutelage.data.loader import Loader, at_least
from tutelage.data.pictures import ImageLayout, decode, refuse_full_disk
from tutelage.data.sources import Source
from tutelage.data.store import Progress, cached
from tutelage.errors import UserError, near

PARTS = ("train", "validation", "test")
_SUFFIXES = (".png", ".jpeg", ".jpg")
_ADVICE = "; are the files complete? (expect_official: false takes what is there)"

Groups = Mapping[tuple[int, int], list[str]]  # numbers of part and class -> files


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a source in the order of the store: by part, class and file name.

    Args:
        files: paths in the source, [N].
        parts: number of the part of each image, [N].
        labels: class number of each image, [N].
        classes: readable names.
    """

    files: list[str]
    parts: Ints
    labels: Ints
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ImageLoader(Loader):
    """An official image set.

    Args:
        folder: the folder or the official archive; relative to the working directory. None: in the data cache.
        expect_official: refuse numbers of images and classes other than the published ones.
        per_class: at most that many images of each class in each part, evenly spaced over the sorted file
            names; None: all.
        classes: names of the classes, or what the files call them, to take; none: all.
    """

    folder: str | None = None
    expect_official: bool = True
    per_class: int | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        at_least(self, 1, per_class=self.per_class)

    @final
    def _load(self, cache: Path, progress: Progress) -> DataSet:
        source = self._source(cache)
        content = source.stamp(cache / ".listing.json")
        return cached(cache, self, content, lambda scratch: self._build(source, scratch, progress))

    def _root(self, cache: Path) -> Path:
        """Return what the user named, else the folder in the data cache."""
        return cache if self.folder is None else Path(self.folder).expanduser()

    @abstractmethod
    def _source(self, cache: Path) -> Source:
        """Return where the files are."""

    @abstractmethod
    def _layout(self, source: Source) -> ImageLayout:
        """Return how the files are arranged."""

    def _build(self, source: Source, scratch: Path, progress: Progress) -> DataSet:
        return self._decoded(source, self._layout(source), scratch, progress)

    def _decoded(
        self, source: Source, layout: ImageLayout, scratch: Path, progress: Progress
    ) -> DataSet:
        """Decode all chosen images into ``inputs.npy`` of a folder, and return the data set."""
        progress(f"listing {self.kind}", 0.0)
        listed = self._listed(source, layout)
        refuse_full_disk(scratch, self.kind, len(listed.files) * 3 * layout.size**2)
        inputs = scratch / "inputs.npy"
        decode(source, layout, listed.files, inputs, lambda d: progress(f"decoding {self.kind}", d))
        progress(f"checking {self.kind}", 1.0)
        parts = {name: listed.parts == number for number, name in enumerate(PARTS)}
        return DataSet(
            name=layout.name,
            modality="image",
            inputs=np.load(inputs, mmap_mode="r", allow_pickle=False),
            labels=listed.labels,
            subjects=None,
            class_names=listed.classes,
            channel_names=COLOURS,
            official_test=parts["test"],
            official_validation=parts["validation"] if parts["validation"].any() else None,
            source=f"{layout.citation}. From: {source.path.name}",
            listed=_listed_places(layout, listed.files),
        )

    def _listed(self, source: Source, layout: ImageLayout) -> Listing:
        """Return the chosen images, after the numbers of all images were compared with the published ones."""
        groups = self._grouped(source, layout)
        self._expect_counts(source, layout, groups)
        chosen = self._chosen(layout)
        order = sorted(key for key in groups if key[1] in chosen)
        files = {key: _spaced(sorted(groups[key]), self.per_class) for key in order}
        sizes = [len(files[key]) for key in order]
        names = tuple(layout.classes.values())
        return Listing(
            [name for key in order for name in files[key]],
            np.repeat(np.array([part for part, _ in order], np.int64), sizes),
            np.repeat(np.array([chosen.index(label) for _, label in order], np.int64), sizes),
            tuple(names[number] for number in chosen),
        )

    def _grouped(self, source: Source, layout: ImageLayout) -> Groups:
        numbers = {token: number for number, token in enumerate(layout.classes)}
        groups: dict[tuple[int, int], list[str]] = {}
        for name in source.names:
            belongs = layout.sort(name.split("/")) if name.lower().endswith(_SUFFIXES) else None
            if belongs is None:
                continue
            part, token = belongs
            if token not in numbers:
                raise UserError(
                    f"{layout.name}: {name}: found class {token!r}{near(token, numbers)}; allowed are "
                    f"the {len(numbers)} classes of {self.kind}"
                )
            groups.setdefault((PARTS.index(part), numbers[token]), []).append(name)
        return groups

    def _chosen(self, layout: ImageLayout) -> list[int]:
        """Return the numbers of the chosen classes, in the order of the classes."""
        known = {name: number for number, name in enumerate(layout.classes.values())}
        known |= {token: number for number, token in enumerate(layout.classes)}
        for name in self.classes:
            if name not in known:
                raise UserError(
                    f"{self.kind}.classes: unknown class {name!r}{near(name, known)} (allowed: the "
                    f"{len(layout.classes)} names of the classes, or of their folders)"
                )
        return sorted({known[name] for name in self.classes} or range(len(layout.classes)))

    def _expect_counts(self, source: Source, layout: ImageLayout, groups: Groups) -> None:
        """Compare the number of images in each part and class with the published ones."""
        for part, (total, each) in layout.counts.items():
            number = PARTS.index(part)
            sizes = {label: len(files) for (p, label), files in groups.items() if p == number}
            count = sum(sizes.values())
            where = f"{layout.name}: {part} part in {source.path}"
            if self.expect_official and count != total:
                raise UserError(
                    f"{where}: found {count:,} images, the published one has {total:,}{_ADVICE}"
                )
            for label, (token, name) in enumerate(layout.classes.items()):
                if self.expect_official and each is not None and sizes.get(label, 0) != each:
                    known = token if token == name else f"{token}, {name}"
                    raise UserError(
                        f"{where}: class {known}: found {sizes.get(label, 0):,} images, the published one "
                        f"has {each:,}{_ADVICE}"
                    )
            if not count and part != "validation":
                raise UserError(
                    f"{where}: found no images, allowed are {total:,}, or a part of them"
                )

    def _expect_classes(self, where: str, count: int, published: int) -> None:
        """Refuse another number of classes than the published one."""
        if self.expect_official and count != published:
            raise UserError(
                f"{where}: found {count} classes, the published one has {published}; "
                "expect_official: false takes what is there"
            )


def _spaced(files: list[str], count: int | None) -> list[str]:
    """Return at most so many files, evenly spaced."""
    if count is None or count >= len(files):
        return files
    return [files[number * len(files) // count] for number in range(count)]


def _listed_places(layout: ImageLayout, files: Sequence[str]) -> Ints | None:
    """Return where each image stands in the publisher's list, [N]; None where there is no list."""
    if not layout.listed:
        return None
    return np.array([layout.listed[name] for name in files], np.int64)
