"""CINIC-10: the ten classes of CIFAR-10, 270,000 images of CIFAR-10 and ImageNet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tutelage.data.cifar import CLASSES
from tutelage.data.image_loader import ImageLoader
from tutelage.data.pictures import ImageLayout, exactly
from tutelage.data.sources import Source, find

COUNTS = {name: (90_000, 9_000) for name in ("train", "validation", "test")}
ARCHIVE = "CINIC-10.tar.gz"
_PARTS = {"train": "train", "valid": "validation", "test": "test"}
_CITATION = "Darlow, Crowley, Antoniou, Storkey (2018), CINIC-10 Is Not ImageNet or CIFAR-10"


@dataclass(frozen=True)
class Cinic10(ImageLoader):
    """CINIC-10: 90,000 images each to train on, to validate on and to test, 32x32 RGB, ten classes.

    Class numbers are those of CIFAR-10. Its three parts are kept: ``OfficialSplit()`` takes them as they
    are. They share bit-identical images, which ``OfficialSplit(drop_copies=True)`` leaves out of training.
    ``folder`` holds ``train``, ``valid`` and ``test``, or is the official CINIC-10.tar.gz.
    """

    name: ClassVar[str] = "cinic10"

    def _source(self, cache: Path) -> Source:
        return find(
            "Cinic10.folder", self.folder, cache,
            tops=("train", "valid", "test"), archives=(ARCHIVE,), inside=("CINIC-10", "cinic-10"),
            where=f"{ARCHIVE} from https://datashare.ed.ac.uk/handle/10283/3192 and put it, or its "
            f"folders, into {cache}, or name where it is: folder",
        )  # fmt: skip

    def _layout(self, source: Source) -> ImageLayout:
        classes = dict(zip(CLASSES, CLASSES, strict=True))
        return ImageLayout(self.name, _CITATION, classes, _sort, COUNTS, 32, exactly)


def _sort(path: Sequence[str]) -> tuple[str, str] | None:
    """Return part and class of ``valid/airplane/cifar10-train-3.png``."""
    if len(path) != 3 or path[0] not in _PARTS:
        return None
    return _PARTS[path[0]], path[1]
