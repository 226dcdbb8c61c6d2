"""CINIC-10: the ten classes of CIFAR-10, 270,000 images of CIFAR-10 and ImageNet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tutelage.data.cifar import CLASSES
from tutelage.data.dataset import DataSet
from tutelage.data.pictures import (
    Choice,
    Layout,
    build,
    exactly,
)
from tutelage.data.sources import find
from tutelage.data.store import (
    Progress,
    cached_on_disk,
    home,
    quiet,
    usable,
)

COUNTS = {name: (90_000, 9_000) for name in ("train", "validation", "test")}
ARCHIVE = "CINIC-10.tar.gz"
_PARTS = {"train": "train", "valid": "validation", "test": "test"}
_CITATION = "Darlow, Crowley, Antoniou, Storkey (2018), CINIC-10 Is Not ImageNet or CIFAR-10"


@dataclass(frozen=True)
class Cinic10:
    """CINIC-10: 90,000 images each to train on, to validate on and to test, 32x32 RGB, ten classes.

    Class numbers are those of CIFAR-10. Its three parts are kept: ``OfficialSplit()`` takes them as they
    are. They share bit-identical images, which ``OfficialSplit(drop_copies=True)`` leaves out of training.

    Args:
        folder: the folder with ``train``, ``valid`` and ``test``, or the official CINIC-10.tar.gz;
            relative to the working directory. None: ``cinic10`` in the data cache.
        expect_official: refuse numbers of images other than the published ones.
        per_class: at most that many images of each class in each part, evenly spaced; None: all.
        classes: names of the classes to take; none: all.
    """

    name: ClassVar[str] = "cinic10"

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
                "Cinic10.folder", self.folder, place,
                tops=("train", "valid", "test"), archives=(ARCHIVE,), inside=("CINIC-10", "cinic-10"),
                where=f"{ARCHIVE} from https://datashare.ed.ac.uk/handle/10283/3192 and put it, or its "
                f"folders, into {place}, or name where it is: folder",
            )  # fmt: skip
            choice = Choice(self.expect_official, self.per_class, self.classes)
            layout = Layout(
                self.name, "Cinic10", _CITATION, dict(zip(CLASSES, CLASSES, strict=True)),
                _sort, COUNTS, 32, exactly,
            )  # fmt: skip
            return cached_on_disk(
                place,
                replace(self, folder=None),
                source.stamp(place / ".listing.json"),
                lambda scratch: build(source, layout, choice, scratch, progress or quiet),
            )


def _sort(path: Sequence[str]) -> tuple[str, str] | None:
    """Return part and class of ``valid/airplane/cifar10-train-3.png``."""
    if len(path) != 3 or path[0] not in _PARTS:
        return None
    return _PARTS[path[0]], path[1]
