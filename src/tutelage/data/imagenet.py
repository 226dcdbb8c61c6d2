"""ImageNet-1k (ILSVRC2012), from its unpacked folders."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import ClassVar

from tutelage.data.dataset import DataSet
from tutelage.data.image_loader import ImageLoader
from tutelage.data.loader import at_least
from tutelage.data.pictures import ImageLayout, central
from tutelage.data.sources import Folder, Source
from tutelage.data.store import Progress
from tutelage.data.synsets import readable, synonyms
from tutelage.errors import UserError

CLASSES = 1000
COUNTS = {"train": (1_281_167, None), "test": (50_000, 50)}
_KAGGLE = "ILSVRC/Data/CLS-LOC/"
_DEVKITS = ("", "ILSVRC2012_devkit_t12/data/", "devkit/data/")
_COOP = "images/"  # where the layout of prompt learning has train and val
_WORDS = ("classnames.txt", "LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
_SOLUTION = "LOC_val_solution.csv"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_NUMBERS = ("meta.mat", "synsets.txt")
_CITATION = "Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge, IJCV 115; ILSVRC2012"


@dataclass(frozen=True)
class ImageNet(ImageLoader):
    """ImageNet-1k: 1,281,167 images to train on and 50,000 to test, RGB, 1000 classes.

    The official validation images are the test part, as everywhere. The shorter side of each image is
    resized to ``stored`` pixels (bilinear, antialiased), and the central square is kept: the usual
    preparation for testing. A recipe's ``crop: 224`` then cuts the centre, ``RandomResizedCrop`` parts of
    the square. Classes are numbered in the order of their WordNet numbers (wnids).

    Classes of ``val`` come from class folders in it; else from LOC_val_solution.csv; else from the
    devkit's ILSVRC2012_validation_ground_truth.txt with its meta.mat, or with a synsets.txt (one wnid a
    line, in the devkit's order).

    ``folder`` has ``train``, ``val`` and the text files; or it is the Kaggle folder that holds ``ILSVRC``, or the
    one of CoOp's layout that holds ``images`` and ``classnames.txt``.

    Args:
        stored: height and width of the stored images in pixels; 256 needs 262 GB.
        first: take this many classes, the first in the order of their wnids; None: all.
    """

    name: ClassVar[str] = "imagenet"

    stored: int = 256
    first: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, stored=self.stored)
        if self.first is not None and self.classes:
            raise UserError("ImageNet.first: found classes as well, allowed is one of the two")

    def _build(self, source: Source, scratch: Path, progress: Progress) -> DataSet:
        layout, wanted = self._layout(source), self
        if self.first is not None:
            if not 1 <= self.first <= len(layout.classes):
                raise UserError(
                    f"ImageNet.first: found {self.first}, allowed are 1 to {len(layout.classes)} classes"
                )
            wanted = replace(self, first=None, classes=tuple(layout.classes)[: self.first])
        return wanted._decoded(source, layout, scratch, progress)

    def _source(self, cache: Path) -> Folder:
        root = self._root(cache)
        for head in ("", _COOP, _KAGGLE):
            if (root / head / "train").is_dir():
                texts = [*_WORDS, _SOLUTION, _TRUTH, *_NUMBERS]
                tops = [
                    f"{head}train",
                    f"{head}val",
                    *(d + name for d in _DEVKITS for name in texts),
                ]
                return Folder(root, tops)
        raise UserError(
            f"ImageNet.folder: found no folder 'train' in {root.absolute()}; get ILSVRC2012 from "
            "https://image-net.org (with an account: ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, "
            "ILSVRC2012_devkit_t12.tar.gz) or from Kaggle (imagenet-object-localization-challenge), unpack it "
            f"into {cache}, or name where it is: folder"
        )

    def _layout(self, source: Source) -> ImageLayout:
        paths = [name.split("/") for name in source.names]
        tokens = sorted({path[-2] for path in paths if len(path) > 2 and path[-3] == "train"})
        self._expect_classes(f"imagenet: train part in {source.path}", len(tokens), CLASSES)
        flat = any(len(path) > 1 and path[-2] == "val" for path in paths)
        truth = _truth(source) if flat else {}

        def sort(path: Sequence[str]) -> tuple[str, str] | None:
            """Return part and class of train/<wnid>/<file>, val/<wnid>/<file> or val/<file>."""
            if len(path) > 2 and path[-3] in ("train", "val"):
                return ("train" if path[-3] == "train" else "test"), path[-2]
            if len(path) < 2 or path[-2] != "val":
                return None
            stem = path[-1].partition(".")[0]
            if stem not in truth:
                raise UserError(f"{source.path}: {'/'.join(path)}: found no class for this image")
            # The truth covers all classes; of a part of ImageNet, those that are trained on count.
            return ("test", truth[stem]) if truth[stem] in known else None

        names = readable(tokens, _words(source), str(source.path))
        known = set(names)
        return ImageLayout(self.name, _CITATION, names, sort, COUNTS, self.stored, central)


def _first(source: Source, wanted: Sequence[str]) -> str | None:
    """Return the first of these files that is there, beside ``train`` or in the devkit."""
    names = set(source.names)
    places = (head + name for name in wanted for head in _DEVKITS)
    return next((name for name in places if name in names), None)


def _words(source: Source) -> Mapping[str, str]:
    """Return the synonyms of each wnid.

    Raises:
        UserError: no file has them.
    """
    text = _first(source, _WORDS)
    if text is not None:
        return synonyms(source.text(text))
    meta = _first(source, ["meta.mat"])
    if meta is not None:
        return {token: words for token, words in _meta(source, meta).values()}
    raise UserError(
        f"{source.path}: found no names of the classes; put one of {', '.join(_WORDS)} there, or the "
        "devkit's meta.mat"
    )


def _truth(source: Source) -> Mapping[str, str]:
    """Return the wnid of each validation image, by file name without its end.

    Raises:
        UserError: no file tells them, or it is none of the known forms.
    """
    solution = _first(source, [_SOLUTION])
    if solution is not None:
        rows = csv.reader(source.text(solution).splitlines())
        return {
            row[0]: row[1].split()[0] for row in rows if len(row) > 1 and row[1].startswith("n")
        }
    truth, numbers = _first(source, [_TRUTH]), _first(source, _NUMBERS)
    if truth is None or numbers is None:
        raise UserError(
            f"{source.path}: found images in val, but no class folders and no {_SOLUTION}, and no {_TRUTH} "
            "with meta.mat or synsets.txt; put one of these there, or sort val into class folders"
        )
    if numbers.endswith(".mat"):
        tokens = {number: token for number, (token, _) in _meta(source, numbers).items()}
    else:
        tokens = _ordered(source, numbers)
    lines = source.text(truth).split()
    wrong = next((line for line in lines if not line.isdecimal() or int(line) not in tokens), None)
    if wrong is not None:
        raise UserError(
            f"{source.path}: {truth}: found {wrong!r}, allowed are 1 to {len(tokens)}, as numbered "
            f"in {numbers}"
        )
    return {
        f"ILSVRC2012_val_{number:08d}": tokens[int(line)] for number, line in enumerate(lines, 1)
    }


def _ordered(source: Source, name: str) -> dict[int, str]:
    """Return the wnids by the devkit's number, which is that of the line, from 1.

    Raises:
        UserError: the list is sorted: the devkit's order is not, so the labels would be wrong.
    """
    tokens = re.findall(r"n\d{8}", source.text(name))
    if tokens == sorted(tokens) and len(tokens) > 1:
        raise UserError(
            f"{source.path}: {name}: found wnids in rising order, allowed is the order of the devkit's "
            "ILSVRC2012_ID, which begins with n02119789, n02100735; the devkit's meta.mat has it"
        )
    return dict(enumerate(tokens, 1))


def _meta(source: Source, name: str) -> dict[int, tuple[str, str]]:
    """Return wnid and synonyms of each class of the devkit's meta.mat, by its ILSVRC2012_ID.

    Raises:
        UserError: it is another file.
    """
    from scipy.io import loadmat

    ((_, content),) = source.contents([name])
    try:
        rows = loadmat(BytesIO(content()), variable_names=["synsets"], squeeze_me=True)["synsets"]
        # Inner nodes of WordNet have children; the classes have none.
        leaves = [row for row in rows if int(row["num_children"]) == 0]
        return {int(row["ILSVRC2012_ID"]): (str(row["WNID"]), str(row["words"])) for row in leaves}
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise UserError(
            f"{source.path}: {name}: found no synsets of the devkit ({error})"
        ) from error
