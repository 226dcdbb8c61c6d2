"""Frozen teachers: live, or evaluated once and read back exactly."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar, final

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import Tensor, nn

from tutelage import seals
from tutelage.batches import Samples, batches
from tutelage.errors import UserError
from tutelage.files import bytes_in_words, replacing_folder
from tutelage.modes import device_of
from tutelage.types import Batch, Needs, Output, to_device

N = TypeVar("N", bound=nn.Module)

__all__ = ["CachedTeachers", "LiveTeachers", "Teachers", "cache_teacher", "state_hash"]

_VERSION = 3  # of the cached numbers; raise it when the same inputs would give other ones
_SMALL = 2**24  # bytes of a whole Gram matrix that is always kept: reading is faster than computing
_BLOCK = 2048  # rows of one block of a Gram matrix: 2 x 2048 x D floats in memory at a time

Context = Callable[[], AbstractContextManager[object]]


class Teachers(Protocol):
    """Every teacher's output for a batch, by name; no gradient."""

    def __call__(self, batch: Batch) -> Mapping[str, Output]:
        """Return the outputs for these samples."""
        ...


@final
class LiveTeachers:
    """Teachers that run on every batch: frozen, in evaluation mode, without gradient.

    Args:
        networks: name -> module from Batch to Output.
        needs: what the objectives read; other features are dropped at once.
    """

    def __init__(self, networks: Mapping[str, nn.Module], needs: Needs) -> None:
        self.networks = {name: freeze(network) for name, network in networks.items()}
        self.needs = needs

    def __call__(self, batch: Batch) -> Mapping[str, Output]:
        """Run every teacher on the batch."""
        wanted = self.needs.features | self.needs.grams
        with torch.no_grad():
            return {
                name: _keep(network(batch), wanted, name) for name, network in self.networks.items()
            }


@final
class CachedTeachers:
    """Teachers read back from the cache: exact as long as their inputs are not augmented.

    Args:
        folders: name -> folder made by :func:`cache_teacher`.
        device: where the outputs are wanted.
    """

    def __init__(self, folders: Mapping[str, Path], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.arrays = {name: _open(folder) for name, folder in folders.items()}
        self.rows = {name: arrays.pop("rows") for name, arrays in self.arrays.items()}

    def __call__(self, batch: Batch) -> Mapping[str, Output]:
        """Read the rows of these samples.

        Raises:
            UserError: a sample was not in the split the cache was made of.
        """
        return {name: self._read(name, batch.index.cpu()) for name in self.arrays}

    def _read(self, name: str, index: Tensor) -> Output:
        rows = self.rows[name][index]
        if bool((rows < 0).any()):
            raise UserError(
                f"teachers.{name}: sample {int(index[rows < 0][0])} is not in the cached split"
            )
        features, grams, logits = {}, {}, torch.empty(0)
        for key, values in self.arrays[name].items():
            kind, _, tap = key.partition("-")
            if kind == "triangle":
                grams[tap] = to_device(values[_places(rows)], self.device)
            elif kind == "gram":  # of an earlier version: the whole matrix
                grams[tap] = to_device(values[rows[:, None], rows[None, :]], self.device)
            elif kind == "feature":
                features[tap] = to_device(values[rows], self.device)
            else:
                logits = to_device(values[rows], self.device)
        return Output(logits, features, grams)


def freeze(network: N) -> N:
    """Put a network in evaluation mode and stop its parameters from collecting gradients."""
    return network.eval().requires_grad_(False)


def state_hash(network: nn.Module) -> str:
    """Return the hash of all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def cache_teacher(
    network: nn.Module,
    samples: Samples,
    index: Tensor,
    needs: Needs,
    *,
    folder: Path,
    modality: str,
    context: Context = nullcontext,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
    about: Mapping[str, str] | None = None,
) -> Path:
    """Evaluate one frozen teacher once on a split; a second call finds the files.

    Logits and features are stored in float32. A tap of which only the similarity map is needed is stored
    as the Gram matrix of the split when that, [n, n], is smaller than the features, [n, D], or below 16 MiB; a
    tap of which both are needed as both, below 16 MiB. The matrix is symmetric: its lower triangle is kept, row
    after row, [n (n + 1) / 2].

    Args:
        network: module from Batch to Output.
        samples: the data; ``samples.fingerprints[modality]`` is part of the key.
        index: sample ids of the split, [n].
        needs: what the objectives read besides logits.
        folder: root of the cache; the entry is ``folder/<key>``.
        modality: the input this teacher reads.
        context: precision context of the forward passes.
        batch_size: samples per forward pass; no influence on the key.
        progress: called with (samples done, samples in all).
        about: what is written beside the entry for readers; no influence on the key.

    Returns:
        The folder of the entry.

    Raises:
        UserError: the disk has not enough room.
    """
    freeze(network)
    precision = str(_probe_dtype(context))
    prints = samples.fingerprints or {}
    key = hashlib.sha256(
        json.dumps(
            [
                _VERSION,
                state_hash(network),
                prints.get(modality) or _hash_rows(samples, modality, index),
                hashlib.sha256(index.numpy().tobytes()).hexdigest(),
                sorted(needs.features),
                sorted(needs.grams),
                precision,
            ]
        ).encode()
    ).hexdigest()[:32]
    entry = folder / key
    if _is_whole(entry):
        return entry
    folder.mkdir(parents=True, exist_ok=True)
    device = device_of(network)

    def forward(batch: Batch) -> Output:
        with torch.no_grad(), context():
            return _keep(
                network(batch.to(device)),
                needs.features | needs.grams,
                "teacher",
            )

    rows = np.full(len(samples), -1, dtype=np.int64)
    rows[index.numpy()] = np.arange(len(index))
    source = batches(samples.only({modality}), index, batch_size)
    # One process evaluates a teacher; the others wait and read.
    with FileLock(folder / f"{key}.lock"):
        if not _is_whole(entry):
            if entry.exists():
                seals.tell_damaged(entry)
            _make(forward, source, rows, needs, entry, progress, about or {})
    return entry


def _make(
    forward: Callable[[Batch], Output],
    source: Iterable[Batch],
    rows: npt.NDArray[np.int64],
    needs: Needs,
    entry: Path,
    progress: Callable[[int, int], None] | None,
    about: Mapping[str, str],
) -> None:
    """Write an entry; a killed process leaves no half one behind."""
    count = int((rows >= 0).sum())
    with replacing_folder(entry, alone=True) as work:  # we hold the lock
        shapes = _evaluate(forward, source, count, work, progress)
        _gram_where_better(work, needs, count)
        np.save(work / "rows.npy", rows)
        contents = {"samples": count, "shapes": shapes, "about": dict(about)}
        (work / "complete.json").write_text(json.dumps(contents, indent=1))
        for file in sorted(work.iterdir()):
            seals.seal(file)


def _is_whole(entry: Path) -> bool:
    """Return whether an entry is there, and every file of it is what was written."""
    try:
        count = json.loads((entry / "complete.json").read_text())["samples"]
        arrays = _open(entry)
        rows = arrays.pop("rows")
        return (
            "logits" in arrays
            and all(
                len(values) == (_below(count) if name.startswith("triangle-") else count)
                for name, values in arrays.items()
            )
            and int((rows >= 0).sum()) == count
            and all(seals.intact(entry / f"{name}.npy") for name in (*arrays, "rows"))
            and seals.intact(entry / "complete.json")
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return False


def _evaluate(
    forward: Callable[[Batch], Output],
    source: Iterable[Batch],
    count: int,
    work: Path,
    progress: Callable[[int, int], None] | None,
) -> dict[str, list[int]]:
    files: dict[str, np.memmap[tuple[int, ...], np.dtype[np.float32]]] = {}
    done = 0
    for batch in source:
        output = forward(batch)
        values = {"logits": output.logits}
        values |= {f"feature-{tap}": tensor for tap, tensor in output.features.items()}
        if not files:
            _check_disk(work, values, count)
            files = {
                name: np.lib.format.open_memmap(
                    work / f"{name}.npy", "w+", np.float32, (count, *tensor.shape[1:])
                )
                for name, tensor in values.items()
            }
        for name, tensor in values.items():
            files[name][done : done + len(tensor)] = tensor.float().cpu().numpy()
        done += len(batch.labels)
        if progress is not None:
            progress(done, count)
    for file in files.values():
        file.flush()
    return {name: list(file.shape) for name, file in files.items()}


def _gram_where_better(work: Path, needs: Needs, count: int) -> None:
    for tap in needs.grams:
        path = work / f"feature-{tap}.npy"
        features = _tensor(path).flatten(1)
        if 4 * count**2 > _SMALL and (features.shape[1] <= count or tap in needs.features):
            continue
        triangle = np.lib.format.open_memmap(
            work / f"triangle-{tap}.npy", "w+", np.float32, (_below(count),)
        )
        _fill(triangle, features)
        triangle.flush()
        if tap not in needs.features:
            path.unlink()


def _fill(triangle: npt.NDArray[np.float32], features: Tensor) -> None:
    """Write the lower triangle of the Gram matrix of features [n, D], row after row."""
    for j in range(0, len(features), _BLOCK):
        for i in range(0, j + 1, _BLOCK):
            block = (features[i : i + _BLOCK] @ features[j : j + _BLOCK].T).numpy().T
            for row, values in enumerate(block, start=j):
                begin, stop = _below(row) + i, _below(row) + min(i + _BLOCK, row + 1)
                triangle[begin:stop] = values[: stop - begin]


def _below(row: int) -> int:
    """Return how many entries of a lower triangle stand above a row."""
    return row * (row + 1) // 2


def _places(rows: Tensor) -> Tensor:
    """Return where the Gram matrix of rows [B] stands in a lower triangle: [B, B]."""
    later = torch.maximum(rows[:, None], rows[None, :])
    return later * (later + 1) // 2 + torch.minimum(rows[:, None], rows[None, :])


def _keep(output: Output, wanted: frozenset[str], name: str) -> Output:
    missing = wanted - output.features.keys()
    if missing:
        raise UserError(
            f"teachers.{name}: no feature {sorted(missing)[0]!r} "
            f"(the network has: {', '.join(sorted(output.features)) or 'none'})"
        )
    return Output(output.logits, {tap: output.features[tap] for tap in sorted(wanted)})


def _probe_dtype(context: Context) -> torch.dtype:
    with context():
        return (torch.ones(1, 1) @ torch.ones(1, 1)).dtype


def _hash_rows(samples: Samples, modality: str, index: Tensor) -> str:
    digest = hashlib.sha256()
    for batch in batches(samples.only({modality}), index, 1024):
        digest.update(batch.inputs[modality].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _check_disk(work: Path, values: Mapping[str, Tensor], count: int) -> None:
    need = sum(4 * count * tensor[0].numel() for tensor in values.values())
    free = shutil.disk_usage(work).free
    if need > free:
        raise UserError(
            f"teachers: the cache needs {bytes_in_words(need)} and the disk has {bytes_in_words(free)} free; "
            "set train.teachers to live, or free some room"
        )


def _open(folder: Path) -> dict[str, Tensor]:
    return {path.stem: _tensor(path) for path in sorted(folder.glob("*.npy"))}


def _tensor(path: Path) -> Tensor:
    # Copy-on-write mode: torch wants a writable buffer, the file must never change.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
