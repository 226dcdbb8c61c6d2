"""PAMAP2: nine people, three inertial units and a heart-rate monitor, by the published recipe."""

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, ClassVar

import numpy as np

from tutelage.data.dataset import DataSet, Ints
from tutelage.data.guard import member, readable, regular
from tutelage.data.loader import ParsedLoader, at_least
from tutelage.data.store import Progress
from tutelage.data.windows import cut
from tutelage.errors import UserError

CLASSES = (
    "rope jumping", "lying", "sitting", "standing", "walking", "running", "cycling",
    "Nordic walking", "ascending stairs", "descending stairs", "vacuum cleaning", "ironing",
)  # fmt: skip
LABELS = {24: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 12: 8, 13: 9, 16: 10, 17: 11}
DELETED = (0, 8, 9, 10, 11, 18, 19, 20)
SUBJECTS = tuple(str(number) for number in range(101, 110))

ROWS = dict(
    zip(SUBJECTS, (83319, 87783, 58113, 77141, 90814, 83366, 77592, 87368, 2131), strict=True)
)
WINDOWS = dict(zip(SUBJECTS, (3726, 3925, 2592, 3447, 4065, 3728, 3465, 3909, 92), strict=True))

_UNITS = ("temperature", "acc16-x", "acc16-y", "acc16-z", "acc6-x", "acc6-y", "acc6-z",
          "gyro-x", "gyro-y", "gyro-z", "mag-x", "mag-y", "mag-z")  # fmt: skip
CHANNELS = (
    "heart rate",
    *(f"{place} {unit}" for place in ("hand", "chest", "ankle") for unit in _UNITS),
)
# Columns of a file: 0 time, 1 label, 2 heart rate, then three units of 17, the last 4 of which
# are the orientation, which the publishers declare invalid.
_KEPT = [2] + [3 + 17 * unit + column for unit in range(3) for column in range(13)]
# Fixed limits of the published scaling, one row for each of: heart rate; hand; chest; ankle.
MAXIMUM = np.array([
    202.0,
    35.5, 47.6314, 155.532, 157.76, 45.5484, 62.2598, 61.728,
    21.8452, 13.1222, 14.2184, 137.544, 109.181, 100.543,
    38.5625, 26.386, 153.582, 37.2936, 23.9101, 61.9328, 36.9676,
    15.5171, 5.97964, 2.94183, 80.4739, 39.7391, 95.8415,
    35.4375, 157.232, 157.293, 150.99, 61.9509, 62.0461, 60.9357,
    17.4204, 13.5882, 13.9617, 91.4247, 92.867, 146.651,
])  # fmt: skip
MINIMUM = np.array([
    0.0,
    0.0, -114.755, -104.301, -73.0384, -61.1938, -61.8086, -61.4193,
    -27.8044, -17.8495, -14.2647, -103.941, -200.043, -163.608,
    0.0, -29.0888, -38.1657, -57.2366, -32.9627, -39.7561, -56.0108,
    -10.1563, -5.06858, -3.99487, -70.0627, -122.48, -66.6847,
    0.0, -155.068, -155.617, -156.179, -60.3067, -61.9064, -62.2629,
    -14.162, -13.0401, -14.0196, -172.865, -137.908, -102.232,
])  # fmt: skip

_CITATION = (
    "Reiss, Stricker (2012), Introducing a New Benchmarked Dataset for Activity Monitoring, ISWC; "
    "UCI Machine Learning Repository, PAMAP2 Physical Activity Monitoring"
)
_NESTED = "PAMAP2_Dataset.zip"


@dataclass(frozen=True)
class Pamap2(ParsedLoader):
    """Windows of the PAMAP2 Protocol files, [0, 1]-scaled, 33.3 Hz, 40 channels, 12 classes.

    The default gives the 28,949 windows of the published tables; with all nine official files
    the counts of every subject are checked against them.

    Args:
        window: length in samples after down-sampling (100 = 3.0 s).
        stride: samples from one window to the next; the first starts there too.

    Source:
        The public preparation script of the topological-distillation studies. As there, rows of
        other activities are deleted first, so that a window may bridge a gap: only the labels of
        its first and last sample are compared.
    """

    name: ClassVar[str] = "pamap2"
    units: ClassVar[tuple[str, ...]] = ("0 to 1 of the published range",) * len(CHANNELS)

    window: int = 100
    stride: int = 22

    def __post_init__(self) -> None:
        at_least(self, 1, window=self.window, stride=self.stride)

    def _files(self, cache: Path, progress: Progress) -> dict[str, Path]:
        return {path.name: path for path in find(cache)}

    def _parse(self, files: Mapping[str, Path], progress: Progress) -> DataSet:
        sources = openers(list(files.values()))
        parts, subjects, numbers, firsts, labels = [], [], [], [], []
        longest = 0
        for order, (subject, open_file) in enumerate(sources.items()):
            progress(f"reading PAMAP2 subject {subject}", order / len(sources))
            with open_file() as file:
                rows, marks = prepare_rows(read_table(file, subject))
            longest = max(longest, len(marks))
            starts = window_starts(marks, self.window, self.stride)
            self._accept(subject, len(rows), len(starts), complete=set(sources) == set(SUBJECTS))
            if len(starts):
                parts.append(cut(rows, starts, self.window))
            subjects += [subject] * len(starts)
            numbers += [int(subject)] * len(starts)
            firsts.append(starts)
            labels.append(marks[starts])
        if not parts:
            if not longest:
                known = ", ".join(str(number) for number in sorted(LABELS))
                raise UserError(
                    f"pamap2: found no row of the activities {known} in {', '.join(files)}; are these "
                    "the files of the folder Protocol?"
                )
            raise UserError(
                f"Pamap2.window: found {self.window}, longer than every recording, of which the longest has "
                f"{longest} samples"
            )
        return DataSet(
            name=self.name,
            modality="signal",
            inputs=np.concatenate(parts),
            labels=np.concatenate(labels),
            subjects=np.array(subjects),
            class_names=CLASSES,
            channel_names=CHANNELS,
            rate=100 / 3,
            window=self.window,
            recordings=np.array(numbers, np.int64),
            starts=np.concatenate(firsts),
            source=f"{_CITATION}. From: official files ({', '.join(files)})",
        )

    def _accept(self, subject: str, rows: int, windows: int, *, complete: bool) -> None:
        """Compare with the published counts when all nine subjects are there."""
        wanted = WINDOWS[subject] if (self.window, self.stride) == (100, 22) else windows
        if complete and (rows, windows) != (ROWS[subject], wanted):
            raise UserError(
                f"pamap2: subject {subject}: found {rows} rows and {windows} windows, the "
                f"published files give {ROWS[subject]} and {wanted}; are the files complete?"
            )


def find(place: Path) -> list[Path]:
    """Return the raw files: extracted .dat files of the folder Protocol, else one archive.

    Raises:
        UserError: there are none; the sentence tells where to get them.
    """
    tables = [path for path in place.rglob("subject10[1-9].dat") if "Optional" not in path.parts]
    if len({path.name for path in tables}) != len(tables):
        raise UserError(f"pamap2: found a subject twice below {place}, allowed is once")
    found = sorted(tables, key=lambda path: path.name) or sorted(place.glob("*.zip"))[:1]
    if not found:
        raise UserError(
            f"pamap2: found no files in {place}; get 'PAMAP2 Physical Activity Monitoring' "
            "(pamap2+physical+activity+monitoring.zip) from the UCI Machine Learning Repository "
            "and put the .zip there, or its files Protocol/subject101.dat to subject109.dat"
        )
    return found


def openers(raw: list[Path]) -> dict[str, Callable[[], IO[bytes]]]:
    """Return, by subject, how to open its table.

    Raises:
        UserError: the archive cannot be read, or has no tables.
    """
    if raw[0].suffix == ".dat":
        return {path.stem[-3:]: _opener(path) for path in raw}
    archive = _archive(raw[0])
    names = (re.search(r"Protocol/subject(10[1-9])\.dat$", name) for name in archive.namelist())
    members = {match[1]: match.string for match in names if match}
    if not members:
        raise UserError(
            f"{raw[0]}: found no Protocol/subject10X.dat in it, allowed is the official .zip"
        )
    return {name: partial(archive.open, members[name]) for name in sorted(members)}


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: regular(path).open("rb")


def _archive(path: Path) -> zipfile.ZipFile:
    """Open the official archive; the repository serves it inside a second one."""
    with readable(path, ".zip"):
        archive = zipfile.ZipFile(path)
        if _NESTED in archive.namelist():
            archive = zipfile.ZipFile(archive.open(_NESTED))
        for info in archive.infolist():
            if "Protocol/" in info.filename:
                member(path, info)
        return archive


def read_table(file: IO[bytes], subject: str) -> np.ndarray:
    """Return the numbers of one .dat file, [rows, 54] float64, NaN where a sensor gave none.

    Raises:
        UserError: another number of columns, or no numbers.
    """
    import pandas as pd

    try:
        text = file.read()
        _refuse_ragged(text, subject)
        # Told the type, pandas takes four times as long as when it finds out for itself.
        table = pd.read_csv(BytesIO(text), sep=" ", header=None)
        numbers: np.ndarray = table.to_numpy(np.float64)
    except UserError:
        raise
    except (ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"pamap2: subject {subject}: the table cannot be read ({error})") from error
    if numbers.shape[1] != 54:
        raise UserError(
            f"pamap2: subject {subject}: found {numbers.shape[1]} columns, allowed are 54"
        )
    return numbers


def _refuse_ragged(text: bytes, subject: str) -> None:
    """Refuse rows with too few numbers, which pandas would fill up with NaN."""
    rows = text.strip().split(b"\n")
    wanted = rows[0].count(b" ")
    for line, row in enumerate(rows, 1):
        if row.count(b" ") != wanted:
            raise UserError(
                f"pamap2: subject {subject}: line {line}: found {row.count(b' ') + 1} numbers, the first line has "
                f"{wanted + 1}"
            )


def prepare_rows(table: np.ndarray) -> tuple[np.ndarray, Ints]:
    """Select, relabel, fill, scale and down-sample one subject, in the published order.

    Args:
        table: one file, [rows, 54] at 100 Hz.

    Returns:
        Channels [n, 40] float32 in [0, 1] at 33.3 Hz, and class numbers [n].

    Raises:
        UserError: an activity number that the data set does not have.
    """
    table = table[~np.isin(table[:, 1], DELETED)]
    unknown = np.setdiff1d(table[:, 1], list(LABELS))
    if len(unknown):
        raise UserError(
            f"pamap2: found activity {unknown[0]:g}, allowed are {sorted((*LABELS, *DELETED))}"
        )
    labels = np.vectorize(LABELS.get, otypes=[np.int64])(table[:, 1])
    rows = table[:, _KEPT].copy()
    rows[:, 0] = _fill_forward(rows[:, 0])
    rows[np.isnan(rows)] = 0
    scaled = (rows - MINIMUM) / (MAXIMUM - MINIMUM)
    scaled[scaled > 1] = 0.99  # so the published script: the limit itself stays 1
    scaled[scaled < 0] = 0
    return scaled[::3].astype(np.float32), labels[::3]


def _fill_forward(values: np.ndarray) -> np.ndarray:
    """Replace NaN by the last number before it; NaN before the first number stays."""
    last = np.where(np.isnan(values), 0, np.arange(len(values)))
    filled: np.ndarray = values[np.maximum.accumulate(last)]
    return filled


def window_starts(labels: Ints, window: int, stride: int) -> Ints:
    """Return stride, 2 stride, ... below n - window where first and last label agree."""
    starts = np.arange(stride, len(labels) - window, stride, dtype=np.int64)
    kept: Ints = starts[labels[starts] == labels[starts + window - 1]]
    return kept
