"""What a number of a table stands for: the runs of a stage at some coordinates of a study."""

from collections.abc import Mapping
from dataclasses import dataclass

from tutelage.errors import UserError
from tutelage.runs.run import Run
from tutelage.study.aggregate import Aggregate, Aggregation, aggregate
from tutelage.study.ledger import StudyCell, StudyLedger

__all__ = ["OWN", "Coordinates", "Part", "axes_of", "part_at"]

OWN = ("stage", "fold")
"""What a table may be laid out by besides the axes of the study."""

Coordinates = Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """One number of a table before it is made: a stage of a cell, perhaps one fold of it."""

    cell: StudyCell
    at: Coordinates

    @property
    def stage(self) -> str:
        """Whose runs they are."""
        return self.at["stage"]

    @property
    def runs(self) -> tuple[Run, ...]:
        """The complete ones."""
        return tuple(run for run in self.cell.of(self.stage) if self._holds(run.fold))

    @property
    def planned(self) -> int:
        """How many were asked for; 0 of a cell that cannot be read."""
        return len(self.identity)

    @property
    def folds(self) -> tuple[str, ...]:
        """The folds that were asked for."""
        return tuple(dict.fromkeys(fold for fold, _ in self.identity))

    @property
    def identity(self) -> dict[tuple[str, int], str]:
        """The fingerprint of every run that was asked for: two parts that agree are the same runs."""
        experiment = self.cell.experiment
        entries = () if experiment is None else experiment.record.runs
        return {
            (entry.fold, entry.seed): entry.fingerprint
            for entry in entries
            if entry.stage == self.stage and self._holds(entry.fold)
        }

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why runs are missing."""
        experiment = self.cell.experiment
        if experiment is None:
            return (f"cell {self.cell.name}: {self.cell.problem}",)
        return tuple(
            f"{hole.kind}, fold {hole.fold}, seed {hole.seed}: {hole.reason}"
            for hole in experiment.holes
            if hole.stage == self.stage and self._holds(hole.fold)
        )

    def aggregate(self, how: Aggregation) -> Aggregate:
        """Make the number."""
        return aggregate(self.runs, how, self.planned, self.folds)

    def _holds(self, fold: str) -> bool:
        return self.at.get("fold", fold) == fold


def part_at(ledger: StudyLedger, at: Coordinates, place: str = "table") -> Part | None:
    """Return what lies at some coordinates; None where the study has no such thing.

    Several cells may be meant where an axis does not matter to a stage: if their runs are the same.

    Raises:
        UserError: several cells are meant, and their runs differ.
    """
    cells = ledger.find(axes_of(at))
    parts = [Part(cell, at) for cell in cells if cell.experiment is None or Part(cell, at).identity]
    if len(parts) < 2:
        return parts[0] if parts else None
    unread = [part for part in parts if part.cell.experiment is None]
    if unread:
        return unread[0]
    if any(part.identity != parts[0].identity for part in parts):
        axes = [axis for axis in ledger.axes
                if len({part.cell.at.get(axis) for part in parts}) > 1]  # fmt: skip
        raise UserError(
            f"{place}: {at['stage']} has other runs in each of {len(parts)} cells; say in 'at' which "
            f"{' and '.join(axes)} is meant, or make {'them' if len(axes) > 1 else 'it'} rows or columns"
        )
    return max(parts, key=lambda part: len(part.runs))


def axes_of(at: Coordinates) -> dict[str, str]:
    """Return the coordinates that are axes of the study."""
    return {axis: value for axis, value in at.items() if axis not in OWN}
