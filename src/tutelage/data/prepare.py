"""What ``tutelage data`` shows of a data set: its classes, its subjects, what deserves attention."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.data.channels import range_notes, ranges_of, units_of
from tutelage.data.copies import prints_of
from tutelage.data.dataset import DataSet
from tutelage.data.names import natural
from tutelage.inert import printable

_SHOWN = 5  # concepts that are named
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
        units: of signals: the unit of each channel, with a question mark where it is a guess.
    """

    summary: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    notes: tuple[str, ...]
    ranges: tuple[tuple[str, float, float], ...] = ()
    units: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as text: one line for the whole, then classes, then the groups, then notes."""
        notes = [f"note: {note}" for note in self.notes]
        ends = [f"source: {self.summary['source']}", f"fingerprint: {self.summary['fingerprint']}"]
        lines = [self.headline, "", *self._classes(), *self._groups(), *self._channels()]
        return printable("\n".join([*map(_one_line, lines), "", *map(_one_line, [*notes, *ends])]))

    @property
    def headline(self) -> str:
        """One line for the whole."""
        about = self.summary
        shape = " x ".join(str(size) for size in about["shape"])
        rate = f", {about['rate']:g} Hz" if about["rate"] else ""
        things = "windows" if about["window"] else f"{about['modality']}s"
        people = f", {about['subjects']} subjects" if about["subjects"] else ""
        occasions = f", {about['sessions']} sessions" if about.get("sessions") else ""
        return f"{about['name']}: {about['samples']} {things} of {shape}{rate}{people}{occasions}"

    def _classes(self) -> list[str]:
        width = max(len(str(row[0])) for row in self.rows)
        return [f"    {'class':{width}}   total   share"] + [
            f"{number:3} {row[0]:{width}} {row[-2]:7} {100 * float(row[-1]):5.1f} %"
            for number, row in enumerate(self.rows)
        ]

    def _groups(self) -> list[str]:
        groups = self.columns[1:-2]
        if len(groups) < 2:
            return []
        wide = max(len("group"), *(len(name) for name in groups))
        counts = zip(*(row[1:-2] for row in self.rows), strict=True)
        head = " ".join([f"{'class':{wide}}", *(f"{n:6}" for n in range(len(self.rows)))])
        lines = [
            " ".join([f"{name:{wide}}", *(f"{count:6}" for count in column)])
            for name, column in zip(groups, counts, strict=True)
        ]
        return ["", head, *lines]

    def _channels(self) -> list[str]:
        if not self.ranges:
            return []
        width = max(len("channel"), *(len(name) for name, *_ in self.ranges))
        units = self.units if any(self.units) else ("",) * len(self.ranges)
        head = f"{'channel':{width}}        least     greatest" + "  unit" * any(units)
        lines = [
            f"{name:{width}} {low:12.5g} {high:12.5g}" + f"  {unit}" * bool(unit)
            for (name, low, high), unit in zip(self.ranges, units, strict=True)
        ]
        return ["", head, *lines]


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()) if "\n" in text else text


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
    if dataset.modality != "signal":
        return Description(dataset.summary(), columns, rows, _notes(dataset, list(groups), table))
    ranges = ranges_of(dataset)
    notes = (
        dataset.notes
        + _notes(dataset, list(groups), table)
        + range_notes(ranges)
        + _copies(dataset)
    )
    return Description(dataset.summary(), columns, rows, notes, ranges, units_of(dataset))


def _copies(dataset: DataSet) -> tuple[str, ...]:
    """Return how many windows are bit-identical to an earlier one."""
    prints = prints_of(dataset, np.arange(len(dataset)))
    copies = len(prints) - len(set(prints.values()))
    return (f"{copies} windows are bit-identical to others",) if copies else ()


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
        elif dataset.subjects is not None and owners == 1 < table.shape[1]:
            notes.append(
                f"{name}: {samples} of 1 subject only; it cannot be trained on and tested with other people"
            )
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
    if len(present) and present.max() >= 2 * present.min():
        notes.append(
            f"unbalanced: the largest class has {present.max() / present.min():.1f} times the "
            "samples of the smallest"
        )
    lacking = ((table == 0) & (totals[:, None] > 0)).sum(0)
    for name, count in zip(groups, lacking.tolist(), strict=True):
        if count:
            notes.append(f"{name} lacks {count} of {len(present)} classes")
    return tuple(notes + _rare(dataset, table))
