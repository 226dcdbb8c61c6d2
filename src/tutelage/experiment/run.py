"""A recipe carried out: every run it asks for, trained, resumed or found, and the record of the experiment."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.data import DataSet
from tutelage.experiment import checkpoint
from tutelage.experiment.check import check
from tutelage.experiment.config import Recipe
from tutelage.experiment.example import write_example
from tutelage.experiment.listener import Listener, Quiet
from tutelage.experiment.plan import Job, find_run, plan
from tutelage.experiment.prepare import Fold, folds, load_data
from tutelage.experiment.record import code_version, read_record
from tutelage.experiment.single import Context, relative
from tutelage.experiment.stage import load_teacher
from tutelage.experiment.transfer import evaluate_elsewhere, load_targets
from tutelage.experiment.workers import Outcome, Places, Workers, make_workers

__all__ = ["Listener", "Places", "Quiet", "execute"]


@dataclass
class _Experiment:
    recipe: Recipe
    name: str
    places: Places
    listener: Listener
    dataset: DataSet
    found: dict[str, Path] = field(default_factory=dict)
    transfer: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=code_version)

    @property
    def folder(self) -> Path:
        return self.places.runs / self.name


def execute(recipe: Recipe, name: str, places: Places, listener: Listener | None = None) -> Path:
    """Carry out a recipe; runs that are complete are not repeated, one that was interrupted goes on.

    Args:
        recipe: what to do.
        name: of the experiment, fit for a folder.
        places: where data, runs and caches lie, and how many runs go side by side.
        listener: who is told.

    Returns:
        The experiment's folder.

    Raises:
        UserError: the recipe is wrong; found before the first step.
    """
    listener = listener or Quiet()
    dataset = load_data(recipe, places.data, listener.progress)
    experiment = _Experiment(recipe, name, places, listener, dataset)
    targets = load_targets(recipe, dataset, places.data, listener.progress)
    experiment.folder.mkdir(parents=True, exist_ok=True)
    data = {fold: Fold.of(recipe, dataset, fold, places.cache / "modalities")
            for fold in folds(recipe, dataset)}  # fmt: skip
    check(recipe, next(iter(data.values())), gradients=False)
    jobs = [job for fold in data for job in plan(recipe, fold, data[fold])]
    for job in jobs:
        _find(experiment, job, data[job.fold])
    missing = [job for job in jobs if job.fingerprint not in experiment.found]
    for job in missing:  # once, with all cores, before workers ask for the same files
        data[job.fold].values(recipe.input_of(job.stage, dataset.modality), listener.progress)
    with make_workers(places, len(missing), data, listener) as workers:
        _carry_out(experiment, jobs, workers)
    if targets:
        experiment.transfer = evaluate_elsewhere(
            recipe, targets, jobs, experiment.found, experiment.folder, places.accelerator,
            listener.progress,
        )  # fmt: skip
        _write(experiment, jobs)
    write_example(experiment.folder / "example.npz", next(iter(data.values())))
    return experiment.folder


def _find(experiment: _Experiment, job: Job, data: Fold) -> None:
    """Note a run that is complete already, or that the recipe gives by path."""
    given = experiment.recipe.stages[job.stage].run
    if given is not None:
        load_teacher(Path(given), job.stage, data)
    found = Path(given) if given else find_run(job, experiment.folder, experiment.places.runs)
    if found is not None:
        experiment.found[job.fingerprint] = found


def _carry_out(experiment: _Experiment, jobs: list[Job], workers: Workers) -> None:
    """Start every job as soon as those it needs are done and a worker is free."""
    listener = experiment.listener
    waiting, running, failed = list(jobs), dict[Future[Outcome], Job](), set[str]()
    _write(experiment, jobs)
    while waiting or running:
        for job in list(waiting):
            busy = {other.fingerprint for other in running.values()}
            needed = [*job.teachers.values(), *([job.start] if job.start else [])]
            broken = [other.stage for other in needed if other.fingerprint in failed]
            known = failed | experiment.found.keys()
            if job.fingerprint in busy or any(n.fingerprint not in known for n in needed):
                continue
            done = job.fingerprint in known or bool(broken)
            if not done and len(running) >= workers.size:
                continue
            waiting.remove(job)
            listener.begin(job, jobs.index(job), len(jobs))
            if broken or job.fingerprint in failed:
                failed.add(job.fingerprint)
                listener.end(
                    job, f"failed: it needs {(broken or [job.stage])[0]}, which failed", None
                )
            elif done:
                path = experiment.found[job.fingerprint] / "evaluation.json"
                listener.end(job, "found", checkpoint.read_json(path))
            else:
                running[workers.submit(_context(experiment), job)] = job
        for future in workers.wait(running):
            job, outcome = running.pop(future), future.result()
            if outcome.evaluation is None:
                failed.add(job.fingerprint)
            else:
                experiment.found[job.fingerprint] = experiment.folder / job.folder
            listener.end(job, outcome.text, outcome.evaluation)
            _write(experiment, jobs)


def _context(experiment: _Experiment) -> Context:
    places = experiment.places
    return Context(
        experiment.recipe, experiment.folder, places.cache, places.accelerator,
        experiment.code, dict(experiment.found),
    )  # fmt: skip


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
        } | ({"transfer": experiment.transfer} if experiment.transfer else {}),
    )  # fmt: skip
