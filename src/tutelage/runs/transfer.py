"""Runs on other data sets, read back and checked against the runs they belong to."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tutelage.errors import UserError
from tutelage.files import replacing_folder
from tutelage.runs import integrity
from tutelage.runs.location import below
from tutelage.runs.predictions import Predictions
from tutelage.runs.records import VISIT, Evaluation, TargetData, TargetRecord, Visit
from tutelage.runs.run import Run
from tutelage.runs.schema import read, write


@dataclass(frozen=True)
class VisitKey:
    """What an evaluation on another data set depends on.

    Args:
        run: fingerprint of the run.
        weights: SHA-256 of its network.
        data: fingerprint of the data set.
    """

    run: str
    weights: str
    data: str


def is_evaluated(folder: Path, key: VisitKey) -> bool:
    """Return whether an evaluation of these weights on this data is there and can be read."""
    try:
        record = read(VISIT, folder / "evaluation.json")
        Predictions.load(folder / "predictions.npz")
    except UserError:
        return False
    return VisitKey(record.run, record.weights, record.data) == key


def write_visit(
    folder: Path, key: VisitKey, evaluation: Mapping[str, Any], predictions: Predictions
) -> None:
    """Write the evaluation of one run on another data set; it is there whole or not at all."""
    with replacing_folder(folder) as unfinished:
        predictions.save(unfinished / "predictions.npz")
        content = {"schema": 1} | asdict(key) | {"test": evaluation}
        write(VISIT, unfinished / "evaluation.json", content)


@dataclass(frozen=True)
class Transfer:
    """One other data set, and what complete runs are worth on it.

    Args:
        name: in the recipe.
        data: what it is.
        evaluations: stage -> (fold, seed) -> evaluation.
    """

    name: str
    data: TargetData
    evaluations: dict[str, dict[tuple[str, int], Evaluation]]

    def accuracies(self, stage: str) -> dict[tuple[str, int], float]:
        """The accuracy of every run of a stage, by fold and seed."""
        mine = self.evaluations.get(stage, {})
        return {key: evaluation.accuracy for key, evaluation in mine.items()}


def read_transfer(folder: Path, name: str, record: TargetRecord, runs: Iterable[Run]) -> Transfer:
    """Read the evaluations on one other data set.

    Args:
        folder: of the experiment.
        name: of the target.
        record: what ``experiment.json`` says of it.
        runs: the complete ones; evaluations of others are not read.

    Raises:
        UserError: an evaluation is missing, or contradicts its run, its data or its predictions.
    """
    known = {(run.stage, *run.key): run for run in runs}
    evaluations: dict[str, dict[tuple[str, int], Evaluation]] = {}
    for visit in record.runs:
        run = known.get((visit.stage, visit.fold, visit.seed))
        if run is not None:
            evaluation = _evaluation(folder, name, record.data, visit, run)
            evaluations.setdefault(visit.stage, {})[run.key] = evaluation
    return Transfer(name, record.data, evaluations)


def _evaluation(folder: Path, name: str, data: TargetData, visit: Visit, run: Run) -> Evaluation:
    if PurePosixPath(visit.path).is_absolute():
        raise UserError(f"{folder / 'experiment.json'}: the path {visit.path!r} is not relative")
    path = below(folder, visit.path) / "evaluation.json"
    if not path.is_file():
        raise UserError(f"{path}: is missing; run the recipe again")
    content = read(VISIT, path)
    for what, asked, got in (
        ("run", run.fingerprint, content.run),
        ("data set", data.fingerprint, content.data),
    ):
        if asked != got:
            raise UserError(
                f"{path}: is of another {what} than experiment.json says of {name!r}; run the recipe again"
            )
    integrity.check_sums(content.test, data.class_names, str(path))
    said = path.with_name("predictions.npz")
    integrity.check_predictions(content.test, Predictions.load(said), str(path))
    return content.test
