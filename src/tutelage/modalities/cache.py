"""Representations on disk, named by everything that decides their content."""

import hashlib
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.errors import UserError
from tutelage.files import bytes_in_words
from tutelage.modalities._numba import Array
from tutelage.modalities.base import Modality, Pieces, spans
from tutelage.vlm.base import EncoderSource

CODE_VERSION = 1  # of the file layout; a change of numbers is ``Modality.version``
SPARE = 64 << 20  # bytes left free on the disk

Blocks = Callable[[Modality, Array, int], Iterator[Array]]
"""From a fitted modality, samples and a size: their representation in order, in pieces of that many samples."""


def represent(
    modality: Modality,
    array: Array,
    *,
    source: str,
    train: Array | None,
    folder: Path,
    chunk: int = 256,
    progress: Callable[[int, int], None] | None = None,
    blocks: Blocks | None = None,
) -> np.memmap[Any, Any]:
    """Fit a modality on training samples and represent all samples, once.

    Neither input nor output is ever held in memory as a whole. The file is complete or absent:
    it is written under another name and renamed. Two processes that miss at the same time both
    compute; the files are equal and the later one stays.

    Args:
        modality: fitted here, also on a hit.
        array: signals [N, C, L] or pictures [N, C, H, W]; may be a memory map.
        source: fingerprint of the content of ``array``. Arrays that differ must differ here.
        train: sample numbers or a mask [N]; None: all samples are training samples.
        folder: where files lie; made if absent.
        chunk: samples represented at a time.
        progress: called with (samples done, samples in all) after every chunk; once on a hit.
        blocks: computes the samples; in this process unless given.

    Returns:
        Read-only memory map, [N, channels, height, width]; of vectors [N, D].

    Raises:
        UserError: the disk is too small, or modality and array do not go together.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    chosen = np.arange(len(array)) if train is None else _numbers(train, len(array))
    given = _given(modality, array, source)
    diagnostics = _fit(modality, array, chosen, given, folder)
    # the diagnostics stay out: folds that learned the same numbers share one file
    about = {**given, "fitted": _plain(modality.fitted())}
    path = folder / f"{type(modality).__name__}-{_digest(about)}.npy"
    found = _open(path)
    if found is None:
        made = (blocks or in_order)(modality, array, chunk)
        _make(made, len(array), path, {**about, "diagnostics": diagnostics}, progress)
        found = _open(path)
        if found is None:
            raise UserError(
                f"{path}: found a file that is not what was written; is the disk sound?"
            )
    elif progress is not None:
        progress(len(array), len(array))
    return found


def is_represented(
    modality: Modality, array: Array, *, source: str, train: Array, folder: Path
) -> bool:
    """Return whether :func:`represent` would find a representation, without making anything.

    Args:
        modality: fitted here, if an earlier fit on these samples is known.
        array: the samples.
        source: fingerprint of their content.
        train: numbers of the training samples.
        folder: where files lie.
    """
    given = _given(modality, array, source)
    known = _read(_fit_path(modality, _numbers(train, len(array)), given, folder))
    if known is None:
        return False
    modality.restore(known["fitted"])
    about = {**given, "fitted": _plain(modality.fitted())}
    return (folder / f"{type(modality).__name__}-{_digest(about)}.npy").exists()


def _given(modality: Modality, array: Array, source: str) -> dict[str, Any]:
    return {
        "source": source,
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "class": type(modality).__name__,
        "version": [CODE_VERSION, modality.version],
        "parameters": _parameters(modality),
    }


def _fit_path(modality: Modality, chosen: Array, given: dict[str, Any], folder: Path) -> Path:
    samples = hashlib.sha256(np.ascontiguousarray(chosen, np.int64).tobytes()).hexdigest()
    return folder / f"{type(modality).__name__}-{_digest({**given, 'train': samples})}.fit.json"


def _fit(
    modality: Modality, array: Array, chosen: Array, given: dict[str, Any], folder: Path
) -> dict[str, float]:
    """Fit, or take what an earlier fit on the same samples learned; return the diagnostics."""
    path = _fit_path(modality, chosen, given, folder)
    known = _read(path)
    if known is not None:
        modality.restore(known["fitted"])
        return dict(known["diagnostics"])
    modality.fit_chunks(
        Pieces(lambda: (array[chosen[a:b]] for a, b in spans(0, len(chosen), array)))
    )
    state = {"fitted": _plain(modality.fitted()), "diagnostics": modality.diagnostics}
    _write_atomically(path, json.dumps(state, indent=1))
    return modality.diagnostics


def in_order(modality: Modality, array: Array, chunk: int) -> Iterator[Array]:
    """Yield the representation of all samples, piece after piece; each is overwritten by the next."""
    buffer = modality.transform(array[:chunk])
    yield buffer
    for start in range(chunk, len(array), chunk):
        piece = buffer[: min(chunk, len(array) - start)]
        modality.transform(array[start : start + chunk], out=piece)
        yield piece


def _make(
    made: Iterator[Array],
    count: int,
    path: Path,
    about: dict[str, Any],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write all samples into ``path`` and describe them beside it."""
    began = time.perf_counter()
    first = next(made)
    shape = (count, *first.shape[1:])
    size = first.dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    _refuse_full_disk(path, size)
    hidden = _hidden(path)
    try:
        # written as a file and not through a memory map: mapped pages would count as our memory
        with hidden.open("wb") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(first.dtype),
                "fortran_order": False,
                "shape": shape,
            }
            np.lib.format.write_array_header_1_0(file, header)
            done = 0
            for piece in chain([first], made):
                file.write(piece.data)
                done += len(piece)
                if progress is not None:
                    progress(done, count)
            assert done == count, f"{done} of {count} samples were represented"
            file.flush()
            os.fsync(file.fileno())
            total = file.tell()
        description = {
            **about,
            "output": {"shape": list(shape), "dtype": str(first.dtype), "bytes": total},
            "seconds": round(time.perf_counter() - began, 3),
        }
        # the data first: a description promises that its file is complete
        hidden.replace(path)
        _write_atomically(path.with_suffix(".json"), json.dumps(description, indent=1))
    finally:
        hidden.unlink(missing_ok=True)


def _open(path: Path) -> np.memmap[Any, Any] | None:
    """Return the map of a complete file, or None where anything about it is not as described."""
    about = _read(path.with_suffix(".json"))
    if about is None or not path.is_file():
        return None
    output = about["output"]
    if path.stat().st_size != output["bytes"]:
        return None
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError):
        return None
    if list(array.shape) != output["shape"] or str(array.dtype) != output["dtype"]:
        return None
    return array


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):  # absent, or cut short by a crash
        return None
    return found if isinstance(found, dict) else None


def _write_atomically(path: Path, text: str) -> None:
    hidden = _hidden(path)
    hidden.write_text(text)
    hidden.replace(path)


def _hidden(path: Path) -> Path:
    """Return a name of our own in the same folder, which tells who writes it."""
    owner = f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{path.name}~{owner}")


def _remove_abandoned(folder: Path) -> None:
    """Delete unfinished files of processes of this machine that no longer exist."""
    for path in folder.glob(".*~*"):
        host, _, rest = path.name.rpartition("~")[2].partition(".")
        owner = rest.split(".")[0]
        if host == socket.gethostname() and owner.isdigit() and not _alive(int(owner)):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refuse_full_disk(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size + SPARE:
        raise UserError(
            f"{path.parent}: {bytes_in_words(size)} are needed and {bytes_in_words(free)} are free; "
            "free some space, choose another folder, a smaller size or dtype 'uint8'"
        )


def _numbers(train: Array, count: int) -> Array:
    """Return sorted sample numbers; reading a memory map in order is much faster."""
    chosen = np.flatnonzero(train) if train.dtype == bool else np.sort(np.asarray(train))
    if len(chosen) == 0 or chosen[0] < 0 or chosen[-1] >= count:
        raise UserError(
            f"represent.train: found {len(chosen)} sample numbers, "
            f"allowed: at least one, each from 0 to {count - 1}"
        )
    return chosen


def _parameters(modality: Modality) -> dict[str, Any]:
    """Return the parameters that decide the numbers; threads do not."""
    found = modality.get_params(deep=False).items()
    return {name: _plain(value) for name, value in found if name != "n_jobs"}


def _plain(value: Any) -> Any:
    """Return a value as JSON would read it back, so that equal content has one spelling."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Modality):
        return {"class": type(value).__name__, "version": value.version, **_parameters(value)}
    if isinstance(value, EncoderSource):
        return {"class": type(value).__name__, "fingerprint": value.fingerprint}
    return value


def _digest(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:20]


def describe(array: np.memmap[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is known about a representation: parameters, fitted numbers, size, seconds.

    Args:
        array: what :func:`represent` returned.
    """
    name = array.filename
    about = _read(Path(name).with_suffix(".json")) if name else None
    yield from (about or {}).items()
