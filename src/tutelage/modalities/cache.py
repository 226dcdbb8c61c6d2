"""Representations on disk, named by everything that decides their content."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tutelage import seals
from tutelage.errors import UserError
from tutelage.files import bytes_in_words, remove_abandoned, replacing
from tutelage.modalities.base import Modality, Pieces, spans
from tutelage.modalities.topology.kernel import Array
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
    it is written under another name and renamed. A damaged one is made again. Two processes that miss
    at the same time both compute; the files are equal and the later one stays.

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
    remove_abandoned(folder)
    chosen = np.arange(len(array)) if train is None else _numbers(train, len(array))
    given = _given(modality, array, source)
    diagnostics = _fit(modality, array, chosen, given, folder)
    path = _path(modality, given, folder)
    values = _open(path)
    if values is not None:
        if progress is not None:
            progress(len(array), len(array))
        return values
    if path.exists():
        seals.tell_damaged(path)
    made = (blocks or in_order)(modality, array, chunk)
    about = {**given, "fitted": _plain(modality.fitted()), "diagnostics": diagnostics}
    _make(made, len(array), path, about, progress)
    values = _open(path)
    if values is None:
        raise UserError(f"{path}: found a file that is not what was written; is the disk sound?")
    return values


def fitted(
    modality: Modality, array: Array, *, source: str, train: Array, folder: Path
) -> Modality:
    """Return a modality as :func:`represent` fits it, so that it can represent other samples.

    Args:
        modality: fitted here, or as an earlier fit on these samples was.
        array: the samples.
        source: fingerprint of their content.
        train: numbers of the training samples.
        folder: where files lie; made if absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _fit(modality, array, _numbers(train, len(array)), _given(modality, array, source), folder)
    return modality


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
    fitted = _fit_path(modality, _numbers(train, len(array)), given, folder)
    if not seals.intact(fitted):
        return False
    try:
        _restore(modality, fitted)
    except (ValueError, KeyError, TypeError):
        return False
    return _open(_path(modality, given, folder)) is not None


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


def _path(modality: Modality, given: dict[str, Any], folder: Path) -> Path:
    # the diagnostics stay out: folds that learned the same numbers share one file
    about = {**given, "fitted": _plain(modality.fitted())}
    return folder / f"{type(modality).__name__}-{_digest(about)}.npy"


def _fit(
    modality: Modality, array: Array, chosen: Array, given: dict[str, Any], folder: Path
) -> dict[str, float]:
    """Fit, or take what an earlier fit on the same samples learned; return the diagnostics."""

    def learn() -> dict[str, float]:
        modality.fit_chunks(
            Pieces(lambda: (array[chosen[a:b]] for a, b in spans(0, len(chosen), array)))
        )
        return modality.diagnostics

    def write(path: Path, diagnostics: dict[str, float]) -> None:
        state = {"fitted": _plain(modality.fitted()), "diagnostics": diagnostics}
        path.write_text(json.dumps(state, indent=1))

    fitted = _fit_path(modality, chosen, given, folder)
    return seals.kept(fitted, lambda path: _restore(modality, path), learn, write)


def _restore(modality: Modality, path: Path) -> dict[str, float]:
    """Become fitted as a file says; return the diagnostics."""
    state = json.loads(path.read_text())
    modality.restore(state["fitted"])
    return dict(state["diagnostics"])


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
    # written as a file and not through a memory map: mapped pages would count as our memory
    with replacing(path) as unfinished, unfinished.open("wb") as file:
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
        total = file.tell()
    seals.seal(path)
    description = {
        **about,
        "output": {"shape": list(shape), "dtype": str(first.dtype), "bytes": total},
        "seconds": round(time.perf_counter() - began, 3),
    }
    # the data first: a description promises that its file is complete
    with replacing(path.with_suffix(".json")) as unfinished:
        unfinished.write_text(json.dumps(description, indent=1))


def _open(path: Path) -> np.memmap[Any, Any] | None:
    """Return the map of a complete file, or None where anything about it is not as described."""
    try:
        output = _described(path)["output"]
        if not seals.intact(path) or path.stat().st_size != output["bytes"]:
            return None
        array = np.lib.format.open_memmap(path, mode="r")
        same = list(array.shape) == output["shape"] and str(array.dtype) == output["dtype"]
    except (ValueError, OSError, KeyError, TypeError):
        return None
    return array if same else None


def _described(path: Path) -> Any:
    return json.loads(path.with_suffix(".json").read_text())


def _refuse_full_disk(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size + SPARE:
        raise UserError(
            f"{path.parent}: {bytes_in_words(size + SPARE)} are needed and {bytes_in_words(free)} are free; "
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
    parameters = modality.get_params(deep=False).items()
    return {name: _plain(value) for name, value in parameters if name != "n_jobs"}


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
    assert array.filename is not None
    yield from _described(Path(array.filename)).items()
