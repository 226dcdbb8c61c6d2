"""What a teacher said elsewhere: logits, and embeddings, that lie in files."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tutelage.errors import UserError
from tutelage.files import is_file
from tutelage.modalities.stored import OnDisk, read_array
from tutelage.vlm.base import digest_of

__all__ = ["Answers"]

Values = npt.NDArray[np.float32]
_SUM = 1e-3  # how far probabilities in half precision may sum from 1


class Answers(OnDisk):
    """Logits of every sample, and an embedding after them, as one vector: what ``Answered`` reads.

    Args:
        path: ``.npy``, [N, C], in the order of the data set; a row of NaN is a sample that was not asked.
        embedding: ``.npy``, [N, D] or None; the same rows.
        scale: what ``path`` holds; of probabilities the logarithm is taken, so that their softmax gives them back.

    Shapes:
        -> [N, C + D], float32.
    """

    as_is = True

    def __init__(
        self,
        path: str,
        embedding: str | None = None,
        scale: Literal["logits", "probabilities"] = "logits",
    ) -> None:
        self.path, self.embedding, self.scale = path, embedding, scale

    @property
    def content(self) -> str:
        """Hash of the files."""
        return digest_of(*map(Path, self._paths))

    @property
    def _paths(self) -> list[str]:
        return [self.path] if self.embedding is None else [self.path, self.embedding]

    def open(self, place: str, classes: int) -> Values:
        """Return the answers.

        Raises:
            UserError: a file is missing or no array of numbers, has other columns than classes, holds numbers
                that are not finite, or something else than ``scale`` says.
        """
        for path in self._paths:
            if not is_file(Path(path)):
                raise UserError(f"{place}: {path} does not exist")
        states = tuple(map(_state, self._paths))
        return _read(place, states, classes, self.scale)


def missing(values: Values) -> npt.NDArray[np.bool_]:
    """Return which samples have no answer, [N]."""
    found: npt.NDArray[np.bool_] = np.isnan(values[:, 0])
    return found


def _state(path: str) -> tuple[str, int, int]:
    """Return a path with size and time of its file: another content is another key of what is remembered."""
    about = Path(path).stat()
    return path, about.st_size, about.st_mtime_ns


@lru_cache(maxsize=4)
def _read(place: str, states: tuple[tuple[str, int, int], ...], classes: int, scale: str) -> Values:
    (logits, *_), *rest = states
    values = _vectors(logits, place)
    if values.shape[1] != classes:
        raise UserError(
            f"{place}: {logits} holds {values.shape[1]} columns (allowed: {classes}, one for each class of "
            "the data set, in its order)"
        )
    parts = [_logits(values, scale, logits, place)]
    for embedding, *_ in rest:
        parts.append(_vectors(embedding, place))
        if len(parts[1]) != len(values) or (missing(parts[1]) != missing(values)).any():
            raise UserError(
                f"{place}: {embedding} holds other samples than {logits} (allowed: the same {len(values)} "
                "rows, NaN where the other has NaN)"
            )
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _vectors(path: str, place: str) -> npt.NDArray[Any]:
    """Return one array, [N, columns]; every row is finite, or NaN as a whole."""
    values = read_array(path, place)
    if values.ndim != 2 or values.dtype.kind != "f" or 0 in values.shape:
        raise UserError(
            f"{place}: {path} holds {list(values.shape)} {values.dtype} (allowed: floats, one row for each sample)"
        )
    values = np.asarray(values)
    wrong = ~np.isfinite(values.astype(np.float32)).all(axis=1) & ~np.isnan(values).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{place}: {path} is not finite at sample {row} (allowed: finite numbers, or NaN in the whole "
            "row of a sample that was not asked)"
        )
    return values


def _logits(values: npt.NDArray[Any], scale: str, path: str, place: str) -> Values:
    """Return logits of what is stored."""
    known = values[~missing(values)].astype(np.float64)
    off = np.abs(known.sum(axis=1) - 1) > _SUM if len(known) else np.zeros(0, bool)
    odd = (known < 0).any(axis=1) | off
    if scale == "probabilities":
        if odd.any():
            row = int(np.flatnonzero(~missing(values))[odd.argmax()])
            raise UserError(
                f"{place}.scale: probabilities, but sample {row} of {path} has negative ones or ones that "
                "do not sum to 1 (allowed: logits)"
            )
        with np.errstate(invalid="ignore"):
            logs = np.log(np.maximum(values, np.finfo(np.float32).tiny))
        return np.asarray(logs, np.float32)
    if len(known) and not odd.any():
        raise UserError(
            f"{place}.scale: logits, but every row of {path} is positive and sums to 1 (allowed: probabilities)"
        )
    return values.astype(np.float32)
