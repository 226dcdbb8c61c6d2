"""The run folders read back: the only source of numbers for tables, statistics and figures.

What is missing, failed or unfinished is a hole with its reason and is never averaged. What
contradicts itself (a fingerprint, a range, a sum) stops the reading: it has no right answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError
from tutelage.runs import integrity
from tutelage.runs.explanations import Explanations, Known, read_explanations
from tutelage.runs.holes import (
    Hole,
    explained,
    is_given,
    not_planned,
    stopped,
    unambiguous,
)
from tutelage.runs.inspection import Inspection, read_inspection
from tutelage.runs.location import below
from tutelage.runs.records import (
    EPOCH,
    EVALUATIONS,
    EXPERIMENT,
    RUN,
    Entry,
    Epoch,
    Evaluation,
    ExperimentRecord,
    RunRecord,
    Split,
    parse,
    read,
)
from tutelage.runs.transfer import Transfer, read_transfer


@dataclass(frozen=True)
class Predictions:
    """What one run said about every sample of a split; see ``docs/run-folder.md``."""

    index: NDArray[Any]
    labels: NDArray[np.int64]
    subjects: NDArray[Any]
    logits: NDArray[np.float64]


@dataclass(frozen=True)
class SampleTraces:
    """What objectives recorded of each training sample in the last epoch, by trace."""

    index: NDArray[Any]
    values: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Run:
    """One complete run: what it answers, its record and its evaluations.

    Two stages that ask for the same network share one run folder, so ``stage`` is the stage of the
    experiment; ``record.stage`` is the one it was trained for.
    """

    stage: str
    fold: str
    seed: int
    record: RunRecord
    evaluations: dict[Split, Evaluation]
    path: str
    folder: Path

    @property
    def key(self) -> tuple[str, int]:
        """What runs are matched by: fold and seed."""
        return self.fold, self.seed

    @property
    def fingerprint(self) -> str:
        """The identity of data, split, configuration, seed and ancestors."""
        return self.record.fingerprint

    def curve(self) -> tuple[Epoch, ...]:
        """Read ``metrics.jsonl``; empty where there is none."""
        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return ()
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(
            parse(EPOCH, line, f"{path}:{i}") for i, line in enumerate(lines, 1) if line.strip()
        )

    def predictions(self, split: Split = "test") -> Predictions | None:
        """Read the predictions of a split, or None where none were written; nothing is unpickled.

        Raises:
            UserError: the file holds objects, or lacks an array.
        """
        path = self.folder / f"predictions-{split}.npz"
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return Predictions(
                    index=stored["index"],
                    labels=stored["labels"].astype(np.int64),
                    subjects=stored["subjects"],
                    logits=stored["logits"].astype(np.float64),
                )
        except (ValueError, KeyError, OSError) as error:
            raise UserError(f"{path}: not a file of predictions ({error})") from None

    def sample_traces(self) -> SampleTraces | None:
        """Read ``traces.npz``, or None where nothing was recorded; nothing is unpickled.

        Raises:
            UserError: the file holds objects, or an array that is not one number per sample.
        """
        path = self.folder / "traces.npz"
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                index = stored["index"]
                names = [name for name in stored.files if name != "index"]
                values = {name: stored[name].astype(np.float64) for name in names}
        except (ValueError, KeyError, OSError, BadZipFile) as error:
            raise UserError(f"{path}: not a file of traces ({error})") from None
        for name, array in values.items():
            if array.shape != (len(index),):
                raise UserError(
                    f"{path}: {name} is {array.shape}, but there are {len(index)} samples"
                )
        return SampleTraces(index, values)

    def inspection(self) -> Inspection | None:
        """Read ``inspection.npz``, or None where no objective showed anything; nothing is unpickled.

        Raises:
            UserError: the file is damaged, or contradicts itself or the predictions.
        """
        said = self.predictions("validation")
        known = None if said is None else dict(
            zip(said.index.tolist(), said.labels.tolist(), strict=True))  # fmt: skip
        classes = len(self.record.data.class_names)
        return read_inspection(self.folder / "inspection.npz", classes, known)

    def explanations(self) -> Explanations | None:
        """Read ``explanations.npz``, or None where the network explains nothing; nothing is unpickled.

        Raises:
            UserError: the file is damaged, or contradicts itself or the predictions.
        """
        said = self.predictions("validation")
        known = None if said is None else Known(
            dict(zip(said.index.tolist(), said.labels.tolist(), strict=True)),
            dict(zip(said.index.tolist(), said.logits, strict=True)),
        )  # fmt: skip
        classes = len(self.record.data.class_names)
        return read_explanations(self.folder / "explanations.npz", classes, known)


@dataclass(frozen=True)
class Experiment:
    """An experiment read back: complete runs, holes, and what looked odd."""

    record: ExperimentRecord
    folder: Path
    runs: tuple[Run, ...]
    holes: tuple[Hole, ...]
    findings: tuple[str, ...]
    transfers: tuple[Transfer, ...] = ()

    @property
    def title(self) -> str:
        """The title, else the name."""
        return self.record.title or self.record.name

    @cached_property
    def students(self) -> tuple[str, ...]:
        """The stages that are compared, the baseline first if the recipe left it out."""
        named = self.record.students
        return named if self.record.baseline in named else (self.record.baseline, *named)

    @cached_property
    def teachers(self) -> tuple[str, ...]:
        """The stages that teach and are not compared."""
        return tuple(name for name in self.record.teachers if name not in self.students)

    @cached_property
    def folds(self) -> tuple[str, ...]:
        """The folds asked for, in order."""
        return tuple(dict.fromkeys(entry.fold for entry in self.record.runs))

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes; empty before any run is complete."""
        return self.runs[0].record.data.class_names if self.runs else ()

    @property
    def synthetic(self) -> bool:
        """Whether any of the data were made up by a generator."""
        return bool(self.record.data.get("synthetic")) or any(
            run.record.data.synthetic for run in self.runs
        )

    @cached_property
    def fold_names(self) -> dict[str, str]:
        """The name of every fold; its number where no complete run tells a name."""
        named = {run.fold: run.record.data.split for run in self.runs}
        return {
            fold: name if isinstance(name := named.get(fold), str) and name else fold
            for fold in self.folds
        }

    def of(self, stage: str) -> tuple[Run, ...]:
        """The complete runs of a stage."""
        return tuple(run for run in self.runs if run.stage == stage)

    def planned(self, stage: str) -> int:
        """How many runs of a stage were asked for."""
        return len({entry.key for entry in self.record.runs if entry.stage == stage})

    def values(
        self, stage: str, metric: Callable[[Evaluation], float | None], split: Split = "test"
    ) -> dict[tuple[str, int], float]:
        """The values of a metric by (fold, seed), of complete runs only."""
        found = ((run.key, run.evaluations.get(split)) for run in self.of(stage))
        values = {key: metric(evaluation) for key, evaluation in found if evaluation is not None}
        return {key: value for key, value in values.items() if value is not None}


def read_experiment(folder: Path) -> Experiment:
    """Read an experiment folder.

    Args:
        folder: holds ``experiment.json``.

    Returns:
        Its complete runs, its holes, and findings that do not forbid an average.

    Raises:
        UserError: no experiment there, or a record that contradicts another.
    """
    path = folder / "experiment.json"
    if not path.is_file():
        raise UserError(f"{folder}: no experiment here (experiment.json is missing)")
    record = read(EXPERIMENT, path)
    integrity.check_stages(record, path)
    runs: list[Run] = []
    holes: list[Hole] = []
    for entry in unambiguous(record.runs, holes):
        found = _read_run(folder, entry, record)
        runs.append(found) if isinstance(found, Run) else holes.append(found)
    holes = [explained(hole, holes, record) for hole in holes] + not_planned(record)
    findings = integrity.check_together(runs, {record.baseline, *record.students})
    findings += integrity.repeated_entries(record.runs) + integrity.unlisted(folder, record)
    findings += integrity.oddities(runs)
    transfers = tuple(read_transfer(folder, *target, runs) for target in record.transfer.items())
    return Experiment(record, folder, tuple(runs), tuple(holes), tuple(findings), transfers)


def _read_run(folder: Path, entry: Entry, expected: ExperimentRecord) -> Run | Hole:
    given = is_given(expected, entry.stage)
    if PurePosixPath(entry.path).is_absolute():
        raise UserError(f"{folder / 'experiment.json'}: the path {entry.path!r} is not relative")
    if not given:
        integrity.check_path(entry, folder)
    place = below(folder, entry.path)
    if not (place / "run.json").is_file():
        reason = "the folder does not exist" if not place.is_dir() else "run.json is missing"
        return Hole(*entry.key, kind="missing", reason=reason, path=entry.path)
    record = read(RUN, place / "run.json")
    integrity.check_identity(entry, record, place, given=given)
    if record.status != "complete":
        return stopped(entry, record)
    if not (place / "evaluation.json").is_file():
        reason = "run.json says complete, but evaluation.json is missing"
        return Hole(*entry.key, kind="incomplete", reason=reason, path=entry.path)
    evaluations = read(EVALUATIONS, place / "evaluation.json")
    wanted = tuple(expected.data.get("classes", record.data.class_names))
    if given and record.data.class_names != wanted:
        reason = f"taken from a run on {record.data.name}: its numbers are those of another task"
        return Hole(*entry.key, kind="other data", reason=reason, path=entry.path)
    needed: Split = "validation" if expected.protocol == "blind" else "test"
    if needed not in evaluations:
        reason = f"the {needed} split was not evaluated"
        return Hole(*entry.key, kind="incomplete", reason=reason, path=entry.path)
    run = Run(*entry.key, record, evaluations, entry.path, place)
    for split, evaluation in evaluations.items():
        integrity.check_sums(
            evaluation, record.data.class_names, f"{place}/evaluation.json: {split}"
        )
        predictions = run.predictions(split)
        if predictions is not None:
            where = f"{place}/predictions-{split}.npz"
            integrity.check_predictions(evaluation, predictions.labels, predictions.logits, where)
        said = None if predictions is None else (predictions.labels, predictions.logits)
        where = f"{place}/evaluation.json: {split}"
        integrity.check_groups(evaluation, record.data.groups, record.data.class_names, said, where)
    return run
