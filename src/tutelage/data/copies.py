"""Which samples are bit-identical: a hash of each."""

import hashlib
from collections.abc import Iterator

import numpy as np

from tutelage.data.dataset import DataSet, Ints, blocks


def prints_of(dataset: DataSet, wanted: Ints) -> dict[int, bytes]:
    """Return a 16-byte hash for every wanted sample that is no constant signal.

    Args:
        dataset: the data.
        wanted: sample numbers.
    """
    mask = np.zeros(len(dataset), bool)
    mask[wanted] = True
    found = {}
    for number, sample in _varying(dataset, mask):
        found[number] = hashlib.blake2b(sample.data, digest_size=16).digest()
    return found


def _varying(dataset: DataSet, mask: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    first = 0
    for block in blocks(dataset.inputs):
        part = np.ascontiguousarray(block)
        keep = mask[first : first + len(part)]
        if dataset.modality == "signal":
            keep = keep & (part != part[:, :, :1]).any(axis=(1, 2))
        for row in np.flatnonzero(keep).tolist():
            yield first + row, part[row]
        first += len(part)


def without_copies(dataset: DataSet, sides: list[Ints]) -> list[Ints]:
    """Return the sides without samples that are bit-identical to one of an earlier side.

    Args:
        dataset: the data.
        sides: sample numbers; the first side keeps all of them.
    """
    prints = prints_of(dataset, np.concatenate(sides))
    seen: set[bytes] = set()
    kept = []
    for side in sides:
        new = np.array([prints.get(number) not in seen for number in side.tolist()], bool)
        kept.append(side[new])
        seen |= {prints[number] for number in side.tolist() if number in prints}
    return kept
