"""Official image sets: files counted as published, decoded once, in parallel, into a store on disk."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, TypeVar

import numpy as np

from tutelage.data.dataset import DataSet, Ints
from tutelage.data.sources import Content, Source
from tutelage.data.store import Progress
from tutelage.errors import UserError, near
from tutelage.files import bytes_in_words

if TYPE_CHECKING:
    from PIL.Image import Image

PARTS = ("train", "validation", "test")
SPARE = 64 << 20  # bytes left free on the disk
_CHUNK = 32  # images a thread decodes at a time
_SUFFIXES = (".png", ".jpeg", ".jpg")

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Layout:
    """How the files of one data set are arranged, and what has been published about them.

    Args:
        name: of the data set.
        loader: class name, for sentences.
        citation: whom to cite.
        classes: token of each class in the files -> readable name, in the order of the class numbers.
        sort: from the path of an image, split at the slashes, to its part and the token of its class;
            None for files that do not belong to the data set.
        counts: part -> published number of images, and number in each class (None: it varies).
        size: height and width in pixels of the stored images.
        fit: makes an RGB image that size; refuses what it must not change.
        box: from the path of an image to the part of it that is taken: left, top, right, bottom in pixels;
            None: all.
        formats: what the files may be, whatever their names end with; Pillow's words.
    """

    name: str
    loader: str
    citation: str
    classes: Mapping[str, str]
    sort: Callable[[Sequence[str]], tuple[str, str] | None]
    counts: Mapping[str, tuple[int, int | None]]
    size: int
    fit: "Callable[[Image, int], Image]"
    box: Callable[[str], tuple[int, int, int, int]] | None = None
    formats: tuple[str, ...] = ("PNG", "JPEG")


@dataclass(frozen=True)
class Choice:
    """Which of the images are taken.

    Args:
        expect_official: refuse numbers of images other than the published ones.
        per_class: at most that many images of each class in each part, evenly spaced over the sorted file
            names; None: all.
        classes: names or tokens of the classes to take; none: all.
    """

    expect_official: bool = True
    per_class: int | None = None
    classes: tuple[str, ...] = ()


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


def build(
    source: Source, layout: Layout, choice: Choice, folder: Path, progress: Progress
) -> DataSet:
    """Decode all chosen images into ``inputs.npy`` and return the data set.

    Args:
        source: the files.
        layout: how they are arranged.
        choice: which to take.
        folder: where ``inputs.npy`` is written; its disk must have the room.
        progress: called with a text and the fraction done.

    Raises:
        UserError: wrong numbers of images, a broken image, unknown classes, or too small a disk.
    """
    progress(f"listing {layout.loader}", 0.0)
    found = listing(source, layout, choice)
    _refuse_full_disk(folder, layout, len(found.files))
    _decode(source, layout, found, folder / "inputs.npy", progress)
    progress(f"checking {layout.loader}", 1.0)
    parts = {name: found.parts == number for number, name in enumerate(PARTS)}
    return DataSet(
        name=layout.name,
        modality="image",
        inputs=np.load(folder / "inputs.npy", mmap_mode="r", allow_pickle=False),
        labels=found.labels,
        subjects=None,
        class_names=found.classes,
        channel_names=("red", "green", "blue"),
        official_test=parts["test"],
        official_validation=parts["validation"] if parts["validation"].any() else None,
        source=f"{layout.citation}. From: {source.path.name}",
    )


def listing(source: Source, layout: Layout, choice: Choice) -> Listing:
    """Return the chosen images, after the numbers of all images were compared with the published ones.

    Raises:
        UserError: numbers differ, a class is unknown, or nothing is left.
    """
    numbers = {token: number for number, token in enumerate(layout.classes)}
    groups: dict[tuple[int, int], list[str]] = {}
    for name in source.names:
        place = layout.sort(name.split("/")) if name.lower().endswith(_SUFFIXES) else None
        if place is not None:
            part, token = place
            if token not in numbers:
                raise UserError(
                    f"{layout.name}: {name}: found class {token!r}{near(token, numbers)}; allowed are "
                    f"the {len(numbers)} classes of {layout.loader}"
                )
            groups.setdefault((PARTS.index(part), numbers[token]), []).append(name)
    _check_counts(source, layout, choice, groups)
    kept = _chosen(layout, choice)
    order = sorted(key for key in groups if key[1] in kept)
    taken = {key: _spaced(sorted(groups[key]), choice.per_class, layout) for key in order}
    sizes = [len(taken[key]) for key in order]
    names = tuple(layout.classes.values())
    return Listing(
        [name for key in order for name in taken[key]],
        np.repeat(np.array([part for part, _ in order], np.int64), sizes),
        np.repeat(np.array([kept.index(label) for _, label in order], np.int64), sizes),
        tuple(names[number] for number in kept),
    )


def _check_counts(
    source: Source, layout: Layout, choice: Choice, groups: Mapping[tuple[int, int], list[str]]
) -> None:
    """Compare the number of images in each part and class with the published ones."""
    for part, (total, each) in layout.counts.items():
        number = PARTS.index(part)
        sizes = {label: len(files) for (one, label), files in groups.items() if one == number}
        found = sum(sizes.values())
        place = f"{layout.name}: {part} part in {source.path}"
        advice = "; are the files complete? (expect_official: false takes what is there)"
        if choice.expect_official and found != total:
            raise UserError(
                f"{place}: found {found:,} images, the published one has {total:,}{advice}"
            )
        for label, (token, name) in enumerate(layout.classes.items()):
            if choice.expect_official and each is not None and sizes.get(label, 0) != each:
                known = token if token == name else f"{token}, {name}"
                raise UserError(
                    f"{place}: class {known}: found {sizes.get(label, 0):,} images, the published one "
                    f"has {each:,}{advice}"
                )
        if not found and part != "validation":
            raise UserError(f"{place}: found no images, allowed are {total:,}, or a part of them")


def _chosen(layout: Layout, choice: Choice) -> list[int]:
    """Return the numbers of the chosen classes, in the order of the classes."""
    known = {name: number for number, name in enumerate(layout.classes.values())}
    known |= {token: number for number, token in enumerate(layout.classes)}
    for name in choice.classes:
        if name not in known:
            raise UserError(
                f"{layout.loader}.classes: unknown class {name!r}{near(name, known)} (allowed: the "
                f"{len(layout.classes)} names of the classes, or of their folders)"
            )
    return sorted({known[name] for name in choice.classes} or range(len(layout.classes)))


def _spaced(files: list[str], count: int | None, layout: Layout) -> list[str]:
    """Return at most so many files, evenly spaced."""
    if count is None or count >= len(files):
        return files
    if count < 1:
        raise UserError(f"{layout.loader}.per_class: found {count}, allowed are 1 or more")
    return [files[number * len(files) // count] for number in range(count)]


def _refuse_full_disk(folder: Path, layout: Layout, count: int) -> None:
    needed = count * 3 * layout.size**2
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise UserError(
            f"{folder.parent}: {layout.loader} needs {bytes_in_words(needed)} and {bytes_in_words(free)} are "
            "free; free some room, set TUTELAGE_DATA to a larger disk, or take fewer images (per_class, classes)"
        )


def _decode(source: Source, layout: Layout, found: Listing, path: Path, progress: Progress) -> None:
    """Decode in threads (the decoder runs without Python's lock) and write each image to its row."""
    rows = {name: row for row, name in enumerate(found.files)}
    # Written as a file and not through a memory-map: a full disk is an error then, not a crash.
    with path.open("wb") as file, ThreadPoolExecutor(_cores()) as pool:
        shape = (len(rows), 3, layout.size, layout.size)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        first, done = file.tell(), 0

        def chunk(items: Sequence[tuple[str, Content]]) -> list[tuple[int, bytes]]:
            return [(rows[name], _image(source, layout, name, content)) for name, content in items]

        for images in _ahead(pool, chunk, _chunks(source.contents(found.files)), 2 * _cores()):
            _place(file, first, images)
            done += len(images)
            progress(f"decoding {layout.loader}", done / len(rows))
        if done != len(rows):
            raise UserError(
                f"{source.path}: found {done:,} of {len(rows):,} images; has it changed?"
            )
        file.flush()
        os.fsync(file.fileno())


def _place(file: IO[bytes], first: int, images: Sequence[tuple[int, bytes]]) -> None:
    for row, image in images:
        place = first + row * len(image)
        if file.tell() != place:
            file.seek(place)
        file.write(image)


def _cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], most: int
) -> Iterator[R]:
    """Yield the results in order, with at most so many begun: a million files stay on disk."""
    begun: deque[Future[R]] = deque()
    for item in items:
        begun.append(pool.submit(function, item))
        if len(begun) >= most:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def _image(source: Source, layout: Layout, name: str, content: Content) -> bytes:
    """Return one image as it is stored, [3, size, size] uint8."""
    from PIL import Image

    place = f"{source.path}: {name}"
    try:
        # One file of ImageNet is a PNG by the name of .JPEG; some are grey, some CMYK.
        with Image.open(BytesIO(content()), formats=layout.formats) as stored:
            picture = stored.convert("RGB")
            if layout.box is not None:
                picture = picture.crop(layout.box(name))
            image = layout.fit(picture, layout.size)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{place}: found no readable image ({error})") from error
    return np.asarray(image).transpose(2, 0, 1).tobytes()


def exactly(image: "Image", size: int) -> "Image":
    """Return an image that has the published size.

    Raises:
        UserError: it has another.
    """
    if image.size != (size, size):
        raise UserError(f"found {image.size[0]}x{image.size[1]} pixels, allowed are {size}x{size}")
    return image


def squeezed(image: "Image", size: int) -> "Image":
    """Return the whole image at ``size`` pixels in both directions (bilinear, antialiased)."""
    from PIL import Image

    return image.resize((size, size), Image.Resampling.BILINEAR)


def central(
    image: "Image", size: int, interpolation: Literal["bilinear", "bicubic"] = "bilinear"
) -> "Image":
    """Return the centre of an image whose shorter side was made ``size`` pixels (antialiased)."""
    from PIL import Image

    width, height = image.size
    longer = int(size * max(width, height) / min(width, height))
    wanted = (size, longer) if width <= height else (longer, size)
    if image.size != wanted:
        image = image.resize(wanted, Image.Resampling[interpolation.upper()])
    left, top = (round((length - size) / 2) for length in wanted)
    return image.crop((left, top, left + size, top + size))
