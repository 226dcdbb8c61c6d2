"""Reading other people's pickles without running them: a dozen names are admitted, nothing else."""

import io
import pickle
import re
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from tutelage.errors import UserError


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, with which Python 2 pickles spell a byte string."""
    if encoding != "latin1":
        raise UserError(f"pickle: found a byte string in {encoding!r}, only 'latin1' is allowed")
    return text.encode("latin1")


class _Type:
    """Stand in for ``numpy.dtype``: numbers and objects, no structures.

    NumPy's own class is not admitted: a forged state can make it read objects from raw bytes.
    """

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[<>|=]?(f[48]|[iu][1248]|b1|O8?)", code):
            raise UserError(f"pickle: found an array of type {code!r}, allowed are plain numbers")
        self.code = code.lstrip("<>|=")
        self.order = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "|"


class _Array:
    """Stand in for ``numpy.ndarray``; ``numpy.asarray`` turns it into a real one."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, data = state
        if kind.code.startswith("O"):
            flat = np.empty(len(data), object)
            flat[:] = data
        else:
            raw = data.encode("latin1") if isinstance(data, str) else data
            flat = np.frombuffer(raw, np.dtype(kind.order + kind.code))
        self.value = flat.reshape(shape, order="F" if columns_first else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.value, dtype=dtype, copy=copy)


def _reconstruct(*_: object) -> _Array:
    """Stand in for NumPy's function of this name: an array whose state follows."""
    return _Array()


NUMPY: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Bag:
    """Keep the state of an old pandas object as it was written, without any of its code."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Frame(_Bag):
    """Stand in for ``pandas.DataFrame``."""


class _BlockManager(_Bag):
    """Stand in for pandas' ``BlockManager``: axes and blocks of equal type."""


class _Index:
    """Stand in for ``pandas.Index`` and ``RangeIndex``."""


def _new_index(cls: type, parts: dict[str, Any]) -> np.ndarray:
    """Stand in for pandas' ``_new_Index``: the labels, or an empty array for a plain range."""
    return np.asarray(parts.get("data", ()))


def _reconstructor(cls: type, base: type, state: object) -> object:
    """Stand in for ``copyreg._reconstructor``, for the two stand-ins above only."""
    if cls not in (_Frame, _BlockManager) or base is not object:
        raise UserError("pickle: found an object to rebuild that is no pandas frame")
    return cls()


PANDAS: Mapping[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("__builtin__", "object"): object,
    ("__builtin__", "slice"): slice,
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.internals.managers", "BlockManager"): _BlockManager,
    ("pandas.core.indexes.base", "_new_Index"): _new_index,
    ("pandas.core.indexes.base", "Index"): _Index,
    ("pandas.core.indexes.range", "RangeIndex"): _Index,
}


class Unpickler(pickle.Unpickler):
    """An unpickler that finds only the names it was given.

    Args:
        file: the open, uncompressed pickle.
        names: what each admitted (module, name) stands for.
        encoding: how byte strings of Python 2 are read, as in :class:`pickle.Unpickler`.
    """

    def __init__(
        self,
        file: BinaryIO | io.BufferedIOBase,
        names: Mapping[tuple[str, str], Any],
        encoding: str = "ASCII",
    ) -> None:
        super().__init__(file, encoding=encoding)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        """Return what the name stands for, or refuse it."""
        if (module, name) not in self._names:
            raise UserError(
                f"pickle: it asks for {module}.{name}, which is not allowed; nothing was executed"
            )
        return self._names[module, name]


def read(
    file: BinaryIO | io.BufferedIOBase, *, pandas: bool = False, encoding: str = "ASCII"
) -> Any:
    """Return what a pickle holds: containers, numbers, strings, NumPy arrays, old pandas frames.

    Args:
        file: the open, uncompressed pickle.
        pandas: admit the names of pandas 0.2x frames as well; see :func:`frame`.
        encoding: for byte strings of Python 2.

    Raises:
        UserError: the pickle asks for any other name, or is no pickle.
    """
    names = {**NUMPY, **PANDAS} if pandas else NUMPY
    try:
        return Unpickler(file, names, encoding).load()
    except UserError:
        raise
    except Exception as error:  # a broken pickle can raise nearly anything
        raise UserError(f"pickle: it cannot be read ({type(error).__name__}: {error})") from error


def frame(found: object) -> dict[str, np.ndarray]:
    """Return the columns of an old pandas frame read by :func:`read`, each [rows].

    Raises:
        UserError: the object is no frame of pandas 0.2x.
    """
    try:
        axes, blocks, items, _ = found.state["_data"].state  # type: ignore[attr-defined]
        names = [str(name) for name in np.asarray(axes[0])]
        columns: dict[str, np.ndarray] = {}
        for block, labels in zip(blocks, items, strict=True):
            columns.update(
                zip((str(one) for one in np.asarray(labels)), np.asarray(block), strict=True)
            )
        return {name: columns[name] for name in names}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError("pickle: found no pandas frame of the expected form") from error
