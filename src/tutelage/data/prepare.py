"""What ``tutelage data`` shows of a data set: its classes, its subjects, what deserves attention."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.data.dataset import DataSet, blocks, in_units
from tutelage.data.names import natural

_SHOWN = 5  # concepts that are named
_UNITS = 10  # from this ratio of ranges on, channels seem to have other units
_SIDES = 3  # training, validation, test


@dataclass(frozen=True)
class Description:
    """Counts of a data set, for a table.

    Args:
        summary: as :meth:`DataSet.summary` gives it.
        columns: heads: class, then the subjects (or train and test), then windows and share.
        rows: one for each class: its name, the counts, their sum, its share of all in [0, 1].
        notes: sentences about what deserves attention.
        ranges: of signals: name, least and greatest value of each channel.
    """

    summary: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    notes: tuple[str, ...]
    ranges: tuple[tuple[str, float, float], ...] = ()

    def __str__(self) -> str:
        """Return it as text: one line for the whole, then classes, then the groups, then notes."""
        about, groups = self.summary, self.columns[1:-2]
        shape = " x ".join(str(size) for size in about["shape"])
        rate = f", {about['rate']:g} Hz" if about["rate"] else ""
        things = "windows" if about["window"] else f"{about['modality']}s"
        people = f", {about['subjects']} subjects" if about["subjects"] else ""
        width = max(len(str(row[0])) for row in self.rows)
        lines = [f"{about['name']}: {about['samples']} {things} of {shape}{rate}{people}"]
        lines += ["", f"    {'class':{width}}   total   share"]
        lines += [
            f"{number:3} {row[0]:{width}} {row[-2]:7} {100 * float(row[-1]):5.1f} %"
            for number, row in enumerate(self.rows)
        ]
        if len(groups) > 1:
            wide = max(len("group"), *(len(name) for name in groups))
            counts = zip(*(row[1:-2] for row in self.rows), strict=True)
            lines += [
                "",
                " ".join([f"{'class':{wide}}", *(f"{n:6}" for n in range(len(self.rows)))]),
            ]
            lines += [
                " ".join([f"{name:{wide}}", *(f"{count:6}" for count in column)])
                for name, column in zip(groups, counts, strict=True)
            ]
        if self.ranges:
            width = max(len("channel"), *(len(name) for name, *_ in self.ranges))
            lines += ["", f"{'channel':{width}}        least     greatest"]
            lines += [f"{name:{width}} {low:12.5g} {high:12.5g}" for name, low, high in self.ranges]
        notes = [f"note: {note}" for note in self.notes]
        ends = [f"source: {about['source']}", f"fingerprint: {about['fingerprint']}"]
        return "\n".join([*lines, "", *notes, *ends])


def describe(dataset: DataSet) -> Description:
    """Return counts by class and subject, or by class and official part."""
    groups = _groups(dataset)
    table = np.zeros((len(dataset.class_names), len(groups)), np.int64)
    known = dataset.labels >= 0
    for column, members in enumerate(groups.values()):
        table[:, column] = np.bincount(dataset.labels[members & known], minlength=len(table))
    totals = table.sum(1)
    rows = tuple(
        (name, *table[number].tolist(), int(totals[number]), float(totals[number] / len(dataset)))
        for number, name in enumerate(dataset.class_names)
    )
    columns = ("class", *groups, "total", "share")
    ranges = _ranges(dataset) if dataset.modality == "signal" else ()
    notes = _notes(dataset, list(groups), table) + _unit_notes(ranges)
    return Description(dataset.summary(), columns, rows, notes, ranges)


def _ranges(dataset: DataSet) -> tuple[tuple[str, float, float], ...]:
    """Return name, least and greatest value of every channel."""
    parts = [(part.min(axis=(0, 2)), part.max(axis=(0, 2))) for part in blocks(dataset.inputs)]
    low, high = (np.stack(ends).astype(np.float64) for ends in zip(*parts, strict=True))
    names = in_units(dataset.channel_names, dataset.channel_units)
    ends = zip(names, low.min(0).tolist(), high.max(0).tolist(), strict=True)
    return tuple(ends)


def _unit_notes(ranges: tuple[tuple[str, float, float], ...]) -> tuple[str, ...]:
    """Return what the ranges say of sensors that were off, and of units that differ."""
    notes = []
    dead = [name for name, low, high in ranges if low == high]
    if dead:
        notes.append(f"constant in all windows, as if the sensor was off: {', '.join(dead)}")
    spans = sorted((high - low, name) for name, low, high in ranges if high > low)
    if spans and spans[-1][0] >= _UNITS * spans[0][0]:
        (least, narrow), (most, wide) = spans[0], spans[-1]
        notes.append(
            f"ranges differ: {wide} spans {most:.3g}, {narrow} {least:.3g}; if their units differ, put Scaled "
            "before representations that take all channels together"
        )
    return tuple(notes)


def _groups(dataset: DataSet) -> dict[str, np.ndarray]:
    """Return the members of every subject, else of the official parts, else nothing."""
    if dataset.subjects is not None:
        names = sorted({str(name) for name in np.unique(dataset.subjects)}, key=natural)
        return {name: dataset.subjects == name for name in names}
    if dataset.official_test is not None:
        parts = {"train": ~dataset.official_test}
        if dataset.official_validation is not None:
            parts["train"] = parts["train"] & ~dataset.official_validation
            parts["validation"] = dataset.official_validation
        return parts | {"test": dataset.official_test}
    return {"samples": np.ones(len(dataset), bool)}


def _rare(dataset: DataSet, table: np.ndarray) -> list[str]:
    """Return which classes are too few to be trained on, chosen by and tested."""
    notes = []
    for name, counts in zip(dataset.class_names, table, strict=True):
        owners = int((counts > 0).sum())
        samples = f"{counts.sum()} sample{'s' * bool(counts.sum() > 1)}"
        if dataset.subjects is not None and 0 < owners < _SIDES and table.shape[1] >= _SIDES:
            people = "subject" if owners == 1 else "subjects"
            notes.append(
                f"{name}: {samples} of {owners} {people} only; with fewer than {_SIDES} it cannot be "
                "trained on, chosen by and tested in one fold"
            )
        elif 0 < counts.sum() < _SIDES:
            notes.append(f"{name}: {samples} only; some side of a split has none")
    return notes


def _notes(dataset: DataSet, groups: list[str], table: np.ndarray) -> tuple[str, ...]:
    notes = []
    if dataset.synthetic:
        notes.append("synthetic data: generated, no measurement")
    for scope, names in dataset.concept_names.items():
        more = ", ..." if len(names) > _SHOWN else ""
        notes.append(f"{len(names)} annotated concepts, {scope}: {', '.join(names[:_SHOWN])}{more}")
    totals = table.sum(1)
    without = len(dataset) - int(totals.sum())
    if without:
        notes.append(
            f"{without:,} samples without a label: on the training side only, never in validation or test"
        )
    empty = [dataset.class_names[number] for number in np.flatnonzero(totals == 0)]
    if empty:
        notes.append(f"no samples of {', '.join(empty)}")
        if empty[0] == dataset.class_names[0] and dataset.labels[dataset.labels >= 0].min() > 0:
            notes.append(
                "labels begin above 0: are they numbered from 1? Then class 0 is never learned"
            )
    present = totals[totals > 0]
    if present.max() >= 2 * present.min():
        notes.append(
            f"unbalanced: the largest class has {present.max() / present.min():.1f} times the "
            "samples of the smallest"
        )
    lacking = ((table == 0) & (totals[:, None] > 0)).sum(0)
    for name, count in zip(groups, lacking.tolist(), strict=True):
        if count:
            notes.append(f"{name} lacks {count} of {len(present)} classes")
    return tuple(notes + _rare(dataset, table))
