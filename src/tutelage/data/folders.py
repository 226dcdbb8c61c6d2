"""Your own images, in one folder for each class."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tutelage.data.dataset import COLOURS, DataSet
from tutelage.data.guard import content, fits_memory, picture
from tutelage.data.loader import ParsedLoader, at_least, user_folder
from tutelage.data.names import natural, numbered
from tutelage.data.store import Progress
from tutelage.errors import UserError

_FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF")
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff"}
# Pictures that are not read: animated, without a size in pixels, raw, or of formats that ask for more software.
_OTHERS = {".gif", ".svg", ".heic", ".heif", ".avif", ".jp2", ".psd", ".eps", ".pdf", ".dng", ".cr2", ".nef",
           ".tga", ".ico", ".pgm", ".jfif"}  # fmt: skip


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
