"""A modality that was made elsewhere and lies in a file."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tutelage.errors import UserError
from tutelage.files import is_file
from tutelage.modalities.base import Representation
from tutelage.vlm.base import digest_of

__all__ = ["OnDisk", "Stored", "read_array"]


class OnDisk(Representation):
    """What is read from files instead of being made from the data.

    Attributes:
        path: of the first file.
    """

    path: str

    @abstractmethod
    def open(self, place: str, classes: int) -> npt.NDArray[Any]:
        """Return the values of all samples, [N, ...].

        Args:
            place: where in the recipe, for errors.
            classes: of the data set.

        Raises:
            UserError: the file is missing, or holds something else.
        """


class Stored(OnDisk):
    """Images, signals or vectors computed elsewhere: ``path`` holds one array, [N, ...], in the data set's order.

    Args:
        path: a ``.npy`` file; opened as a memory-map, never unpickled.
        as_is: networks read the values without standardisation, such as embeddings of a dual encoder.
    """

    def __init__(self, path: str, as_is: bool = False) -> None:
        self.path = path
        self.as_is = as_is

    @property
    def content(self) -> str:
        """Hash of the file; empty where there is none, which :meth:`open` refuses."""
        return digest_of(Path(self.path)) if is_file(Path(self.path)) else ""

    def open(self, place: str, classes: int) -> npt.NDArray[Any]:
        """Return the array as a memory-map.

        Raises:
            UserError: the file is missing, is no plain array, or has the wrong shape.
        """
        values = read_array(self.path, f"{place}.path")
        if values.ndim not in (2, 3, 4) or values.dtype.kind not in "fu":
            raise UserError(
                f"{place}.path: found {list(values.shape)} {values.dtype}; allowed: "
                "[N, D], [N, channels, time] or [N, channels, height, width] of floats or uint8"
            )
        return values


def read_array(path: str, place: str) -> npt.NDArray[Any]:
    """Return an array of a file as a memory-map.

    Args:
        path: a ``.npy`` file, never unpickled.
        place: where in the recipe, for errors.

    Raises:
        UserError: the file is missing, or is no plain array.
    """
    if not is_file(Path(path)):
        raise UserError(f"{place}: {path} does not exist")
    try:
        values: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{place}: {path} is not a plain .npy array ({error})") from error
    return values
