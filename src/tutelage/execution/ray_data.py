"""Representations made by a Ray cluster: for sets that would keep one machine too long, or are larger than it."""

from collections.abc import Iterator
from mmap import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from tutelage.execution.listener import Listener
from tutelage.execution.ray_engine import connect
from tutelage.execution.run import Plan
from tutelage.modalities.base import Modality

__all__ = ["on_cluster", "represent_missing"]


def represent_missing(planned: Plan, listener: Listener) -> None:
    """Make every representation that the missing runs read, as Ray Data jobs.

    What is made is what one machine would make: the same files, found by the same runs.

    Args:
        planned: the plan.
        listener: who is told.

    Raises:
        UserError: Ray is not installed, or the disk is too small.
    """
    for task in planned.missing:
        data = planned.kept.fold(task.spec.data, task.spec.fold)
        data.values(task.spec.modality, listener.progress, on_cluster)


def on_cluster(
    modality: Modality, array: npt.NDArray[Any], chunk: int
) -> Iterator[npt.NDArray[Any]]:
    """Yield the representation of all samples in order, computed by the workers of a Ray cluster.

    A memory-mapped file is opened by each worker, which reads only its own samples; any other array travels
    through Ray's object store once. This process holds one piece at a time.

    Args:
        modality: fitted.
        array: signals [N, C, L] or pictures [N, C, H, W].
        chunk: samples of a piece.
    """
    ray = connect()
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    source = _Mapped(array) if _is_file(array) else ray.put(np.asarray(array))
    pieces = -(-len(array) // chunk)
    # Tasks, not actors: actors could take every core, and none would be left for what they wait for.
    made = ray.data.range(len(array), override_num_blocks=pieces).map_batches(
        _represent, fn_args=(modality, source), batch_size=chunk
    )
    expected = 0
    for piece in made.iter_batches(batch_size=chunk, prefetch_batches=1):
        assert piece["id"][0] == expected, "Ray Data keeps the order of the samples"
        expected += len(piece["id"])
        yield np.ascontiguousarray(piece["values"])


class _Mapped:
    """A memory-mapped file, to be opened where it is read."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        assert isinstance(array, np.memmap)
        self.path, self.offset = str(array.filename), array.offset
        self.dtype, self.shape = array.dtype, array.shape

    def open(self) -> npt.NDArray[Any]:
        """Return the map."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


def _represent(
    batch: dict[str, npt.NDArray[Any]], modality: Modality, source: Any
) -> dict[str, npt.NDArray[Any]]:
    """Return the ids and the representations of some samples; called where there is a core for it."""
    import ray

    ids = batch["id"]
    array = source.open() if isinstance(source, _Mapped) else ray.get(source)
    modality.n_jobs = 1  # of the core that this worker has
    return {"id": ids, "values": modality.transform(array[ids])}


def _is_file(array: npt.NDArray[Any]) -> bool:
    """Return whether an array is the whole of a memory map: a part of one does not know where it begins."""
    return (
        isinstance(array, np.memmap)
        and isinstance(array.base, mmap)
        and bool(array.flags["C_CONTIGUOUS"])
    )
