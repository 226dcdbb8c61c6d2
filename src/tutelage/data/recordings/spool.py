"""Rows on disk: what was read goes to files of plain numbers, so that memory holds one part of them."""

from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np


class Spool:
    """Columns of numbers that grow at their end and are read by range.

    Args:
        folder: where the files are made.
        name: how their names begin.
        columns: name -> (type, values in a row; 0 for one number that is no vector).
    """

    def __init__(self, folder: Path, name: str, columns: dict[str, tuple[Any, int]]) -> None:
        self.rows = 0
        self._forms = columns
        self._paths = {key: folder / f"{name}-{key}.bin" for key in columns}
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> "Spool":
        self._files = {key: path.open("w+b") for key, path in self._paths.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        for path in self._paths.values():
            path.unlink(missing_ok=True)

    def append(self, **columns: np.ndarray) -> None:
        """Write rows behind those that are there."""
        for key, values in columns.items():
            self._files[key].seek(0, 2)
            self._files[key].write(np.ascontiguousarray(values, self._forms[key][0]).data)
        self.rows += len(next(iter(columns.values())))

    def read(self, column: str, first: int, end: int) -> np.ndarray:
        """Return rows ``first`` to ``end`` of a column, [rows] or [rows, values]."""
        kind, width = self._forms[column]
        file = self._files[column]
        file.flush()
        size = np.dtype(kind).itemsize * max(1, width)
        file.seek(first * size)
        values = np.frombuffer(file.read((end - first) * size), kind)
        return values.reshape(-1, width) if width else values
