"""Your own data: NumPy arrays in a folder, or images in one folder for each class."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tutelage.data.dataset import COLOURS, DataSet, Ints, Strings
from tutelage.data.guard import array, content, fits_memory, lines, picture
from tutelage.data.loader import Loader, ParsedLoader, at_least, user_folder
from tutelage.data.names import natural, numbered
from tutelage.data.store import Progress
from tutelage.errors import UserError

_FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF")
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff"}
# Pictures that are not read: animated, without a size in pixels, raw, or of formats that ask for more software.
_OTHERS = {".gif", ".svg", ".heic", ".heif", ".avif", ".jp2", ".psd", ".eps", ".pdf", ".dng", ".cr2", ".nef",
           ".tga", ".ico", ".pgm", ".jfif"}  # fmt: skip


@dataclass(frozen=True)
class Arrays(Loader):
    """A folder with ``X.npy`` and ``y.npy``.

    ``X.npy`` is [N, channels, time] floating-point or [N, 3, height, width] uint8; ``y.npy`` is
    [N] integers from 0, -1 where a sample has no label. Optional:
    ``subjects.npy`` [N], ``test.npy`` [N] bool (your official test
    part), ``sessions.npy`` [N], ``recordings.npy`` and ``starts.npy`` [N] (to detect windows that overlap),
    ``classes.txt`` and ``channels.txt`` (one name a line).

    Args:
        folder: where the files are; relative to the working directory.
        name: what the data set is called in records.
        rate: samples per second (Hz) of signals, if known.
        units: of the channels in their order, such as ``[g, g, g]``, if known.
    """

    folder: str
    name: str = "arrays"
    rate: float | None = None
    units: tuple[str, ...] = ()

    def _load(self, cache: Path, progress: Progress) -> DataSet:
        files = {
            path.stem: path
            for path in user_folder(self, self.folder).iterdir()
            if path.suffix == ".npy"
        }
        for name in ("X", "y"):
            if name not in files:
                raise UserError(
                    f"Arrays.folder: found no {name}.npy in {self.folder}, X.npy and y.npy are needed"
                )
        inputs = array(files["X"], "fiub", (3, 4))
        labels = np.array(array(files["y"], "iu", (1,)), np.int64)
        columns = {
            name: np.array(array(files[name], kinds, (1,))) if name in files else None
            for name, kinds in {
                "subjects": "Uiu",
                "sessions": "Uiu",
                "recordings": "iu",
                "starts": "iu",
                "test": "b",
            }.items()
        }
        folder = files["X"].parent
        channels = lines(folder / "channels.txt")
        _check_order(files["X"], inputs, channels)
        signal = inputs.ndim == 3
        return DataSet(
            name=self.name,
            modality="signal" if signal else "image",
            inputs=_single(files["X"], inputs),
            labels=labels,
            subjects=_texts(columns["subjects"]),
            sessions=_texts(columns["sessions"]),
            class_names=lines(folder / "classes.txt") or _numbered_classes(files["y"], labels),
            channel_names=channels
            or (_names("channel", inputs.shape[1], 1) if signal else COLOURS),
            rate=self.rate if signal else None,
            window=inputs.shape[-1] if signal else None,
            recordings=_whole(columns["recordings"]),
            starts=_whole(columns["starts"]),
            official_test=columns["test"],
            source="arrays of the user",
            channel_units=self.units,
        )


def _texts(column: np.ndarray | None) -> Strings | None:
    return None if column is None else column.astype(np.str_)


def _whole(column: np.ndarray | None) -> Ints | None:
    return None if column is None else column.astype(np.int64)


def _single(path: Path, inputs: np.ndarray) -> np.ndarray:
    """Return floating-point inputs in single precision, others as they are."""
    if inputs.dtype.kind != "f" or inputs.dtype == np.float32:
        return inputs
    fits_memory(str(path), 4 * inputs.size, "store it as float32, which is read from the disk")
    return inputs.astype(np.float32)


def _check_order(path: Path, inputs: np.ndarray, channels: tuple[str, ...]) -> None:
    """Refuse axes that seem to be in another order, unless the channels are named."""
    shape = inputs.shape
    if inputs.ndim == 4 and shape[1] != 3 and shape[3] == 3:
        raise UserError(
            f"{path}: found {list(shape)}, which looks like [N, height, width, 3], allowed is "
            "[N, 3, height, width]: np.save(path, X.transpose(0, 3, 1, 2))"
        )
    if inputs.ndim == 3 and shape[1] > shape[2] and len(channels) != shape[1]:
        raise UserError(
            f"{path}: found {list(shape)}, so {shape[1]} channels of {shape[2]} samples, which looks like "
            "[N, time, channels], allowed is [N, channels, time]: np.save(path, X.transpose(0, 2, 1)); if they "
            f"are channels, name all {shape[1]} of them in channels.txt"
        )


def _numbered_classes(path: Path, labels: Ints) -> tuple[str, ...]:
    """Return names for classes 0 to the highest label.

    Raises:
        UserError: labels that begin at 1, or are no class numbers.
    """
    known = labels[labels != -1]
    if not len(known):
        raise UserError(
            f"{path}: labels: found -1 everywhere, allowed are some samples with a label"
        )
    low, high = int(known.min()), int(known.max())
    if low < 0 or high >= len(labels):
        raise UserError(
            f"{path}: labels: found {low if low < 0 else high}, allowed are class numbers from 0 (of which there "
            f"cannot be more than the {len(labels)} samples), and -1 where a sample has no label"
        )
    if low > 0:
        raise UserError(
            f"{path}: found labels from {low} to {high}, allowed are class numbers from 0: "
            f"np.save(path, y - {low}); or name all classes, the one without samples too, in classes.txt"
        )
    return _names("class", high + 1, 0)


def _names(word: str, count: int, first: int) -> tuple[str, ...]:
    return tuple(f"{word} {number}" for number in range(first, first + count))


@dataclass(frozen=True)
class ImageFolder(ParsedLoader):
    """One sub-folder of images for each class, or ``train`` and ``test`` with such sub-folders.

    Args:
        folder: where the class folders, or ``train`` and ``test``, are; relative to the working
            directory.
        size: height and width in pixels to which every image is resized (bilinear); without it,
            all images must have one size.
        name: what the data set is called in records.
    """

    folder: str
    size: int | None = None
    name: str = "images"

    def __post_init__(self) -> None:
        at_least(self, 1, size=self.size)

    def _files(self, cache: Path, progress: Progress) -> dict[str, Path]:
        root = user_folder(self, self.folder)
        there = [path.name for path in _folders(root)]
        split = bool({"train", "test"} & set(there))
        if split and there != ["test", "train"]:
            raise UserError(
                f"ImageFolder.folder: found {', '.join(there)} in {self.folder}, allowed are train and test, "
                "or one folder for each class"
            )
        files = [
            path
            for base in ([root / "train", root / "test"] if split else [root])
            for kind in _folders(base)
            for path in self._pictures(kind, needed=base != root / "test")
        ]
        if not files:
            raise UserError(f"ImageFolder.folder: found no images in the folders of {self.folder}")
        return {path.relative_to(root).as_posix(): path for path in files}

    def _pictures(self, folder: Path, needed: bool) -> list[Path]:
        """Return the visible pictures of a class folder and those in it, in natural order."""
        visible = [
            path
            for path in folder.rglob("*")
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
        other = next((path for path in sorted(visible) if path.suffix.lower() in _OTHERS), None)
        if other is not None:
            raise UserError(
                f"{other}: found a picture of a kind that is not read, allowed are "
                f"{', '.join(sorted(_SUFFIXES))}; convert it, or take it away"
            )
        files = [path for path in visible if path.suffix.lower() in _SUFFIXES]
        if needed and not files:
            raise UserError(
                f"ImageFolder.folder: found no images in the class folder {folder}, allowed is one or more; take "
                "the folder away if it is no class"
            )
        return sorted(files, key=lambda path: natural(str(path)))

    def _parse(self, files: Mapping[str, Path], progress: Progress) -> DataSet:
        names = [name.split("/") for name in files]
        split = (user_folder(self, self.folder) / "train").is_dir()
        labels, classes = numbered([name[split] for name in names])
        test = np.array([split and name[0] == "test" for name in names])
        alone = set(labels[test]) - set(labels[~test])
        if alone:
            raise UserError(
                f"ImageFolder.folder: found class {classes[min(alone)]!r} in test only, allowed "
                "are classes that train has too"
            )
        return DataSet(
            name=self.name,
            modality="image",
            inputs=self._images(list(files.values()), progress),
            labels=labels,
            subjects=None,
            class_names=tuple(classes),
            channel_names=COLOURS,
            official_test=test if split else None,
            source="images of the user",
        )

    def _images(self, files: list[Path], progress: Progress) -> np.ndarray:
        """Return all images, [N, 3, height, width] uint8."""
        first = self._read(files[0])
        needed = len(files) * first.nbytes
        fits_memory(f"ImageFolder.folder: {len(files)} images", needed, "set a smaller size")
        inputs = np.empty((len(files), *first.shape), np.uint8)
        for number, path in enumerate(files):
            image = self._read(path)
            if image.shape != first.shape:
                raise UserError(
                    f"{path}: found {image.shape[2]}x{image.shape[1]} pixels, the first image has "
                    f"{first.shape[2]}x{first.shape[1]}; set size to resize them all"
                )
            inputs[number] = image
            if number % 256 == 0:
                progress("reading images", number / len(files))
        return inputs

    def _read(self, path: Path) -> np.ndarray:
        """Return one image, [3, height, width] uint8."""
        from PIL import Image, ImageOps

        with picture(content(path), str(path), _FORMATS) as stored:
            image = ImageOps.exif_transpose(stored).convert("RGB")  # as the camera was held
        if self.size is not None and image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.asarray(image).transpose(2, 0, 1)


def _folders(base: Path) -> list[Path]:
    """Return the visible sub-folders."""
    found = (path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(found, key=lambda path: natural(path.name))
