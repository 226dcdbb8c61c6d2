"""What stands for the content of tables in the name of what is stored."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tutelage.data.recordings.paths import Found
from tutelage.data.recordings.tables import Frame, TextForm, table_of
from tutelage.data.store import stamps


def content_of(contents: Sequence[Found | Frame], memory: Path) -> list[object]:
    """Return what changes when a file, what its path says, or a frame changes; where files lie does not matter.

    Args:
        contents: files, or a frame.
        memory: file that remembers the hashes of files.
    """
    memory.parent.mkdir(parents=True, exist_ok=True)
    files = [one for one in contents if isinstance(one, Found)]
    frames = [one for one in contents if not isinstance(one, Found)]
    hashes = stamps([one.path for one in files], memory)
    told = [[one.path.name, one.fields, stamp] for one, stamp in zip(files, hashes, strict=True)]
    return [*told, *map(_hash_of, frames)]


def _hash_of(frame: Frame) -> str:
    """Return the hash of all values of a frame and of the names of its columns."""
    import pandas as pd

    table = table_of(frame, TextForm())
    state = hashlib.sha256(repr(table.columns).encode())
    for chunk in table.chunks(table.columns, []):
        state.update(repr([str(kind) for kind in chunk.frame.dtypes]).encode())
        state.update(pd.util.hash_pandas_object(chunk.frame, index=False).to_numpy().tobytes())
    return state.hexdigest()
