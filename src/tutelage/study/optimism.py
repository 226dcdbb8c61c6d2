"""What it adds to choose on the test split: the legacy protocol beside the honest one, in pairs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tutelage.runs.logs import Epoch
from tutelage.runs.run import Run
from tutelage.statistics.paired import PairedDifference, paired_difference
from tutelage.study.ledger import StudyCell, StudyLedger

__all__ = ["Optimism", "optimism"]

Source = Literal["evaluations", "cells", "curves"]


@dataclass(frozen=True)
class Optimism:
    """Accuracy of one stage of one cell under both protocols, and their paired difference.

    Args:
        cell: its name.
        stage: of the recipe.
        source: ``evaluations``: the same trainings, evaluated at both epochs; ``cells``: an honest cell beside its
            legacy twin; ``curves``: the logged accuracies of the epochs best on validation and on test.
        values: (fold, seed) -> honest, legacy.
        runs: (fold, seed) -> the run.
        gain: legacy - honest, decided like every difference.
    """

    cell: str
    stage: str
    source: Source
    values: Mapping[tuple[str, int], tuple[float, float]]
    runs: Mapping[tuple[str, int], Run]
    gain: PairedDifference

    @property
    def honest(self) -> float:
        """Mean of the honest side, every pair alike."""
        return sum(a for a, _ in self.values.values()) / len(self.values)

    @property
    def legacy(self) -> float:
        """Mean of the legacy side, every pair alike."""
        return sum(b for _, b in self.values.values()) / len(self.values)


def optimism(ledger: StudyLedger) -> tuple[Optimism, ...]:
    """Return every comparison of the two protocols that the records of a study permit."""
    every: list[Optimism] = []
    for cell in ledger.cells:
        for stage in _stages(cell):
            runs = cell.of(stage)
            for source, read in _READERS.items():
                pairs = {run.key: pair for run in runs if (pair := read(run)) is not None}
                every += _made(cell.name, stage, source, pairs, {run.key: run for run in runs})
    for honest, legacy, name in _twins(ledger):
        for stage in _stages(legacy):
            tests = {run.key: run.evaluations["test"].accuracy for run in honest.of(stage)
                     if "test" in run.evaluations}  # fmt: skip
            twins = [run for run in legacy.of(stage)
                     if "test_legacy" in run.evaluations and run.key in tests]  # fmt: skip
            pairs = {run.key: (tests[run.key], run.evaluations["test_legacy"].accuracy)
                     for run in twins}  # fmt: skip
            every += _made(name, stage, "cells", pairs, {run.key: run for run in twins})
    return tuple(every)


def _made(
    cell: str, stage: str, source: Source,
    pairs: dict[tuple[str, int], tuple[float, float]], runs: Mapping[tuple[str, int], Run],
) -> list[Optimism]:  # fmt: skip
    if not pairs:
        return []
    ordered = dict(sorted(pairs.items()))
    gain = paired_difference({key: b for key, (_, b) in ordered.items()},
                             {key: a for key, (a, _) in ordered.items()})  # fmt: skip
    return [Optimism(cell, stage, source, ordered, {key: runs[key] for key in ordered}, gain)]


def _evaluated(run: Run) -> tuple[float, float] | None:
    both = run.evaluations
    if "test" not in both or "test_legacy" not in both:
        return None
    return both["test"].accuracy, both["test_legacy"].accuracy


def _logged(run: Run) -> tuple[float, float] | None:
    epochs = [(validation, test) for epoch in run.curve()
              if (validation := _accuracy(epoch, "validation")) is not None
              and (test := _accuracy(epoch, "test")) is not None]  # fmt: skip
    if not epochs:
        return None
    return max(epochs, key=lambda both: both[0])[1], max(test for _, test in epochs)


def _accuracy(epoch: Epoch, split: Literal["validation", "test"]) -> float | None:
    values = epoch.validation if split == "validation" else epoch.test
    return values.get("accuracy")


_READERS: dict[Source, Callable[[Run], tuple[float, float] | None]] = {
    "evaluations": _evaluated,
    "curves": _logged,
}


def _stages(cell: StudyCell) -> tuple[str, ...]:
    return (*cell.experiment.students, *cell.experiment.teachers) if cell.experiment else ()


def _twins(ledger: StudyLedger) -> Iterator[tuple[StudyCell, StudyCell, str]]:
    """Cells that differ in one axis, of which one is honest and the other legacy."""
    for legacy in ledger.cells:
        for honest in ledger.cells:
            if legacy.experiment is None or honest.experiment is None:
                continue
            protocols = honest.experiment.record.protocol, legacy.experiment.record.protocol
            differ = [axis for axis, value in legacy.at.items() if honest.at.get(axis) != value]
            if protocols == ("honest", "legacy") and len(differ) == 1:
                yield honest, legacy, f"{honest.name}, {legacy.name}"
