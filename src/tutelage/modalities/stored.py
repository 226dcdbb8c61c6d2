"""A modality that was made elsewhere and lies in a file."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tutelage.errors import UserError
from tutelage.files import is_file
from tutelage.modalities.base import Representation

__all__ = ["Stored"]


class Stored(Representation):
    """Images, signals or vectors computed elsewhere: ``path`` holds one array, [N, ...], in the data set's order.

    Args:
        path: a ``.npy`` file; opened as a memory-map, never unpickled.
        as_is: networks read the values without standardisation, such as embeddings of a dual encoder.
    """

    def __init__(self, path: str, as_is: bool = False) -> None:
        self.path = path
        self.as_is = as_is

    def open(self, place: str) -> npt.NDArray[Any]:
        """Return the array as a memory-map.

        Raises:
            UserError: the file is missing, is no plain array, or has the wrong shape.
        """
        if not is_file(Path(self.path)):
            raise UserError(f"{place}.path: {self.path} does not exist")
        try:
            values: npt.NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise UserError(
                f"{place}.path: {self.path} is not a plain .npy array ({error})"
            ) from error
        if values.ndim not in (2, 3, 4) or values.dtype.kind not in "fu":
            raise UserError(
                f"{place}.path: found {list(values.shape)} {values.dtype}; allowed: "
                "[N, D], [N, channels, time] or [N, channels, height, width] of floats or uint8"
            )
        return values
