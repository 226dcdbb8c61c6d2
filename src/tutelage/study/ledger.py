"""The folder of a study read back: its cells, each an experiment, with everything that is missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tutelage.errors import UserError
from tutelage.framed import Framed
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.location import below
from tutelage.runs.records import STUDY, CellRecord, StudyRecord
from tutelage.runs.robustness import AskedRecord
from tutelage.runs.run import Run
from tutelage.runs.schema import read

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MissingRuns",
    "StudyCell",
    "StudyLedger",
    "read_study",
    "study_of",
]


@dataclass(frozen=True)
class StudyCell:
    """One point of a study.

    Args:
        record: what ``study.json`` says of it.
        experiment: its runs and holes; None where nothing of it can be read.
        problem: why not.
    """

    record: CellRecord
    experiment: Experiment | None
    problem: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def at(self) -> Mapping[str, str]:
        """Axis -> value."""
        return self.record.at

    def of(self, stage: str) -> tuple[Run, ...]:
        """The complete runs of a stage."""
        return self.experiment.of(stage) if self.experiment else ()


@dataclass(frozen=True)
class MissingRuns:
    """Something a study lacks: one run, or a whole cell (then without stage, fold and seed)."""

    cell: str
    kind: str
    reason: str
    stage: str | None = None
    fold: str | None = None
    seed: int | None = None
    path: str | None = None


@dataclass(frozen=True)
class StudyLedger(Framed):
    """A study read back."""

    record: StudyRecord
    folder: Path
    cells: tuple[StudyCell, ...]

    @property
    def title(self) -> str:
        """The title, else the name."""
        return self.record.title or self.record.name

    @property
    def heading(self) -> str:
        """Title and number of cells."""
        return f"{self.title}: {len(self.cells)} {'cell' if len(self.cells) == 1 else 'cells'}"

    def to_frame(self) -> "pd.DataFrame":
        """Return a row of each run that readable cells ask for: the cell and its place on the axes first."""
        import pandas as pd

        frames = []
        for cell in self.cells:
            if cell.experiment is not None:
                frame = cell.experiment.to_frame()
                for number, (axis, value) in enumerate({"cell": cell.name, **cell.at}.items()):
                    frame.insert(number, axis, value, allow_duplicates=True)
                frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @cached_property
    def experiments(self) -> tuple[Experiment, ...]:
        """The cells that can be read."""
        return tuple(cell.experiment for cell in self.cells if cell.experiment is not None)

    @cached_property
    def asked(self) -> tuple[AskedRecord, ...]:
        """What the cells evaluate on damaged test inputs."""
        return tuple(one.asked for one in self.experiments if one.asked is not None)

    @cached_property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """Axis -> its values, in the order of the study file; only values that a cell has."""
        named = {axis: dict.fromkeys(values) for axis, values in self.record.axes.items()}
        for cell in self.cells:
            for axis, value in cell.at.items():
                named.setdefault(axis, {})[value] = None
        has = {axis: {cell.at.get(axis) for cell in self.cells} for axis in named}
        return {axis: tuple(v for v in values if v in has[axis]) for axis, values in named.items()}

    @cached_property
    def _teaching(self) -> frozenset[str]:
        """The stages that teach in some cell, or in the recipe that all cells are made of."""
        resolved = self.record.resolved
        recipe = resolved.get("recipe") if isinstance(resolved, dict) else None
        described = recipe.get("stages") if isinstance(recipe, dict) else None
        named = described.values() if isinstance(described, dict) else ()
        planned = [stage.get("teachers") or () for stage in named if isinstance(stage, dict)]
        return frozenset(_union([*planned, *(one.teachers for one in self.experiments)]))

    def compared(self, cell: StudyCell) -> tuple[str, ...]:
        """The stages of a cell that are compared: its students, without teachers that this cell does not use.

        Such a stage learns from labels alone, and teaches in another cell or in the recipe of the study.
        """
        experiment = cell.experiment
        if experiment is None:
            return ()
        return tuple(
            name
            for name in experiment.students
            if name == experiment.record.baseline
            or name not in self._teaching
            or experiment.settings(name).get("teachers")
        )

    @cached_property
    def students(self) -> tuple[str, ...]:
        """The stages that any cell compares, baselines first."""
        return _union(self.compared(cell) for cell in self.cells)

    @cached_property
    def teachers(self) -> tuple[str, ...]:
        """The stages that teach in some cell, or could, and are compared in none."""
        every = _union((*one.teachers, *one.students) for one in self.experiments)
        return tuple(name for name in every if name not in self.students)

    @property
    def stages(self) -> tuple[str, ...]:
        """Students, then teachers."""
        return (*self.students, *self.teachers)

    @cached_property
    def folds(self) -> tuple[str, ...]:
        """The folds of all cells."""
        return _union(experiment.folds for experiment in self.experiments)

    @cached_property
    def fold_names(self) -> dict[str, str]:
        """The name of every fold; its number where no complete run tells a name."""
        named: dict[str, str] = {}
        for experiment in self.experiments:
            for fold, name in experiment.fold_names.items():
                if named.get(fold, fold) == fold:
                    named[fold] = name
        return named

    @property
    def declared(self) -> Mapping[str, Any]:
        """The key ``table`` of the study file; empty where it says nothing."""
        resolved = self.record.resolved
        table = resolved.get("table") if isinstance(resolved, dict) else None
        return table if isinstance(table, dict) else {}

    @property
    def synthetic(self) -> bool:
        """Whether any of the data were made up by a generator."""
        return any(experiment.synthetic for experiment in self.experiments)

    @cached_property
    def missing(self) -> tuple[MissingRuns, ...]:
        """Every run and every cell without a number, and why."""
        holes = [
            MissingRuns(cell.name, "cell", cell.problem, path=cell.record.path)
            for cell in self.cells
            if cell.experiment is None
        ]
        for cell in self.cells:
            holes += [
                MissingRuns(cell.name, hole.kind, hole.reason, hole.stage, hole.fold, hole.seed, hole.path)
                for hole in (cell.experiment.holes if cell.experiment else ())
                if hole.kind != "not planned" or hole.stage in self.compared(cell)
            ]  # fmt: skip
        return tuple(holes)

    @cached_property
    def findings(self) -> tuple[str, ...]:
        """What looked odd in a cell and does not forbid an average."""
        many = len(self.cells) > 1
        return tuple(
            f"{cell.name}: {text}" if many else text
            for cell in self.cells
            if cell.experiment is not None
            for text in cell.experiment.findings
        )

    def find(self, at: Mapping[str, str]) -> tuple[StudyCell, ...]:
        """The cells that have these values."""
        return tuple(
            cell for cell in self.cells
            if all(cell.at.get(axis) == value for axis, value in at.items())
        )  # fmt: skip


def read_study(folder: Path) -> StudyLedger:
    """Read a study, or a single experiment as a study of one cell.

    A cell that was not begun, or that contradicts itself, is a hole with its reason: the numbers of the other
    cells do not depend on it.

    Args:
        folder: holds ``study.json``, or ``experiment.json``; any place of :func:`tutelage.runs.location.location`.

    Raises:
        UserError: neither is there, or ``study.json`` is not what it should be.
    """
    path = folder / "study.json"
    if not path.is_file():
        if not (folder / "experiment.json").is_file():
            raise UserError(
                f"{folder}: no study here (neither study.json nor experiment.json is there)"
            )
        return study_of(read_experiment(folder))
    record = read(STUDY, path)
    names = [cell.name for cell in record.cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path}: cells: {', '.join(twice)} stands there more than once")
    for cell in record.cells:
        if PurePosixPath(cell.path).is_absolute():
            raise UserError(f"{path}: cells: the path {cell.path!r} is not relative")
    return StudyLedger(record, folder, tuple(_read_cell(folder, cell) for cell in record.cells))


def study_of(experiment: Experiment) -> StudyLedger:
    """Return an experiment as a study of one cell."""
    cell = CellRecord("all", {}, ".")
    record = StudyRecord(1, experiment.record.name, (cell,), experiment.title)
    return StudyLedger(record, experiment.folder, (StudyCell(cell, experiment),))


def _read_cell(folder: Path, record: CellRecord) -> StudyCell:
    place = below(folder, record.path)
    if not (place / "experiment.json").is_file():
        return StudyCell(record, None, "not started")
    try:
        return StudyCell(record, read_experiment(place))
    except UserError as error:
        return StudyCell(record, None, f"refused: {error}")


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
