"""Your own arrays: in a folder, or in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tutelage.data.dataset import COLOURS, DataSet, Ints, Strings
from tutelage.data.guard import array, fits_memory, lines
from tutelage.data.loader import Loader, one_of, user_folder
from tutelage.data.names import NONE, text_labels
from tutelage.data.store import Progress
from tutelage.errors import UserError, unknown

_COLUMNS = {
    "y": "iuU", "subjects": "Uiu", "sessions": "Uiu", "recordings": "iu", "starts": "iu", "test": "b",
}  # fmt: skip
_NAMES = ("classes", "channels")


@dataclass(frozen=True)
class Arrays(Loader):
    """Arrays ``X`` and ``y``: files ``X.npy``, ``y.npy`` of a folder, or in Python the arrays themselves.

    ``X`` is [N, channels, time] floating-point or [N, 3, height, width] uint8; ``y`` is [N] integers from 0, or
    texts; -1, and an empty text, stand for no label. Optional: ``subjects`` [N], ``test`` [N] bool (your official
    test part), ``sessions`` [N], ``recordings`` and ``starts`` [N] (to detect windows that overlap),
    ``classes.txt`` and ``channels.txt`` (one name a line).

    Args:
        folder: where the files are, relative to the working directory; or, in Python, a mapping with the arrays by
            these names (``{"X": ..., "y": ..., "subjects": ..., "classes": [...]}``), also columns of pandas.
        name: what the data set is called in records.
        rate: samples per second (Hz) of signals, if known.
        units: of the channels in their order, such as ``[g, g, g]``, if known.
        layout: ``channels_time``, or ``time_channels`` where signals are stored as [N, time, channels].
    """

    folder: str | Mapping[str, Any]
    name: str = "arrays"
    rate: float | None = None
    units: tuple[str, ...] = ()
    layout: Literal["channels_time", "time_channels"] = "channels_time"

    def __post_init__(self) -> None:
        one_of(self, "layout", self.layout, ("channels_time", "time_channels"))

    def _load(self, cache: Path, progress: Progress) -> DataSet:
        given = (
            self._in_memory() if isinstance(self.folder, Mapping) else self._in_folder(self.folder)
        )
        inputs, channels = given["X"], given["channels"]
        place = given["place"]
        signal = inputs.ndim == 3
        if signal and self.layout == "time_channels":
            inputs = _turned(place("X"), inputs)
        else:
            _check_order(place("X"), inputs, channels)
        labels, classes = _labelled(place("y"), given["y"], given["classes"])
        return DataSet(
            name=self.name,
            modality="signal" if signal else "image",
            inputs=_single(place("X"), inputs),
            labels=labels,
            subjects=_texts(given["subjects"]),
            sessions=_texts(given["sessions"]),
            class_names=classes,
            channel_names=channels
            or (_names("channel", inputs.shape[1], 1) if signal else COLOURS),
            rate=self.rate if signal else None,
            window=inputs.shape[-1] if signal else None,
            recordings=_whole(given["recordings"]),
            starts=_whole(given["starts"]),
            official_test=given["test"],
            source="arrays of the user",
            units=self.units,
        )

    def _in_folder(self, folder: str) -> dict[str, Any]:
        """Return the files of a folder by name, None where there is none."""
        root = user_folder(self, folder)
        files = {path.stem: path for path in root.iterdir() if path.suffix == ".npy"}
        _refuse_without(set(files), f"in {folder}", ".npy")
        columns = {
            name: np.array(array(files[name], kinds, (1,))) if name in files else None
            for name, kinds in _COLUMNS.items()
        }
        names = {name: lines(root / f"{name}.txt") for name in _NAMES}
        inputs = array(files["X"], "fiub", (3, 4))
        return {"X": inputs, "place": lambda name: str(root / f"{name}.npy"), **columns, **names}

    def _in_memory(self) -> dict[str, Any]:
        """Return what was given, as arrays; None where there is nothing."""
        assert isinstance(self.folder, Mapping)
        for name in self.folder:
            if name not in ("X", *_COLUMNS, *_NAMES):
                raise unknown("Arrays", "array", str(name), ("X", *_COLUMNS, *_NAMES))
        _refuse_without(set(self.folder), "among the arrays", "")
        columns: dict[str, Any] = dict.fromkeys(_COLUMNS)
        for name in set(_COLUMNS) & set(self.folder):
            columns[name] = _column(name, self.folder[name])
        names = {name: tuple(map(str, self.folder.get(name, ()))) for name in _NAMES}
        inputs = np.asarray(self.folder["X"])
        if inputs.ndim not in (3, 4) or inputs.dtype.kind not in "fiub":
            raise UserError(
                f"Arrays: X: found {list(inputs.shape)} {inputs.dtype}, allowed are [N, channels, time] "
                "floating-point "
                "numbers or [N, 3, height, width] uint8"
            )
        return {"X": inputs, "place": lambda name: f"Arrays: {name}", **columns, **names}


def _refuse_without(there: set[str], where: str, suffix: str) -> None:
    for name in ("X", "y"):
        if name not in there:
            raise UserError(
                f"Arrays.folder: found no {name}{suffix} {where}, X{suffix} and y{suffix} are needed"
            )


def _column(name: str, values: Any) -> Any:
    """Return a column in memory; texts, and labels of categories, stay what they are for :func:`text_labels`."""
    found = np.asarray(values)
    if found.ndim != 1:
        raise UserError(f"Arrays: {name}: found {list(found.shape)}, allowed is [N]")
    if found.dtype.kind == "O":
        return values if name == "y" else found.astype(np.str_)
    if found.dtype.kind not in _COLUMNS[name]:
        raise UserError(f"Arrays: {name}: found type {found.dtype}, allowed are those of its file")
    return found


def _labelled(place: str, values: Any, classes: tuple[str, ...]) -> tuple[Ints, tuple[str, ...]]:
    """Return class numbers and names; texts are numbered as ``classes`` says, else in natural order."""
    if np.asarray(values).dtype.kind in "iu":
        labels = np.asarray(values).astype(np.int64)
        return labels, classes or _numbered_classes(place, labels)
    labels, names = text_labels(values)
    if not classes:
        return labels, tuple(names)
    for name in names:
        if name not in classes:
            raise unknown(place, "class", name, classes)
    lookup = np.array([*(classes.index(name) for name in names), NONE], np.int64)
    return lookup[labels], classes


def _turned(place: str, inputs: np.ndarray) -> np.ndarray:
    """Return [N, channels, time] of [N, time, channels]."""
    fits_memory(
        place, inputs.nbytes, "store it as [N, channels, time], which is read from the disk"
    )
    return np.ascontiguousarray(inputs.transpose(0, 2, 1))


def _texts(column: np.ndarray | None) -> Strings | None:
    return None if column is None else column.astype(np.str_)


def _whole(column: np.ndarray | None) -> Ints | None:
    return None if column is None else column.astype(np.int64)


def _single(path: str, inputs: np.ndarray) -> np.ndarray:
    """Return floating-point inputs in single precision, others as they are."""
    if inputs.dtype.kind != "f" or inputs.dtype == np.float32:
        return inputs
    fits_memory(path, 4 * inputs.size, "store it as float32, which is read from the disk")
    return inputs.astype(np.float32)


def _check_order(path: str, inputs: np.ndarray, channels: tuple[str, ...]) -> None:
    """Refuse axes that seem to be in another order, unless the channels are named."""
    shape = inputs.shape
    if inputs.ndim == 4 and shape[1] != 3 and shape[3] == 3:
        raise UserError(
            f"{path}: found {list(shape)}, which looks like [N, height, width, 3], allowed is "
            "[N, 3, height, width]: np.save(path, X.transpose(0, 3, 1, 2))"
        )
    if inputs.ndim == 3 and shape[1] > shape[2] and len(channels) != shape[1]:
        raise UserError(
            f"{path}: found {list(shape)}, so {shape[1]} channels of {shape[2]} samples, which looks like "
            "[N, time, channels], allowed is [N, channels, time]: layout: time_channels; if they "
            f"are channels, name all {shape[1]} of them in channels.txt"
        )


def _numbered_classes(path: str, labels: Ints) -> tuple[str, ...]:
    """Return names for classes 0 to the highest label.

    Raises:
        UserError: labels that begin at 1, or are no class numbers.
    """
    known = labels[labels != NONE]
    if not len(known):
        raise UserError(
            f"{path}: labels: found -1 everywhere, allowed are some samples with a label"
        )
    low, high = int(known.min()), int(known.max())
    if low < 0 or high >= len(labels):
        raise UserError(
            f"{path}: labels: found {low if low < 0 else high}, allowed are class numbers from 0 (of which there "
            f"cannot be more than the {len(labels)} samples), and -1 where a sample has no label"
        )
    if low > 0:
        raise UserError(
            f"{path}: found labels from {low} to {high}, allowed are class numbers from 0: "
            f"np.save(path, y - {low}); or name all classes, the one without samples too, in classes.txt"
        )
    return _names("class", high + 1, 0)


def _names(word: str, count: int, first: int) -> tuple[str, ...]:
    return tuple(f"{word} {number}" for number in range(first, first + count))
