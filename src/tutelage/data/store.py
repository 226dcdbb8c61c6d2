"""The data cache on disk: where it is, what is in it, and how a parsed data set is kept there."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock

from tutelage import seals
from tutelage.data.dataset import DataSet
from tutelage.data.guard import regular
from tutelage.errors import UserError
from tutelage.files import UNFINISHED, replacing_folder

Progress = Callable[[str, float], None]

_FORMAT = 3  # raise it when the meaning of a stored file, or a default of a loader, changes
_CONCEPTS = "concepts-"  # before the scope, in the name of an array
_PLACES = ("folder", "files")  # arguments that say where raw files are
_ARRAYS = (
    "inputs", "labels", "subjects", "recordings", "starts", "official_test", "official_validation",
    "sessions", "listed",
)  # fmt: skip


def home() -> Path:
    """Return the data cache root: ``TUTELAGE_DATA``, else ``~/.cache/tutelage/data``."""
    named = os.environ.get("TUTELAGE_DATA")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "tutelage" / "data"


def quiet(_text: str, _fraction: float) -> None:
    """Report no progress."""


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Tell a full disk or a forbidden folder as a sentence.

    Args:
        folder: the part of the data cache that is worked on.

    Raises:
        UserError: the system refused to read or write there.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"data cache {folder}: it cannot be used ({error})") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamps(paths: Iterable[Path], memory: Path) -> list[str]:
    """Return the SHA-256 of each file; a file with unchanged size and time is not re-read.

    Args:
        paths: the files.
        memory: a JSON file that remembers (size, time in ns, hash) of every path.
    """
    known = seals.recall(memory)
    found = []
    for path in paths:
        state = regular(path).stat()
        old = known.get(str(path.resolve()), [None, None, ""])
        fresh = [state.st_size, state.st_mtime_ns] != old[:2]
        found.append(sha256(path) if fresh else old[2])
        known[str(path.resolve())] = [state.st_size, state.st_mtime_ns, found[-1]]
    seals.remember(memory, known)
    return found


def key(loader: object, content: object) -> str:
    """Return 16 hex digits that stand for a loader's arguments and the files it read.

    Arguments at their default are left out: a new one does not make stored data unfindable. So is the folder of
    the raw files, for which their content stands.
    """
    arguments = {
        field.name: value
        for field in fields(loader)  # type: ignore[arg-type]
        if field.name not in _PLACES and (value := getattr(loader, field.name)) != field.default
    }
    text = json.dumps(
        [_FORMAT, type(loader).__name__, arguments, content], sort_keys=True, default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(dataset: DataSet, folder: Path) -> None:
    """Write a data set as .npy files and one JSON file, all or nothing.

    Args:
        dataset: what to keep.
        folder: a folder that appears when everything is written; kept as it is if it exists.
    """
    if not folder.exists():
        with replacing_folder(folder) as scratch:
            _write(dataset, scratch)


def _write(dataset: DataSet, folder: Path) -> None:
    """Write everything that is not there yet."""
    meta = {field.name: getattr(dataset, field.name) for field in fields(dataset)}
    arrays = {name: meta.pop(name) for name in _ARRAYS}
    arrays |= {_CONCEPTS + scope: values for scope, values in meta.pop("concepts").items()}
    for name, array in arrays.items():
        if array is not None:
            if not (folder / f"{name}.npy").exists():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
            meta.setdefault("arrays", []).append(name)
    meta["fingerprint"] = [_state(folder / "inputs.npy"), dataset.fingerprint]
    (folder / "dataset.json").write_text(json.dumps(meta, indent=1))
    for path in sorted(folder.iterdir()):
        seals.seal(path)


def open_saved(folder: Path, units: tuple[str, ...] = ()) -> DataSet:
    """Return a data set written by :func:`save`; its inputs stay on disk as a memory-map.

    Args:
        folder: where it is.
        units: of its channels, where it was stored before data sets kept them.

    Raises:
        UserError: a file is damaged.
    """
    try:
        meta = json.loads((folder / "dataset.json").read_text())
        for name in ("class_names", "channel_names", "units", "notes"):
            meta[name] = tuple(meta.get(name, ()))
        meta["units"] = meta["units"] or tuple(units)
        stored = meta.pop("arrays")
        names = meta.get("concept_names", {})
        meta["concept_names"] = {scope: tuple(listed) for scope, listed in names.items()}
        meta["concepts"] = {
            scope: np.load(folder / f"{_CONCEPTS}{scope}.npy", mmap_mode="r", allow_pickle=False)
            for scope in names
        }
        state, known = meta.pop("fingerprint", ([], ""))  # not in folders that were stored long ago
        for name in _ARRAYS:
            mode: Literal["r"] | None = "r" if name == "inputs" else None
            path = folder / f"{name}.npy"
            wanted = name in stored
            meta[name] = np.load(path, mmap_mode=mode, allow_pickle=False) if wanted else None
        dataset = DataSet(**meta)
        if state == _state(folder / "inputs.npy"):  # untouched since its contents were hashed
            dataset.__dict__["fingerprint"] = known
        return dataset
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{folder}: the stored data set cannot be read ({error}); delete this folder"
        ) from error


def cached(
    folder: Path,
    loader: object,
    content: object,
    build: Callable[[Path], DataSet],
    units: tuple[str, ...] = (),
) -> DataSet:
    """Return the stored data set for these arguments and files, built at the first time and when it is damaged.

    One process builds, the others wait. The fingerprint is computed here, once.

    Args:
        folder: where parsed data sets of this loader are kept.
        loader: the loader; its arguments are part of the key.
        content: stands for the raw files, part of the key.
        build: returns the data set; inputs that may be larger than memory it writes as ``inputs.npy`` into the
            folder it is given.
        units: of the channels.
    """
    place = folder / f"{type(loader).__name__.lower()}-{key(loader, content)}"
    if (found := _whole(place, units)) is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if (found := _whole(place, units)) is not None:
            return found
        if place.exists():
            seals.tell_damaged(place)
        for stale in folder.glob(f"{UNFINISHED}*/"):  # of a process that was killed
            shutil.rmtree(stale, ignore_errors=True)
        with replacing_folder(place) as scratch:
            _write(build(scratch), scratch)
        return open_saved(place, units)


def _whole(place: Path, units: tuple[str, ...]) -> DataSet | None:
    """Return a stored data set, or None where there is none, or where a file of it is not what was written."""
    about = place / "dataset.json"
    try:
        names = json.loads(about.read_bytes())["arrays"] if seals.intact(about) else []
        intact = [seals.intact(place / f"{name}.npy") for name in names]
        return open_saved(place, units) if intact and all(intact) else None
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None


def _state(path: Path) -> list[int]:
    """Return what changes when a file is written to: its size, and its time in ns."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]
