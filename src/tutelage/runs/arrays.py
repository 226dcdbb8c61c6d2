"""Files of named arrays: written whole, read without unpickling, damage told in one sentence."""

import tokenize
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tutelage.files import replacing
from tutelage.runs.schema import UnreadableError, parse

__all__ = ["Arrays", "column", "facts", "load", "load_with_facts", "rows", "save"]

Header = TypeVar("Header")
Arrays = dict[str, NDArray[Any]]

_DAMAGED = (
    ArithmeticError, AttributeError, BadZipFile, EOFError, KeyError, MemoryError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError, tokenize.TokenError, zlib.error,
)  # fmt: skip
"""What NumPy and zip raise of an archive with wrong bytes, and of a file that is no archive."""


def save(path: Path, arrays: Mapping[str, Any], *, compressed: bool = False) -> None:
    """Write arrays by name."""
    with replacing(path) as unfinished:
        (np.savez_compressed if compressed else np.savez)(unfinished, **arrays)


def load(path: Path, what: str, *needed: str) -> Arrays:
    """Read all arrays of a file.

    Args:
        path: the file.
        what: it is a file of, for errors.
        needed: names of arrays without which it is none.

    Raises:
        UnreadableError: the file is missing, damaged, lacks an array or holds objects.
    """
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise ValueError("it is empty")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        lacking = [name for name in needed if name not in arrays]
        if lacking:
            raise ValueError(f"{lacking[0]} is missing")
    except _DAMAGED as error:
        raise UnreadableError(f"{path}: not a file of {what} ({error})") from None
    return arrays


def facts(adapter: TypeAdapter[Header], header: Header) -> NDArray[np.uint8]:
    """Return what a file says of its arrays, as the array ``facts``: JSON."""
    return np.frombuffer(adapter.dump_json(header), np.uint8)


def load_with_facts(
    path: Path, what: str, adapter: TypeAdapter[Header], *needed: str
) -> tuple[Header, Arrays]:
    """Read what a file says of its arrays, and the other arrays; arguments and errors as of :func:`load`."""
    arrays = load(path, what, "facts", *needed)
    return parse(adapter, arrays.pop("facts").tobytes(), f"{path}: facts"), arrays


def column(arrays: Arrays, name: str, kind: type[np.generic] | None, path: Path) -> NDArray[Any]:
    """Return one array as numbers of a kind.

    Args:
        arrays: of the file.
        name: which.
        kind: of the numbers; ``np.number`` leaves any as they are, None also what is none.
        path: of the file, for errors.

    Raises:
        UnreadableError: it holds no numbers.
    """
    values = arrays[name]
    if kind is None:
        return values
    if values.dtype.kind not in "biuf":
        raise UnreadableError(f"{path}: {name} holds {values.dtype}, not numbers")
    return values if kind is np.number else values.astype(kind)


def rows(arrays: Mapping[str, NDArray[Any]], count: int, path: Path) -> None:
    """Refuse arrays without one entry for each sample.

    Raises:
        UnreadableError: one has another length.
    """
    for name, values in arrays.items():
        if values.shape[:1] != (count,):
            raise UnreadableError(
                f"{path}: {name} is {values.shape}, but there are {count} samples"
            )
