"""CIFAR-100, from its official binary archive."""

import hashlib
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tutelage.data.dataset import COLOURS, DataSet
from tutelage.data.hierarchy import as_concepts
from tutelage.data.loader import ParsedLoader, one_of
from tutelage.data.store import Progress
from tutelage.errors import UserError

ARCHIVE = "cifar-100-binary.tar.gz"
CHECKSUM = "03b5dce01913d631647c71ecec9e9cb8"  # MD5 of the archive, as published
_FOLDER = "cifar-100-binary"
_PIXELS = 3 * 32 * 32
_CITATION = "Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"


@dataclass(frozen=True)
class Cifar100(ParsedLoader):
    """CIFAR-100: 50,000 images to train on and 10,000 to test, 32x32 RGB, 100 classes in 20 groups.

    Args:
        folder: the official cifar-100-binary.tar.gz or the folder that holds it; relative to the working
            directory. None: ``cifar100`` in the data cache.
        labels: ``fine`` for the 100 classes; ``coarse`` for their 20 groups: the 100 classes are then the
            annotated concepts of each image.
        expect_official: refuse an archive with another checksum than the published one.
    """

    name: ClassVar[str] = "cifar100"

    folder: str | None = None
    labels: Literal["fine", "coarse"] = "fine"
    expect_official: bool = True

    def __post_init__(self) -> None:
        one_of(self, "labels", self.labels, ("fine", "coarse"))

    def _files(self, cache: Path, progress: Progress) -> dict[str, Path]:
        root = cache if self.folder is None else Path(self.folder).expanduser()
        archive = root if root.is_file() else root / ARCHIVE
        if not archive.is_file():
            raise UserError(
                f"Cifar100.folder: found no {ARCHIVE} in {root.absolute()}; get it (161 MB) from "
                f"https://www.cs.toronto.edu/~kriz/cifar.html and put it into {cache}, or name where it is: "
                "folder"
            )
        return {archive.name: archive}

    def _parse(self, files: Mapping[str, Path], progress: Progress) -> DataSet:
        (archive,) = files.values()
        if self.expect_official:
            with archive.open("rb") as file:
                found = hashlib.file_digest(
                    file, partial(hashlib.md5, usedforsecurity=False)
                ).hexdigest()
            if found != CHECKSUM:
                raise UserError(
                    f"{archive}: found MD5 {found[:8]}..., the published one is {CHECKSUM[:8]}...; "
                    "expect_official: false takes it all the same"
                )
        progress("reading CIFAR-100", 0.0)
        content = _read(archive)
        parts = [
            np.frombuffer(content[name], np.uint8).reshape(-1, 2 + _PIXELS)
            for name in ("train.bin", "test.bin")
        ]
        rows = np.concatenate(parts)
        column = 1 if self.labels == "fine" else 0
        concepts: dict[str, Any] = {}
        if self.labels == "coarse":
            names = content["fine_label_names.txt"].decode().split()
            concepts = as_concepts(rows[:, 1].astype(np.int64), names)
        return DataSet(
            name=self.name if self.labels == "fine" else f"{self.name}-coarse",
            modality="image",
            inputs=rows[:, 2:].reshape(-1, 3, 32, 32),
            labels=rows[:, column].astype(np.int64),
            subjects=None,
            class_names=tuple(content[f"{self.labels}_label_names.txt"].decode().split()),
            channel_names=COLOURS,
            official_test=np.arange(len(rows)) >= len(parts[0]),
            source=f"{_CITATION}. From: {archive.name}",
            **concepts,
        )


def _read(archive: Path) -> dict[str, bytes]:
    """Return the files of the archive that matter; nothing is written to disk.

    Raises:
        UserError: it is no such archive.
    """
    wanted = ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")
    found = {}
    try:
        with tarfile.open(archive, "r:*") as opened:
            for name in wanted:
                file = opened.extractfile(f"{_FOLDER}/{name}")
                if file is None:
                    raise KeyError(f"{name} is no file")
                found[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, KeyError) as error:
        raise UserError(f"{archive}: found no readable CIFAR-100 archive ({error})") from error
    for name in wanted[:2]:
        if not found[name] or len(found[name]) % (2 + _PIXELS):
            raise UserError(
                f"{archive}: {name}: found {len(found[name])} bytes, allowed are multiples of "
                f"{2 + _PIXELS}, one row for each image"
            )
    return found
