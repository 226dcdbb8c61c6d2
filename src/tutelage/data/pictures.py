"""Pictures of official image sets, decoded once, in parallel, into a file on disk."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, TypeVar

import numpy as np

from tutelage.data.guard import picture
from tutelage.data.sources import Content, Source
from tutelage.errors import UserError
from tutelage.files import bytes_in_words

if TYPE_CHECKING:
    from PIL.Image import Image

SPARE = 64 << 20  # bytes left free on the disk
_CHUNK = 32  # images a thread decodes at a time

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ImageLayout:
    """How the files of one data set are arranged, and what has been published about them.

    Args:
        name: of the data set.
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
        listed: path of each image -> its place in the publisher's list of its part; empty where there is none.
    """

    name: str
    citation: str
    classes: Mapping[str, str]
    sort: Callable[[Sequence[str]], tuple[str, str] | None]
    counts: Mapping[str, tuple[int, int | None]]
    size: int
    fit: "Callable[[Image, int], Image]"
    box: Callable[[str], tuple[int, int, int, int]] | None = None
    formats: tuple[str, ...] = ("PNG", "JPEG")
    listed: Mapping[str, int] = field(default_factory=dict)


def refuse_full_disk(folder: Path, kind: str, needed: int) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        folder: on the disk.
        kind: class name of the loader, for the sentence.
        needed: bytes.

    Raises:
        UserError: fewer bytes are free than needed and :data:`SPARE`.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise UserError(
            f"{folder.parent}: {kind} needs {bytes_in_words(needed)} and {bytes_in_words(free)} are free; "
            "free some room, set TUTELAGE_DATA to a larger disk, or take fewer images (per_class, classes)"
        )


def decode(
    source: Source,
    layout: ImageLayout,
    files: Sequence[str],
    path: Path,
    done_so_far: Callable[[float], None],
) -> None:
    """Decode pictures in threads (the decoder runs without Python's lock) and write each to its row.

    Args:
        source: the files.
        layout: how pictures become arrays.
        files: their paths in the source, [N].
        path: of the .npy file, [N, 3, size, size] uint8.
        done_so_far: called with the fraction done.

    Raises:
        UserError: a broken picture, or fewer files than before.
    """
    rows = {name: row for row, name in enumerate(files)}
    # Written as a file and not through a memory-map: a full disk is an error then, not a crash.
    with path.open("wb") as file, ThreadPoolExecutor(_cores()) as pool:
        shape = (len(rows), 3, layout.size, layout.size)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        first, done = file.tell(), 0

        def chunk(items: Sequence[tuple[str, Content]]) -> list[tuple[int, bytes]]:
            return [(rows[name], _image(source, layout, name, content)) for name, content in items]

        for images in _ahead(pool, chunk, _chunks(source.contents(files)), 2 * _cores()):
            _place(file, first, images)
            done += len(images)
            done_so_far(done / len(rows))
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


def _image(source: Source, layout: ImageLayout, name: str, content: Content) -> bytes:
    """Return one image as it is stored, [3, size, size] uint8."""
    place = f"{source.path}: {name}"
    # One file of ImageNet is a PNG by the name of .JPEG; some are grey, some CMYK.
    with picture(content(), place, layout.formats) as stored:
        image = stored.convert("RGB")
        if layout.box is not None:
            image = image.crop(layout.box(name))
        try:
            image = layout.fit(image, layout.size)
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
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
