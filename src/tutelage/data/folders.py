"""Your own data: NumPy arrays in a folder, or images in one folder for each class."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tutelage.data.dataset import DataSet, Ints
from tutelage.data.names import natural, numbered
from tutelage.data.store import (
    Progress,
    cached,
    home,
    quiet,
    stamps,
    usable,
)
from tutelage.errors import UserError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff"}
_COLOURS = ("red", "green", "blue")


def existing(place: str, folder: str) -> Path:
    """Return a folder of the user; a relative one starts at the working directory.

    Raises:
        UserError: there is no such folder.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"{place}: found no folder {folder!r} (looked for {path.absolute()})")
    return path


@dataclass(frozen=True)
class Arrays:
    """A folder with ``X.npy`` and ``y.npy``.

    ``X.npy`` is [N, channels, time] floating-point or [N, 3, height, width] uint8; ``y.npy`` is
    [N] integers from 0. Optional: ``subjects.npy`` [N], ``test.npy`` [N] bool (your official test
    part), ``recordings.npy`` and ``starts.npy`` [N] (to detect windows that overlap),
    ``classes.txt`` and ``channels.txt`` (one name a line).

    Args:
        folder: where the files are; relative to the working directory.
        name: what the data set is called in records.
        rate: samples per second (Hz) of signals, if known.
    """

    folder: str
    name: str = "arrays"
    rate: float | None = None

    def load(self, folder: Path | None = None, progress: Progress | None = None) -> DataSet:
        """Return the arrays; float32 and uint8 inputs stay on disk as a memory-map.

        Args:
            folder: data cache root; not used, as nothing has to be parsed.
            progress: not used.

        Raises:
            UserError: a missing or pickled file, or arrays that do not fit together.
        """
        place = existing("Arrays.folder", self.folder)
        inputs = self._array(place, "X")
        if inputs.dtype.kind == "f" and inputs.dtype != np.float32:
            inputs = inputs.astype(np.float32)
        labels = self._whole(place, "y")
        optional = {
            name: self._whole(place, name) if (place / f"{name}.npy").exists() else None
            for name in ("recordings", "starts")
        }
        subjects = self._array(place, "subjects") if (place / "subjects.npy").exists() else None
        test = self._array(place, "test") if (place / "test.npy").exists() else None
        signal = inputs.ndim != 4
        channels = inputs.shape[1] if inputs.ndim > 1 else 0
        classes = int(labels.max()) + 1 if labels.size else 0
        return DataSet(
            name=self.name,
            modality="signal" if signal else "image",
            inputs=inputs,
            labels=labels,
            subjects=None if subjects is None else np.array(subjects.astype(np.str_)),
            class_names=_lines(place / "classes.txt") or _names("class", classes, 0),
            channel_names=_lines(place / "channels.txt")
            or (_names("channel", channels, 1) if signal else _COLOURS),
            rate=self.rate if signal else None,
            window=inputs.shape[-1] if signal and inputs.ndim == 3 else None,
            recordings=optional["recordings"],
            starts=optional["starts"],
            official_test=None if test is None else np.array(test),
            source="arrays of the user",
        )

    def _array(self, place: Path, name: str) -> np.ndarray:
        path = place / f"{name}.npy"
        if not path.exists():
            raise UserError(
                f"Arrays.folder: found no {name}.npy in {self.folder}, X.npy and y.npy are needed"
            )
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path}: found no plain .npy file (pickled objects are refused): {error}"
            ) from error
        return array

    def _whole(self, place: Path, name: str) -> Ints:
        array = self._array(place, name)
        if array.dtype.kind not in "iu":
            raise UserError(f"{name}.npy: found type {array.dtype}, allowed are integers")
        return np.array(array, dtype=np.int64)


def _lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a small text file, or nothing."""
    if not path.exists():
        return ()
    return tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())


def _names(word: str, count: int, first: int) -> tuple[str, ...]:
    return tuple(f"{word} {number}" for number in range(first, first + count))


@dataclass(frozen=True)
class ImageFolder:
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

    def load(self, folder: Path | None = None, progress: Progress | None = None) -> DataSet:
        """Return all images as RGB; those below ``test`` are the official test part.

        Args:
            folder: data cache root, default :func:`tutelage.data.home`.
            progress: called with a text and the fraction done.

        Raises:
            UserError: no images, a broken one, unequal sizes, classes that are in ``test`` alone.
        """
        if self.size is not None and self.size < 1:
            raise UserError(f"ImageFolder.size: found {self.size}, allowed are 1 pixel or more")
        root = existing("ImageFolder.folder", self.folder)
        parts = {part: root / part for part in ("train", "test") if (root / part).is_dir()}
        if parts and (len(parts) < 2 or len(_folders(root)) > 2):
            found = ", ".join(path.name for path in _folders(root))
            raise UserError(
                f"ImageFolder.folder: found {found} in {self.folder}, allowed are train and test, "
                "or one folder for each class"
            )
        files = [
            (path, kind.name, part == "test")
            for part, base in (parts or {"": root}).items()
            for kind in _folders(base)
            for path in sorted(kind.rglob("*"), key=lambda one: natural(str(one)))
            if path.suffix.lower() in _SUFFIXES
        ]
        if not files:
            raise UserError(f"ImageFolder.folder: found no images in the folders of {self.folder}")
        memory = (folder or home()) / "imagefolder"
        paths = [path for path, *_ in files]
        with usable(memory):
            hashes = stamps(paths, memory / ".hashes.json")
            content = [
                (path.relative_to(root).as_posix(), one)
                for path, one in zip(paths, hashes, strict=True)
            ]
            build = partial(self._build, files, bool(parts), progress or quiet)
            return cached(memory, self, content, build)

    def _build(
        self, files: list[tuple[Path, str, bool]], split: bool, progress: Progress
    ) -> DataSet:
        labels, classes = numbered([kind for _, kind, _ in files])
        test = np.array([tested for *_, tested in files])
        alone = set(labels[test]) - set(labels[~test])
        if alone:
            raise UserError(
                f"ImageFolder.folder: found class {classes[min(alone)]!r} in test only, allowed "
                "are classes that train has too"
            )
        first = self._read(files[0][0])
        inputs = np.empty((len(files), *first.shape), np.uint8)
        for number, (path, *_) in enumerate(files):
            image = self._read(path)
            if image.shape != first.shape:
                raise UserError(
                    f"{path}: found {image.shape[2]}x{image.shape[1]} pixels, the first image has "
                    f"{first.shape[2]}x{first.shape[1]}; set size to resize them all"
                )
            inputs[number] = image
            if number % 256 == 0:
                progress("reading images", number / len(files))
        return DataSet(
            name=self.name,
            modality="image",
            inputs=inputs,
            labels=labels,
            subjects=None,
            class_names=tuple(classes),
            channel_names=_COLOURS,
            official_test=test if split else None,
            source="images of the user",
        )

    def _read(self, path: Path) -> np.ndarray:
        """Return one image, [3, height, width] uint8."""
        from PIL import Image

        try:
            with Image.open(path) as stored:
                image = stored.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"{path}: found no readable image ({error})") from error
        if self.size is not None and image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.asarray(image).transpose(2, 0, 1)


def _folders(base: Path) -> list[Path]:
    """Return the visible sub-folders."""
    found = (path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(found, key=lambda path: natural(path.name))
