"""GENEActiv windows: one MATLAB file for each, subject and class in its name (private data)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from tutelage.data.dataset import DataSet
from tutelage.data.folders import existing
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

_NAME = re.compile(r"ID-(?P<subject>.+?)_CLASS-(?P<class>.+?)_Window-(?P<number>\d+)\.mat")
_CHANNELS = ("acc-x", "acc-y", "acc-z")


@dataclass(frozen=True)
class GeneActiv:
    """A folder of wrist-accelerometer windows, 3 channels, 100 Hz.

    Every file ``ID-<subject>_CLASS-<class>_Window-<number>.mat`` holds one window under the key
    ``xw``, [window, 3] or [3, window]; sub-folders are searched too.

    Args:
        folder: where the files are.
        window: length of the stored windows in samples, 500 (5 s) or 1000 (10 s); another stored
            length is refused, never cut or padded.
        class_names: names of the classes in the order of their numbers; default ``class <number>``.
    """

    name: ClassVar[str] = "geneactiv"

    folder: str
    window: Literal[500, 1000] = 500
    class_names: tuple[str, ...] | None = None

    def load(self, folder: Path | None = None, progress: Progress | None = None) -> DataSet:
        """Return all windows, ordered by subject, class and number.

        Args:
            folder: data cache root, default :func:`tutelage.data.home`.
            progress: called with a text and the fraction done.

        Raises:
            UserError: no files, a name outside the pattern, another stored length, a broken file.
        """
        if self.window not in (500, 1000):
            raise UserError(f"GeneActiv.window: found {self.window}, allowed are 500 and 1000")
        files = _named(existing("GeneActiv.folder", self.folder))
        place = (folder or home()) / self.name
        paths = [path for _, path in files]
        with usable(place):
            hashes = stamps(paths, place / ".hashes.json")
            content = [(path.name, one) for path, one in zip(paths, hashes, strict=True)]
            return cached(place, self, content, partial(self._build, files, progress or quiet))

    def _build(self, files: list[tuple[re.Match[str], Path]], progress: Progress) -> DataSet:
        inputs = np.empty((len(files), 3, self.window), np.float32)
        for number, (_, path) in enumerate(files):
            inputs[number] = self._read(path)
            if number % 256 == 0:
                progress("reading GENEActiv windows", number / len(files))
        found = [match["class"] for match, _ in files]
        labels, tokens = numbered(found)
        names = self.class_names or tuple(f"class {token}" for token in tokens)
        if len(names) != len(tokens):
            raise UserError(
                f"GeneActiv.class_names: found {len(names)} names, allowed are {len(tokens)}, one "
                f"for each of the classes {', '.join(tokens)}"
            )
        return DataSet(
            name=self.name,
            modality="signal",
            inputs=inputs,
            labels=labels,
            subjects=np.array([match["subject"] for match, _ in files]),
            class_names=names,
            channel_names=_CHANNELS,
            rate=100.0,
            window=self.window,
            source=f"private GENEActiv windows, {len(files)} files",
        )

    def _read(self, path: Path) -> np.ndarray:
        """Return one stored window, [3, window]."""
        from scipy.io import loadmat

        try:
            stored = np.asarray(loadmat(path, variable_names=["xw"])["xw"], dtype=np.float64)
        except KeyError:
            raise UserError(f"{path}: found no key 'xw', allowed are files with that key") from None
        except Exception as error:  # scipy raises many kinds for a damaged file
            raise UserError(f"{path}: found no readable MATLAB 5 file ({error})") from error
        if stored.ndim != 2 or 3 not in stored.shape or stored.shape == (3, 3):
            raise UserError(
                f"{path}: found xw of shape {list(stored.shape)}, allowed are "
                f"[{self.window}, 3] and [3, {self.window}]"
            )
        window = stored if stored.shape[0] == 3 else stored.T
        if window.shape[1] != self.window:
            raise UserError(
                f"GeneActiv.window: asked are {self.window} samples, but the stored windows have "
                f"{window.shape[1]} ({path.name}); nothing is cut or padded"
            )
        return window


def _named(folder: Path) -> list[tuple[re.Match[str], Path]]:
    """Return the window files with what their names say, in order."""
    found: list[tuple[re.Match[str], Path]] = []
    for path in folder.rglob("*.mat"):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise UserError(
                f"{path}: found another name, allowed are ID-<subject>_CLASS-<class>_Window-"
                "<number>.mat"
            )
        found.append((match, path))
    if not found:
        raise UserError(
            f"GeneActiv.folder: found no .mat files in {folder}, allowed is a folder with "
            "ID-<subject>_CLASS-<class>_Window-<number>.mat"
        )
    _refuse_twins([path for _, path in found])
    return sorted(
        found, key=lambda one: [natural(one[0][key]) for key in ("subject", "class", "number")]
    )


def _refuse_twins(paths: Sequence[Path]) -> None:
    """Refuse one window that lies in two sub-folders."""
    names = [path.name for path in paths]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"GeneActiv.folder: found {twice} in two sub-folders, allowed is one")
