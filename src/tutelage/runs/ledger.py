"""The run folders read back: the only source of numbers for tables, statistics and figures.

What is missing, failed or unfinished is a hole with its reason and is never averaged. What
contradicts itself (a fingerprint, a sum) stops the reading: it has no right answer. A file that is cut, or has a
field that is missing or wrong, costs its run alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tutelage.errors import UserError
from tutelage.framed import Framed
from tutelage.runs import integrity
from tutelage.runs.folder import read_evaluations, read_record
from tutelage.runs.holes import (
    Hole,
    HoleKind,
    compared,
    explained,
    is_given,
    not_planned,
    settings_of,
    stopped,
    unambiguous,
)
from tutelage.runs.location import below
from tutelage.runs.records import EXPERIMENT, Entry, Evaluation, ExperimentRecord, Split
from tutelage.runs.robustness import AskedRecord, read_asked, read_robustness
from tutelage.runs.run import Run
from tutelage.runs.schema import UnreadableError, read
from tutelage.runs.transfer import Transfer, read_transfer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Experiment(Framed):
    """An experiment read back: complete runs, holes, and what looked odd."""

    record: ExperimentRecord
    folder: Path
    runs: tuple[Run, ...]
    holes: tuple[Hole, ...]
    findings: tuple[str, ...]
    transfers: tuple[Transfer, ...] = ()
    asked: AskedRecord | None = None
    """What is evaluated on damaged test inputs."""

    @property
    def title(self) -> str:
        """The title, else the name."""
        return self.record.title or self.record.name

    @property
    def heading(self) -> str:
        """Title, and how many of its runs are complete."""
        return f"{self.title}: {len(self.runs)} runs are complete, {len(self.holes)} are not"

    def to_frame(self) -> "pd.DataFrame":
        """Return a row of each run that was asked for, on test; a hole has its reason and no numbers."""
        from tutelage.runs.frames import runs_frame

        return runs_frame(self)

    @cached_property
    def students(self) -> tuple[str, ...]:
        """The stages that are compared, the baseline first if the recipe left it out."""
        return compared(self.record)

    @cached_property
    def teachers(self) -> tuple[str, ...]:
        """The stages that teach, or were made to, and are not compared."""
        every = dict.fromkeys((*self.record.teachers, *self.record.students))
        return tuple(name for name in every if name not in self.students)

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

    def settings(self, stage: str) -> Mapping[str, Any]:
        """What the resolved recipe says of a stage; empty where the record does not tell."""
        return settings_of(self.record, stage)

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
        tested = ((run.key, run.evaluations.get(split)) for run in self.of(stage))
        values = {key: metric(evaluation) for key, evaluation in tested if evaluation is not None}
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
        answer = _read_run(folder, entry, record)
        runs.append(answer) if isinstance(answer, Run) else holes.append(answer)
    holes = [explained(hole, holes, record) for hole in holes] + not_planned(record)
    findings = integrity.check_together(runs, compared(record))
    findings += integrity.repeated_entries(record.runs) + integrity.unlisted(folder, record)
    findings += integrity.oddities(runs)
    transfers = tuple(read_transfer(folder, *target, runs) for target in record.transfer.items())
    asked, runs = _damaged(folder, runs, findings)
    return Experiment(record, folder, tuple(runs), tuple(holes), tuple(findings), transfers, asked)


def _damaged(
    folder: Path, runs: list[Run], findings: list[str]
) -> tuple[AskedRecord | None, list[Run]]:
    """Return what is asked on damaged inputs, and the runs with what their folders say of it."""
    try:
        asked = read_asked(folder)
    except UnreadableError as error:
        findings.append(f"{error}; nothing is said of damaged inputs.")
        return None, runs
    if asked is None:
        return None, runs
    return asked, [_with_robustness(run, asked, findings) for run in runs]


def _with_robustness(run: Run, asked: AskedRecord, findings: list[str]) -> Run:
    test = run.evaluations.get("test")
    if run.stage not in asked.stages or test is None:
        return run
    try:
        known = read_robustness(run.folder, run.fingerprint, test.n, asked)
    except UnreadableError as error:
        findings.append(f"{error}; run the recipe again.")
        return run
    return replace(run, robustness=known)


def _read_run(folder: Path, entry: Entry, expected: ExperimentRecord) -> Run | Hole:
    if PurePosixPath(entry.path).is_absolute():
        raise UserError(f"{folder / 'experiment.json'}: the path {entry.path!r} is not relative")
    if not is_given(expected, entry.stage):
        integrity.check_path(entry, folder)
    try:
        return _answer(below(folder, entry.path), entry, expected)
    except UnreadableError as error:
        return _hole(entry, "unreadable", f"{error}; run it again")


def _hole(entry: Entry, kind: HoleKind, reason: str) -> Hole:
    return Hole(*entry.key, kind=kind, reason=reason, path=entry.path)


def _answer(folder: Path, entry: Entry, expected: ExperimentRecord) -> Run | Hole:
    record = read_record(folder)
    if record is None:
        lost = "run.json is missing" if folder.is_dir() else "the folder does not exist"
        return _hole(entry, "missing", lost)
    integrity.check_identity(entry, record, folder, given=is_given(expected, entry.stage))
    if record.status != "complete":
        return stopped(entry, record)
    if not (folder / "evaluation.json").is_file():
        lost = "run.json says complete, but evaluation.json is missing"
        return _hole(entry, "incomplete", lost)
    run = Run(*entry.key, record, read_evaluations(folder), entry.path, folder)
    return _unfit(run, entry, expected) or _checked(run)


def _unfit(run: Run, entry: Entry, expected: ExperimentRecord) -> Hole | None:
    """Return why the numbers of a run do not answer what the experiment asks, if they do not."""
    data = run.record.data
    wanted = tuple(expected.data.get("classes", data.class_names))
    if is_given(expected, entry.stage) and data.class_names != wanted:
        taken = f"taken from a run on {data.name}: its numbers are those of another task"
        return _hole(entry, "other data", taken)
    needed: Split = "validation" if expected.protocol == "blind" else "test"
    if expected.protocol == "refit" or needed in run.evaluations:
        return None
    return _hole(entry, "incomplete", f"the {needed} split was not evaluated")


def _checked(run: Run) -> Run:
    """Refuse evaluations whose parts contradict each other, or what was predicted."""
    data = run.record.data
    for split, evaluation in run.evaluations.items():
        where, predictions = f"{run.folder}/evaluation.json: {split}", run.predictions(split)
        integrity.check_sums(evaluation, data.class_names, where)
        if predictions is not None:
            said = f"{run.folder}/predictions-{split}.npz"
            integrity.check_predictions(evaluation, predictions, said)
        integrity.check_groups(evaluation, data.groups, data.class_names, predictions, where)
        integrity.check_open_set(evaluation.open_set, predictions, data.class_names, where)
    return run
