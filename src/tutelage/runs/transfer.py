"""Runs on other data sets, read back and checked against the runs they belong to."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from tutelage.errors import UserError
from tutelage.runs import integrity
from tutelage.runs.location import below
from tutelage.runs.records import (
    VISIT,
    Evaluation,
    TargetData,
    TargetRecord,
    Visit,
    read,
)

if TYPE_CHECKING:
    from tutelage.runs.ledger import Run


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
        found = self.evaluations.get(stage, {})
        return {key: evaluation.accuracy for key, evaluation in found.items()}


def read_transfer(folder: Path, name: str, record: TargetRecord, runs: Iterable["Run"]) -> Transfer:
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
    found: dict[str, dict[tuple[str, int], Evaluation]] = {}
    for visit in record.runs:
        run = known.get((visit.stage, visit.fold, visit.seed))
        if run is not None:
            evaluation = _evaluation(folder, name, record.data, visit, run)
            found.setdefault(visit.stage, {})[run.key] = evaluation
    return Transfer(name, record.data, found)


def _evaluation(folder: Path, name: str, data: TargetData, visit: Visit, run: "Run") -> Evaluation:
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
    labels, logits = _predictions(path.with_name("predictions.npz"))
    integrity.check_predictions(content.test, labels, logits, str(path))
    return content.test


def _predictions(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return stored["labels"].astype(np.int64), stored["logits"].astype(np.float64)
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        raise UserError(f"{path}: not a file of predictions ({error})") from None
