"""Caltech-UCSD Birds-200-2011, with its attributes as concepts of the whole bird and of its parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tutelage.data.cub_tables import ATTRIBUTES, FOLDER, TEXTS, Birds, read
from tutelage.data.dataset import DataSet, Ints
from tutelage.data.image_loader import ImageLoader
from tutelage.data.loader import at_least, one_of
from tutelage.data.pictures import ImageLayout, squeezed
from tutelage.data.sources import Folder, Source, Tar
from tutelage.data.store import Progress
from tutelage.errors import UserError

ARCHIVE = "CUB_200_2011.tgz"
COUNTS = {"train": (5_994, None), "test": (5_794, None)}
CLASSES = 200
# Attributes found in 45 % or more of the images of a class, for more than 8 classes, as published with the
# Concept Transformer (Rigotti et al. 2022): 13 of the whole bird, 95 of its parts.
PUBLISHED = (
    2, 5, 7, 8, 11, 15, 16, 21, 22, 24, 25, 26, 30, 31, 36, 37, 39, 41, 45, 46, 51, 52, 54, 55, 57, 58, 60,
    64, 70, 71, 73, 76, 81, 91, 92, 102, 105, 107, 111, 112, 117, 118, 120, 126, 127, 132, 133, 135, 146,
    150, 152, 153, 154, 158, 159, 164, 165, 166, 169, 173, 179, 180, 183, 184, 188, 189, 194, 195, 197, 203,
    204, 209, 210, 212, 219, 221, 222, 226, 228, 236, 237, 239, 241, 244, 245, 249, 250, 254, 255, 260, 261,
    263, 269, 275, 278, 284, 290, 293, 294, 295, 299, 300, 305, 306, 307, 309, 311, 312,
)  # fmt: skip
# Word in the category of an attribute -> the parts it may be seen at, by the numbers of parts/parts.txt.
PARTS = {
    "bill": (2,), "wing": (9, 13), "upperparts": (1, 10), "underparts": (3, 4, 15), "breast": (4,), "back": (1,),
    "tail": (14,), "head": (5,), "throat": (15,), "eye": (7, 11), "forehead": (6,), "nape": (10,), "belly": (3,),
    "leg": (8, 12), "crown": (5,),
}  # fmt: skip
GLOBAL = ("has_size", "has_shape", "has_primary_color")  # categories of the whole bird
_CITATION = (
    "Wah, Branson, Welinder, Perona, Belongie (2011), The Caltech-UCSD Birds-200-2011 Dataset, "
    "CNS-TR-2011-001"
)


@dataclass(frozen=True)
class Cub(ImageLoader):
    """CUB-200-2011: 5,994 images of birds to train on and 5,794 to test, 200 species, annotated attributes.

    Each image is cut to its bounding box and resized, without keeping its proportions. Attributes of size,
    shape and main colour are concepts of the whole bird (``global``); all others are marked at the places of
    the visible parts they may belong to (``spatial``). Places without a mark, and birds without a global
    attribute, are not annotated.

    ``folder`` is the official CUB_200_2011.tgz, the folder it unpacks to, or the one around that.

    Args:
        stored: height and width of the stored images in pixels; 224 needs 1.8 GB.
        grid: places in a row and in a column that are annotated.
        attributes: ``published``: the 108 of the Concept Transformer; ``frequent``: those found in 45 % or
            more of the training images of a class, for more than 8 classes.
    """

    name: ClassVar[str] = "cub"

    stored: int = 224
    grid: int = 14
    attributes: Literal["published", "frequent"] = "published"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, stored=self.stored, grid=self.grid)
        one_of(self, "attributes", self.attributes, ("published", "frequent"))

    def _source(self, cache: Path) -> Source:
        root = self._root(cache)
        archive = root if root.is_file() else root / ARCHIVE
        if archive.is_file():
            return Tar(archive)
        if root.name == FOLDER and (root / "images").is_dir():
            root = root.absolute().parent
        tops = [f"{FOLDER}/images", *TEXTS.values(), f"{FOLDER}/{ATTRIBUTES}", ATTRIBUTES]
        if (root / tops[0]).is_dir():
            return Folder(root, tops)
        raise UserError(
            f"Cub.folder: found no {ARCHIVE} and no folder {FOLDER} in {root.absolute()}; get {ARCHIVE} "
            f"(1.2 GB) from https://data.caltech.edu/records/65de6-vp158 and put it into {cache}, or name "
            "where it is: folder"
        )

    def _layout(self, source: Source) -> ImageLayout:
        return self._arranged(source, read(source))

    def _arranged(self, source: Source, birds: Birds) -> ImageLayout:
        self._expect_classes(f"cub: {source.path}", len(birds.classes), CLASSES)
        return ImageLayout(
            self.name, _CITATION, birds.classes, birds.place, COUNTS, self.stored, squeezed,
            lambda name: birds.box[birds.number[_short(name)]],
        )  # fmt: skip

    def _build(self, source: Source, scratch: Path, progress: Progress) -> DataSet:
        progress("reading the tables of CUB-200-2011", 0.0)
        birds = read(source)
        layout = self._arranged(source, birds)
        dataset = self._decoded(source, layout, scratch, progress)
        progress("annotating CUB-200-2011", 1.0)
        files = self._listed(source, layout).files
        images = np.array([birds.number[_short(name)] for name in files])
        kept = list(PUBLISHED) if self.attributes == "published" else frequent(birds, images)
        return replace(dataset, **annotate(birds, images, kept, self.grid, scratch))


def candidates(category: str) -> tuple[int, ...]:
    """Return the parts at which an attribute of this category may be seen; none for other categories.

    Words are compared whole, so an attribute of the forehead is not one of the head.

    Examples:
        >>> candidates("has_upper_tail_color"), candidates("has_forehead_color")
        ((14,), (6,))
    """
    return next((PARTS[word] for word in category.split("_") if word in PARTS), ())


def annotate(
    birds: Birds, images: Ints, kept: Sequence[int], grid: int, folder: Path
) -> dict[str, Any]:
    """Return concepts of these images and their names, as keyword arguments of a data set.

    Args:
        birds: the tables.
        images: numbers of the images, [N].
        kept: numbers of the attributes that become concepts; sorted.
        grid: places in a row and in a column.
        folder: where the spatial concepts are written as ``concepts-spatial.npy`` (0.4 GB for the whole set).

    Raises:
        UserError: an attribute is in no table, or none is left in one of the two scopes.
    """
    unknown = sorted(set(kept) - set(birds.attributes))
    if unknown:
        raise UserError(
            f"cub: {ATTRIBUTES}: found no attribute {unknown[0]}, which is among the concepts; are the files "
            "complete? (attributes: frequent takes what is there)"
        )
    whole = [one for one in kept if birds.attributes[one][0] in GLOBAL]
    local = {
        one: candidates(birds.attributes[one][0])
        for one in kept
        if birds.attributes[one][0] not in GLOBAL and candidates(birds.attributes[one][0])
    }
    if not whole or not local:
        raise UserError(
            f"cub: found {len(whole)} attributes of the whole bird and {len(local)} of its parts, allowed are "
            "1 or more of each"
        )
    global_ = np.zeros((len(images), len(whole)), np.float16)
    shape = (len(images), grid, grid, len(local))
    spatial = np.lib.format.open_memmap(folder / "concepts-spatial.npy", "w+", np.float16, shape)
    for row, number in enumerate(images.tolist()):
        present = birds.present.get(number, frozenset())
        global_[row] = [one in present for one in whole]
        spatial[row] = _marks(
            birds, number, [local[o] if o in present else () for o in local], grid
        )
    global_[~global_.any(axis=1)] = np.nan
    spatial.flush()
    return {
        "concepts": {"global": global_, "spatial": spatial},
        "concept_names": {
            "global": tuple(_readable(*birds.attributes[one]) for one in whole),
            "spatial": tuple(_readable(*birds.attributes[one]) for one in local),
        },
    }


def _marks(birds: Birds, number: int, where: Sequence[Sequence[int]], grid: int) -> np.ndarray:
    """Return the annotated places of one image, [grid, grid, concepts].

    Args:
        birds: the tables.
        number: of the image.
        where: the parts at which each concept is to be marked.
        grid: places in a row and in a column.
    """
    left, top, right, bottom = birds.box[number]
    found = np.full((grid, grid, len(where)), np.nan, np.float16)
    for concept, parts in enumerate(where):
        for part in parts:
            if part not in birds.parts.get(number, {}):
                continue
            x, y = birds.parts[number][part]
            column = int(np.floor((x - left) * grid / (right - left)))
            row = int(np.floor((y - top) * grid / (bottom - top)))
            if 0 <= column < grid and 0 <= row < grid:
                found[row, column] = np.nan_to_num(found[row, column])
                found[row, column, concept] = 1
    return found


def frequent(birds: Birds, images: Ints, share: float = 0.45, classes: int = 8) -> list[int]:
    """Return the attributes that many training images of many classes have, sorted.

    Args:
        birds: the tables.
        images: numbers of the images; those of the test part are not looked at.
        share: an attribute counts for a class from this share of its images on.
        classes: an attribute must count for more classes than this.
    """
    names = {number: name.split("/")[0] for name, number in birds.number.items()}
    sizes: dict[str, int] = {}
    counts: dict[str, dict[int, int]] = {}
    for number in images.tolist():
        if number not in birds.tested:
            mine = counts.setdefault(names[number], {})
            sizes[names[number]] = sizes.get(names[number], 0) + 1
            for one in birds.present.get(number, ()):
                mine[one] = mine.get(one, 0) + 1
    return sorted(
        one
        for one in birds.attributes
        if sum(counts[name].get(one, 0) >= share * size for name, size in sizes.items()) > classes
    )


def _readable(category: str, value: str) -> str:
    """Return the name of a concept, such as "wing color: blue"."""
    words = category.removeprefix("has_").replace("_", " ")
    return f"{words}: {value.replace('_', ' ')}"


def _short(name: str) -> str:
    """Return class folder and file of the path of an image."""
    return "/".join(name.split("/")[-2:])
