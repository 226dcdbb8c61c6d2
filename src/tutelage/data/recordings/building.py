"""From tables to a data set on disk: read once, made regular, cut into windows."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tutelage.data.dataset import Bools, DataSet, Strings
from tutelage.data.names import NONE
from tutelage.data.recordings import lengths
from tutelage.data.recordings.annotations import Book
from tutelage.data.recordings.cutting import Cuts, CuttingRule, lookup_of
from tutelage.data.recordings.ingest import ROLES, Columns, Rows, ingest, spool_of
from tutelage.data.recordings.paths import Found
from tutelage.data.recordings.pieces import Gaps, pieces_of
from tutelage.data.recordings.spool import Spool
from tutelage.data.recordings.tables import Frame
from tutelage.data.recordings.timing import Rates, rates_of
from tutelage.data.store import Progress
from tutelage.errors import UserError, unknown

_PARTS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class RecordingPlan:
    """What the arguments of :class:`Recordings` ask for, under the same names."""

    name: str
    columns: Columns
    units: tuple[str, ...]
    rate: float | None
    resample: float | None
    window: int | str
    hop: int | str
    fill: int | str
    purity: float
    classes: tuple[str, ...]
    unlabelled: bool

    def classes_of(self, rows: Rows) -> tuple[str, ...]:
        """Return the names of the classes, in order.

        Raises:
            UserError: a class that no row has, or no label at all.
        """
        there = rows.labels.known
        if self.classes:
            wanted = [name for name in self.classes if name not in there]
            if wanted:
                raise unknown("Recordings.classes", "label", wanted[0], there)
            return self.classes
        if not there:
            raise UserError(
                f"{rows.stretches[0].place()}: found no label in any of {len(rows.stretches)} recordings; "
                "allowed are "
                "labels, or the names of the classes with classes: [...]"
            )
        return tuple(rows.labels.sorted())

    def rule(self, kept: float, classes: int) -> CuttingRule:
        """Return how windows are cut at the rate they have."""
        window = lengths.samples(self.window, kept, "Recordings.window")
        hop = lengths.samples(self.hop, kept, "Recordings.hop", window)
        return CuttingRule(window, hop, self.purity, classes, self.unlabelled)


def built(
    plan: RecordingPlan,
    contents: Sequence[Found | Frame],
    book: Book | None,
    folder: Path,
    progress: Progress,
) -> DataSet:
    """Return the data set; its inputs are written as ``inputs.npy``.

    Memory holds a chunk of a table, a million rows of one recording, and what is kept of each window besides its
    samples; everything else is on disk.

    Args:
        plan: what is asked for.
        contents: files, or a frame.
        book: annotations, if there are some.
        folder: to write to.
        progress: called with a text and the fraction done.
    """
    with ExitStack() as open_files:
        spool = open_files.enter_context(spool_of(folder, plan.columns))
        rows = ingest(
            contents, plan.columns, book, spool, lambda done: progress("reading recordings", done)
        )
        classes = plan.classes_of(rows)
        timed = plan.columns.time is not None
        rates = rates_of(spool, rows.stretches, plan.rate, plan.resample, timed)
        form = {"values": (np.float32, len(plan.columns.channels))}
        samples = open_files.enter_context(Spool(folder, "regular", form))
        cuts, gaps = Cuts(samples, plan.rule(rates.kept, len(classes))), Gaps()
        _cut(plan, rows, rates, classes, cuts, gaps, progress)
        if not cuts.places:
            raise _no_window(plan, rows, rates, cuts)
        inputs = cuts.write(folder / "inputs.npy", len(plan.columns.channels))
        notes = _notes(rows, rates, cuts, gaps, len(contents))
    return _dataset(plan, rows, rates, classes, cuts, inputs, notes)


def _cut(
    plan: RecordingPlan,
    rows: Rows,
    rates: Rates,
    classes: Sequence[str],
    cuts: Cuts,
    gaps: Gaps,
    progress: Progress,
) -> None:
    """Find the windows of all recordings."""
    fill = lengths.seconds(plan.fill, rates.kept, "Recordings.fill")
    lookup = lookup_of(list(rows.labels.known), classes)
    timed = plan.columns.time is not None
    for number, stretch in enumerate(rows.stretches):
        own = rates.own[number]
        for piece in pieces_of(rows.spool, stretch, own, rates.kept, fill, gaps, timed):
            cuts.add(number, piece, lookup)
        progress("cutting windows", (number + 1) / len(rows.stretches))


def _no_window(plan: RecordingPlan, rows: Rows, rates: Rates, cuts: Cuts) -> UserError:
    """Say why there is no window."""
    window = cuts.rule.window
    asked = (
        f"Recordings.window: found {plan.window}, which is {window} samples at {rates.kept:g} Hz; "
    )
    longest, run = cuts.longest
    where = max(rows.stretches, key=lambda one: one.end - one.first).place()
    if longest < window:
        return UserError(
            f"{asked}the longest recording without a gap has {longest} ({where}); allowed is a shorter window, or "
            "fill: a longer gap"
        )
    if run == 0:
        return UserError(f"{where}: found no row with a label of a class, allowed is one or more")
    return UserError(
        f"{asked}the longest run of one label has {run} ({where}); allowed is a shorter window, or a purity "
        "below 1"
    )


def _notes(rows: Rows, rates: Rates, cuts: Cuts, gaps: Gaps, contents: int) -> tuple[str, ...]:
    """Return what happened to the recordings, in sentences."""
    total = rows.spool.rows
    measured = ""
    if rates.measured:
        low, high = rates.measured
        measured = f" (timestamps: {low:g}{'' if low == high else f' to {high:g}'} Hz)"
    hours = (
        sum((one.end - one.first) / own for one, own in zip(rows.stretches, rates.own, strict=True))
        / 3600
    )
    notes = [f"{contents} tables, {len(rows.stretches)} recordings, {total} rows, {hours:.3g} h at "
             f"{rates.kept:g} Hz{measured}"]  # fmt: skip
    other = sum(own != rates.kept for own in rates.own)
    if other:
        notes.append(f"{other} recordings were resampled to {rates.kept:g} Hz")
    if gaps.cut:
        notes.append(f"cut at {gaps.cut} gaps, the longest {gaps.longest:.3g} s ({gaps.where})")
    if gaps.bridged:
        notes.append(f"{gaps.bridged} gaps were filled by interpolation")
    if gaps.moved:
        notes.append(
            f"{gaps.moved} rows have uneven timestamps and were interpolated at even steps"
        )
    if cuts.short:
        notes.append(f"{cuts.short} pieces are shorter than a window and give none")
    return tuple(notes)


def _dataset(
    plan: RecordingPlan, rows: Rows, rates: Rates, classes: tuple[str, ...], cuts: Cuts, inputs: np.ndarray,
    notes: tuple[str, ...],
) -> DataSet:  # fmt: skip
    recordings = cuts.recordings()
    subjects, sessions, parts = (_names(rows, role, recordings) for role in ROLES)
    test, validation = _official(parts)
    return DataSet(
        name=plan.name,
        modality="signal",
        inputs=inputs,
        labels=np.concatenate(cuts.labels).astype(np.int64),
        subjects=subjects,
        sessions=sessions,
        class_names=classes,
        channel_names=plan.columns.channels,
        rate=rates.kept,
        window=cuts.rule.window,
        recordings=recordings,
        starts=cuts.starts(),
        official_test=test,
        official_validation=validation,
        source="recordings of the user",
        units=plan.units,
        notes=notes,
    )


def _names(rows: Rows, role: str, recordings: np.ndarray) -> Strings | None:
    """Return the name of a role of each window; None where nothing tells it."""
    at = ROLES.index(role)
    numbers = np.array([stretch.names[at] for stretch in rows.stretches], np.int64)
    if not (numbers != NONE).any():
        return None
    texts = np.array([*rows.roles[role].known, ""], np.str_)
    return np.asarray(texts[numbers][recordings])


def _official(parts: Strings | None) -> tuple[Bools | None, Bools | None]:
    """Return which windows are of the official test and validation part.

    Raises:
        UserError: a part of another name.
    """
    if parts is None:
        return None, None
    for name in np.unique(parts).tolist():
        if name.casefold() not in _PARTS:
            raise unknown("Recordings.part", "part", name, _PARTS)
    sides = np.array([_PARTS[name.casefold()] for name in parts.tolist()])
    validation = sides == "validation"
    return sides == "test", validation if validation.any() else None
