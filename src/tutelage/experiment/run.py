"""A recipe carried out: every run it asks for, trained, resumed or found, and the record of the experiment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tutelage.data import DataSet
from tutelage.experiment import checkpoint
from tutelage.experiment.check import check
from tutelage.experiment.config import Recipe
from tutelage.experiment.example import write_example
from tutelage.experiment.plan import Job, find_run, plan
from tutelage.experiment.prepare import Fold, folds, load_data
from tutelage.experiment.record import code_version, read_record
from tutelage.experiment.single import Context, relative, train_one
from tutelage.experiment.stage import load_teacher
from tutelage.train import DivergedError

__all__ = ["Listener", "Places", "Quiet", "execute"]


class Listener(Protocol):
    """Who is told what happens; the command line draws it."""

    def progress(self, what: str, fraction: float) -> None:
        """Long work is this far, in [0, 1]."""
        ...

    def begin(self, job: Job, number: int, total: int) -> None:
        """A run starts."""
        ...

    def epoch(self, job: Job, row: Mapping[str, Any], epochs: int) -> None:
        """A run has finished an epoch."""
        ...

    def end(self, job: Job, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """A run is over: ``trained``, ``found`` or ``failed: ...``."""
        ...


class Quiet:
    """A listener that says nothing."""

    def progress(self, what: str, fraction: float) -> None:
        """Say nothing."""

    def begin(self, job: Job, number: int, total: int) -> None:
        """Say nothing."""

    def epoch(self, job: Job, row: Mapping[str, Any], epochs: int) -> None:
        """Say nothing."""

    def end(self, job: Job, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Args:
        runs: root of all experiments.
        data: root of data sets; None for the user's default.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
    """

    runs: Path = Path("runs")
    data: Path | None = None
    accelerator: str = "auto"

    @property
    def cache(self) -> Path:
        """Root of representations and teacher outputs."""
        return self.runs / ".cache"


@dataclass
class _Experiment:
    recipe: Recipe
    name: str
    places: Places
    listener: Listener
    dataset: DataSet
    found: dict[str, Path] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=code_version)

    @property
    def folder(self) -> Path:
        return self.places.runs / self.name


def execute(recipe: Recipe, name: str, places: Places, listener: Listener | None = None) -> Path:
    """Carry out a recipe; runs that are complete are not repeated, one that was interrupted goes on.

    Args:
        recipe: what to do.
        name: of the experiment, fit for a folder.
        places: where data, runs and caches lie.
        listener: who is told.

    Returns:
        The experiment's folder.

    Raises:
        UserError: the recipe is wrong (found before the first step), or every student failed.
    """
    listener = listener or Quiet()
    dataset = load_data(recipe, places.data, listener.progress)
    experiment = _Experiment(recipe, name, places, listener, dataset)
    experiment.folder.mkdir(parents=True, exist_ok=True)
    data = {fold: Fold.of(recipe, dataset, fold, places.cache / "modalities")
            for fold in folds(recipe, dataset)}  # fmt: skip
    check(recipe, next(iter(data.values())), gradients=False)
    jobs = [(job, data[fold]) for fold in data for job in plan(recipe, fold, data[fold])]
    failed: set[str] = set()
    for number, (job, fold) in enumerate(jobs):
        listener.begin(job, number, len(jobs))
        needed = [*job.teachers.values(), *([job.start] if job.start else [])]
        broken = [other.stage for other in needed if other.fingerprint in failed]
        if broken:
            failed.add(job.fingerprint)
            listener.end(job, f"failed: it needs {broken[0]}, which failed", None)
            continue
        try:
            _one(experiment, job, fold)
        except DivergedError as error:
            failed.add(job.fingerprint)
            listener.end(job, f"failed: {error}", None)
        _write(experiment, [job for job, _ in jobs])
    write_example(experiment.folder / "example.npz", next(iter(data.values())))
    return experiment.folder


def _one(experiment: _Experiment, job: Job, data: Fold) -> None:
    recipe, listener = experiment.recipe, experiment.listener
    found = find_run(job, experiment.folder, experiment.places.runs)
    given = recipe.stages[job.stage].run
    if given is not None:
        load_teacher(Path(given) / "best.safetensors", job.stage, data)
        found = Path(given)
    if found is not None:
        experiment.found[job.fingerprint] = found
        evaluation = checkpoint.read_json(found / "evaluation.json")
        listener.end(job, "found", evaluation)
        return
    path = experiment.folder / job.folder
    experiment.found[job.fingerprint] = path
    context = Context(
        recipe, experiment.folder, experiment.places.cache / "teachers",
        experiment.places.accelerator, experiment.code, experiment.found,
    )  # fmt: skip
    epochs = recipe.train_of(job.stage).epochs
    evaluation = train_one(
        context, job, data, path, lambda row: listener.epoch(job, row, epochs), listener.progress
    )
    listener.end(job, "trained", evaluation)


def _write(experiment: _Experiment, jobs: list[Job]) -> None:
    recipe, folder = experiment.recipe, experiment.folder
    runs = []
    for job in jobs:
        path = experiment.found.get(job.fingerprint, folder / job.folder)
        # A run given by path keeps its own fingerprint; every other one has the job's.
        own = read_record(path) if recipe.stages[job.stage].run else None
        runs.append(
            {
                "stage": job.stage, "fold": job.fold, "seed": job.seed,
                "fingerprint": own["fingerprint"] if own else job.fingerprint,
                "path": relative(path, folder),
            }
        )  # fmt: skip
    checkpoint.write_json(
        folder / "experiment.json",
        {
            "schema": 1, "name": experiment.name, "title": recipe.title,
            "resolved": recipe.model_dump(), "data": experiment.dataset.summary(),
            "protocol": recipe.protocol, "baseline": recipe.reference(),
            "students": recipe.students(), "teachers": recipe.teachers(), "runs": runs,
        },
    )  # fmt: skip
