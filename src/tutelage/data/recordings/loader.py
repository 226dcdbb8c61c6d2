"""The loader of recordings: its arguments, and how tables become a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutelage.data.dataset import DataSet
from tutelage.data.loader import Loader, one_of
from tutelage.data.recordings import lengths
from tutelage.data.recordings.annotations import Annotations, Book
from tutelage.data.recordings.building import RecordingPlan, built
from tutelage.data.recordings.content import content_of
from tutelage.data.recordings.ingest import ROLES, Columns
from tutelage.data.recordings.paths import Found, fields_of, matching
from tutelage.data.recordings.tables import Frame, TextForm
from tutelage.data.recordings.units import declared
from tutelage.data.store import Progress, cached
from tutelage.errors import UserError, within


@dataclass(frozen=True)
class Recordings(Loader):
    """Your own recordings: tables with a column for each channel, cut into labelled windows.

    Reads CSV (also gzipped), Parquet and Arrow files, or a pandas or polars frame. Lengths (``window``, ``hop``,
    ``fill``) are samples, or texts such as ``2.56 s``, ``20 ms``, and for ``hop`` ``50 %``.

    Args:
        files: pattern of the files, or several; ``data/{subject}/{session}.csv`` takes people and sessions from
            the path (``{label}`` and ``{part}`` as well). Relative to the working directory. In Python also a
            frame.
        channels: columns of the sensor channels.
        label: column of the labels; texts are numbered. Rows without one are unlabelled.
        annotations: tables of labels from when to when, instead of a column.
        time: column of timestamps: seconds, ISO 8601, epochs; needed unless ``rate`` is given.
        time_unit: of timestamps that are numbers; unless told, seconds, or what the size of an epoch tells.
        rate: samples per second of the recordings (Hz); unless told, measured. Timestamps must not contradict it.
        resample: rate that windows get, filtered against aliasing; default: that of the recordings.
        window: length of a window.
        hop: from one window to the next.
        purity: share of a window that must have its label; 1: all of it, 0.5: the majority.
        classes: names of the labels that are classes, in order; default: all, in natural order. Rows with other
            labels give no window.
        unlabelled: ``drop`` or ``keep`` windows without a label; kept ones have the label -1, and are never
            validated or tested with.
        subject: column of the people, unless the path tells.
        session: column of the occasions, unless the path tells.
        part: column that says train, validation or test, unless the path tells, where parts are official.
        fill: gaps and missing values up to this length are interpolated; at longer ones recordings are cut.
        missing: ``cut`` treats missing values as gaps, ``refuse`` refuses them.
        units: of each channel, or one for all: g, mg, m/s2, rad/s, deg/s, uT, ...; values are brought to g, rad/s
            and uT.
        separator: between the fields of text files; default: what their first line has most of.
        decimal: decimal mark of text files.
        skip: lines of text files before their header.
        columns: names of the columns of text files without a header.
        name: what the data set is called in records.
    """

    files: str | tuple[str, ...] | Frame
    channels: tuple[str, ...]
    label: str | None = None
    annotations: Annotations | None = None
    time: str | None = None
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    rate: float | None = None
    resample: float | None = None
    window: int | str = "2.56 s"
    hop: int | str = "50 %"
    purity: float = 1.0
    classes: tuple[str, ...] = ()
    unlabelled: Literal["drop", "keep"] = "drop"
    subject: str | None = None
    session: str | None = None
    part: str | None = None
    fill: int | str = 0
    missing: Literal["cut", "refuse"] = "cut"
    units: Mapping[str, str] | str | None = None
    separator: str | None = None
    decimal: str = "."
    skip: int = 0
    columns: tuple[str, ...] = ()
    name: str = "recordings"

    def __post_init__(self) -> None:
        within("(0, inf)", **{"Recordings.rate": self.rate, "Recordings.resample": self.resample})
        within("(0, 1]", **{"Recordings.purity": self.purity})
        within("[0, inf)", **{"Recordings.skip": self.skip})
        one_of(self, "unlabelled", self.unlabelled, ("drop", "keep"))
        one_of(self, "missing", self.missing, ("cut", "refuse"))
        if self.time_unit is not None:
            one_of(self, "time_unit", self.time_unit, ("s", "ms", "us", "ns"))
        lengths.check(self.window, "Recordings.window")
        lengths.check(self.fill, "Recordings.fill")
        lengths.check(self.hop, "Recordings.hop", percent=True)
        declared(self.units, self.channels, "Recordings.units")
        if self.time is None and self.rate is None:
            raise UserError(
                "Recordings: found neither time nor rate, allowed is one of them, or both"
            )
        self._check_roles()
        self._check_labels()

    def _check_roles(self) -> None:
        told = fields_of(self._patterns)
        for role in (*ROLES, "label"):
            if role in told and getattr(self, role) is not None:
                raise UserError(
                    f"Recordings.{role}: found a column and {{{role}}} in the path, allowed is one of them"
                )
        named = [self.time, self.label, *(getattr(self, role) for role in ROLES), *self.channels]
        twice = next((name for name in named if name and named.count(name) > 1), None)
        if twice is not None or not self.channels:
            found = f"{twice!r} twice" if twice else "no channel"
            raise UserError(
                f"Recordings: found {found}, allowed is every column once, and one channel or more"
            )

    def _check_labels(self) -> None:
        ways = [
            self.label is not None,
            self.annotations is not None,
            "label" in fields_of(self._patterns),
        ]
        if sum(ways) != 1:
            raise UserError(
                f"Recordings.label: found {'several of' if sum(ways) > 1 else 'none of'} label, annotations and "
                "{label} in the path, allowed is one of them"
            )
        if self.annotations is not None and self.time is None:
            raise UserError(
                "Recordings.annotations: found no time column, which says when a row was taken"
            )

    @property
    def _patterns(self) -> tuple[str, ...]:
        if isinstance(self.files, str):
            return (self.files,)
        return self.files if isinstance(self.files, tuple) else ()

    def _load(self, cache: Path, progress: Progress) -> DataSet:
        patterns = self._patterns
        contents: list[Found | Frame] = []
        if isinstance(self.files, str | tuple):
            contents += matching(patterns, "Recordings.files")
        else:
            contents.append(self.files)
        book = None if self.annotations is None else Book(self.annotations, patterns)
        known = content_of([*contents, *(book.files if book else [])], cache / ".hashes.json")
        return cached(
            cache, self, known, lambda folder: built(self._plan(), contents, book, folder, progress)
        )

    def _plan(self) -> RecordingPlan:
        units, factors = declared(self.units, self.channels, "Recordings.units")
        form = TextForm(self.separator, self.decimal, self.skip, self.columns)
        roles = {role: column for role in ROLES if (column := getattr(self, role)) is not None}
        columns = Columns(
            self.channels, factors, self.time, self.label, roles, self.time_unit, form,
            optional_label=self.unlabelled == "keep", refuse_missing_values=self.missing == "refuse",
        )  # fmt: skip
        return RecordingPlan(
            self.name, columns, units, self.rate, self.resample, self.window, self.hop, self.fill, self.purity,
            self.classes, self.unlabelled == "keep",
        )  # fmt: skip
