"""GENEActiv windows: one MATLAB file for each, subject and class in its name (private data)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from tutelage.data.dataset import DataSet
from tutelage.data.loader import ParsedLoader, user_folder
from tutelage.data.names import natural, numbered
from tutelage.data.store import Progress
from tutelage.errors import UserError

_NAME = re.compile(r"ID-(?P<subject>.+?)_CLASS-(?P<class>.+?)_Window-(?P<number>\d+)\.mat")
_FORM = "ID-<subject>_CLASS-<class>_Window-<number>.mat"
_CHANNELS = ("acc-x", "acc-y", "acc-z")


@dataclass(frozen=True)
class GeneActiv(ParsedLoader):
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
    units: ClassVar[tuple[str, ...]] = ("g",) * 3

    folder: str
    window: Literal[500, 1000] = 500
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.window not in (500, 1000):
            raise UserError(f"GeneActiv.window: found {self.window}, allowed are 500 and 1000")

    def _files(self, cache: Path, progress: Progress) -> dict[str, Path]:
        folder = user_folder(self, self.folder)
        files: dict[str, Path] = {}
        parts = {path: _parts(path) for path in folder.rglob("*.mat")}
        for path in sorted(parts, key=lambda path: [*map(natural, parts[path])]):
            if path.name in files:
                raise UserError(
                    f"GeneActiv.folder: found {path.name} in two sub-folders, allowed is one"
                )
            files[path.name] = path
        if not files:
            raise UserError(
                f"GeneActiv.folder: found no .mat files in {folder}, allowed is a folder with {_FORM}"
            )
        return files

    def _parse(self, files: Mapping[str, Path], progress: Progress) -> DataSet:
        inputs = np.empty((len(files), 3, self.window), np.float32)
        for number, path in enumerate(files.values()):
            inputs[number] = self._read(path)
            if number % 256 == 0:
                progress("reading GENEActiv windows", number / len(files))
        subjects, kinds, _ = zip(*map(_parts, files.values()), strict=True)
        labels, tokens = numbered(kinds)
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
            subjects=np.array(subjects),
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


def _parts(path: Path) -> tuple[str, str, str]:
    """Return subject, class and number of a window file."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise UserError(f"{path}: found another name, allowed are {_FORM}")
    return match["subject"], match["class"], match["number"]
