"""Does anything of the test or validation side reach the training side? If so, nothing may run."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from tutelage.data.copies import prints_of
from tutelage.data.dataset import DataSet, Ints
from tutelage.data.split import Split
from tutelage.errors import UserError

VERSION = 1  # of the scan; raise it when a split that passed before could be refused
_SHOWN = 5  # names in a sentence


@dataclass(frozen=True)
class Leak:
    """One way in which two sides of a split are not independent.

    Args:
        kind: what they share.
        sides: the names of the two sides.
        count: how many samples (of the second side), or subjects, are concerned.
        text: one sentence for a person.
    """

    kind: Literal["sample", "subject", "overlap", "copy"]
    sides: tuple[str, str]
    count: int
    text: str


def scan(dataset: DataSet, split: Split) -> list[Leak]:
    """Return everything that two sides of a split share; an empty list is what is wanted.

    Looked for, between each two sides: the same sample, the same subject, windows of one recording
    that overlap in time, and bit-identical inputs. Constant signals (a sensor that lay still or
    was off) are equal by nature and are not counted as copies.

    Args:
        dataset: the data.
        split: sample numbers of its three sides.

    Returns:
        Leaks, by kind and then by pair of sides.
    """
    sides = {name: np.asarray(index) for name, index in split.sides().items() if len(index)}
    pairs = list(combinations(sides, 2))
    if split.transductive:  # stated, and labels of the training side are hidden
        pairs = [pair for pair in pairs if pair != ("train", "test")]
    prints = prints_of(dataset, np.concatenate(list(sides.values()))) if sides else {}
    found = [_same_sample(a, b, sides) for a, b in pairs]
    if not split.within_subjects:  # stated
        found += [_same_subject(dataset, a, b, sides) for a, b in pairs]
    found += [_overlap(dataset, a, b, sides) for a, b in pairs]
    found += [_copies(a, b, sides, prints) for a, b in pairs]
    return [finding for finding in found if finding]


def refuse_leakage(dataset: DataSet, split: Split) -> None:
    """Do nothing when the sides are independent.

    Raises:
        UserError: they are not; the sentence names subjects and counts.
    """
    found = scan(dataset, split)
    if found:
        advice = ""
        if split.name == "official" and {finding.kind for finding in found} == {"copy"}:
            advice = "; drop_copies: true leaves copies out, and the test part as it is"
        raise UserError(
            f"split {split.name!r} of data set {dataset.name!r} leaks: "
            + "; ".join(finding.text for finding in found)
            + advice
        )


def _same_sample(a: str, b: str, sides: dict[str, Ints]) -> Leak | None:
    both = np.intersect1d(sides[a], sides[b])
    if not len(both):
        return None
    text = f"{len(both)} samples are in {a} and in {b} (numbers {_some(both)})"
    return Leak("sample", (a, b), len(both), text)


def _same_subject(dataset: DataSet, a: str, b: str, sides: dict[str, Ints]) -> Leak | None:
    if dataset.subjects is None:
        return None
    both = np.intersect1d(dataset.subjects[sides[a]], dataset.subjects[sides[b]])
    if not len(both):
        return None
    text = f"{len(both)} subjects are in {a} and in {b} ({_some(both)})"
    return Leak("subject", (a, b), len(both), text)


def _overlap(dataset: DataSet, a: str, b: str, sides: dict[str, Ints]) -> Leak | None:
    """Look for windows of side ``b`` nearer than one window length to a window of side ``a``."""
    if dataset.recordings is None or dataset.starts is None:
        return None
    window = dataset.inputs.shape[-1]
    # Recordings are laid end to end on one axis, a window apart, so that one sorted search
    # serves all of them and windows of two recordings never come near each other.
    span = int(dataset.starts.max()) - int(dataset.starts.min()) + 2 * window
    place = dataset.recordings * span + (dataset.starts - dataset.starts.min())
    there = np.sort(place[sides[a]])
    here = place[np.setdiff1d(sides[b], sides[a])]
    after = np.searchsorted(there, here)
    left = here - there[np.maximum(after - 1, 0)]
    right = there[np.minimum(after, len(there) - 1)] - here
    close = (np.abs(left) < window) | (np.abs(right) < window)
    if not close.any():
        return None
    count = int(close.sum())
    text = f"{count} windows of {b} overlap in time with windows of {a}"
    return Leak("overlap", (a, b), count, text)


def _copies(a: str, b: str, sides: dict[str, Ints], prints: dict[int, bytes]) -> Leak | None:
    there = {prints[i] for i in sides[a].tolist() if i in prints}
    mine = set(sides[a].tolist())
    same = [i for i in sides[b].tolist() if i not in mine and prints.get(i) in there]
    if not same:
        return None
    text = f"{len(same)} samples of {b} are bit-identical to samples of {a} (numbers {_some(same)})"
    return Leak("copy", (a, b), len(same), text)


def _some(values: object) -> str:
    """Return the first few values as text."""
    texts = [str(value) for value in values]  # type: ignore[attr-defined]
    return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")
