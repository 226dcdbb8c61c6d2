"""Recipes carried out: every run they ask for, trained, resumed or found, and the records of the experiments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tutelage.data import DataSet
from tutelage.errors import UserError
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener, Quiet
from tutelage.execution.queue import (
    Found,
    Key,
    Queue,
    Task,
    key_of,
)
from tutelage.execution.storage import clear_leftovers, refuse_unwritable
from tutelage.execution.workers import Engine, RunConfig, make_workers
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import folds
from tutelage.recipe.resolve import Job, plan
from tutelage.runs.folder import code_version, read_record
from tutelage.runs.records import EXPERIMENT, Entry, ExperimentRecord, TargetRecord
from tutelage.runs.schema import write
from tutelage.runs.search import answers, run_folders
from tutelage.training.check import check
from tutelage.training.example_choice import write_example
from tutelage.training.other_data import Target, evaluate_elsewhere, load_targets
from tutelage.training.single import relative
from tutelage.training.stage import load_teacher

__all__ = [
    "Experiment",
    "Listener",
    "RunConfig",
    "Plan",
    "Quiet",
    "carry_out",
    "execute",
    "make_plan",
]


@dataclass(eq=False)
class Experiment:
    """One recipe and the runs it asks for.

    Args:
        recipe: the recipe.
        name: of the experiment.
        cell: its name in a study, or empty.
        folder: of the experiment.
        dataset: of the recipe.
        jobs: every run, each after those it needs.
        targets: other data sets that the networks are evaluated on.
        transfer: what was found there.
    """

    recipe: Recipe
    name: str
    cell: str
    folder: Path
    dataset: DataSet
    jobs: list[Job]
    targets: list[Target]
    transfer: dict[str, TargetRecord] = field(default_factory=dict)


@dataclass(eq=False)
class Plan:
    """What has to be done for some experiments.

    Args:
        experiments: in the order in which they are wanted.
        places: where things lie.
        kept: data sets and folds.
        found: runs that are complete already.
        tasks: every run of every experiment, in order; two with one key are one run.
    """

    experiments: list[Experiment]
    places: RunConfig
    kept: DataCache
    found: Found
    tasks: list[Task]

    @property
    def missing(self) -> list[Task]:
        """The runs to train, each once: where several experiments ask for it, in the first."""
        once: dict[Key, Task] = {}
        for task in self.tasks:
            if task.key not in self.found:
                once.setdefault(task.key, task)
        return list(once.values())


def execute(recipe: Recipe, name: str, places: RunConfig, listener: Listener | None = None) -> Path:
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
    planned = make_plan({name: recipe}, places, listener)
    carry_out(planned, listener)
    return planned.experiments[0].folder


def make_plan(
    recipes: Mapping[str, Recipe], places: RunConfig, listener: Listener, parent: str = ""
) -> Plan:
    """Find out what recipes ask for, and refuse what cannot be done; nothing is written but what data sets keep.

    Args:
        recipes: name of the experiment, fit for a folder -> what to do.
        places: where data, runs and caches lie.
        listener: who is told.
        parent: folder that all of them share: of a study, whose cells they are.

    Raises:
        UserError: a recipe is wrong, or the folder of runs cannot be written.
    """
    refuse_unwritable(places.runs)
    kept = DataCache(places.data, places.cache, listener.progress)
    there = _complete(places.runs)
    planned = Plan([], places, kept, {}, [])
    for name, recipe in recipes.items():
        try:
            experiment = _experiment(recipe, name, planned, parent, listener)
            for job in experiment.jobs:
                _find(experiment, job, planned, there)
            if any(key_of(job) not in planned.found for job in experiment.jobs) or not parent:
                check(recipe, kept.fold(recipe, experiment.jobs[0].fold), gradients=False)
        except UserError as error:
            raise (UserError(f"cell {name}: {error}") if parent else error) from error
        planned.experiments.append(experiment)
        planned.tasks += [
            Task(job, recipe, experiment.folder, experiment.cell) for job in experiment.jobs
        ]
    return planned


def carry_out(planned: Plan, listener: Listener, engine: Engine = make_workers) -> None:
    """Do what was planned.

    Args:
        planned: the plan.
        listener: who is told.
        engine: provides the workers.
    """
    missing, kept = planned.missing, planned.kept
    for task in missing:  # once, with all cores, before workers ask for the same files
        data = kept.fold(task.recipe, task.job.fold)
        own = task.recipe.input_of(task.job.stage, data.dataset.modality)
        data.values(own, listener.progress)
    code = code_version()
    clear_leftovers(planned.places.cache, [e.folder for e in planned.experiments])
    # Where several experiments ask for one run, it lies in the first; all records say so from the beginning.
    there = planned.found | {task.key: task.folder / task.job.folder for task in missing}
    for experiment in planned.experiments:
        experiment.folder.mkdir(parents=True, exist_ok=True)
        _write(experiment, there)

    def changed(task: Task) -> None:
        path = planned.found.get(task.key)
        if path is None or path == there[task.key]:
            return
        there[task.key] = path  # another command trained it for an experiment of its own
        for experiment in planned.experiments:
            if any(key_of(job) == task.key for job in experiment.jobs):
                _write(experiment, there)

    queue = Queue(planned.tasks, planned.found, planned.places, code, listener, changed)
    with engine(planned.places, len(missing), kept, listener) as workers:
        queue.carry_out(workers)
    for experiment in planned.experiments:
        _finish(experiment, planned, there, listener)


def _experiment(
    recipe: Recipe, name: str, planned: Plan, parent: str, listener: Listener
) -> Experiment:
    kept, places = planned.kept, planned.places
    dataset = kept.dataset(recipe)
    targets = load_targets(recipe, dataset, places.data, listener.progress)
    jobs = [
        job
        for fold in folds(recipe, dataset)
        for job in plan(recipe, fold, kept.fold(recipe, fold))
    ]
    folder = places.runs / parent / name
    return Experiment(recipe, name, name if parent else "", folder, dataset, jobs, targets)


def _complete(runs: Path) -> dict[str, list[Path]]:
    """Return the run folders that are there, by the last part of their name."""
    found: dict[str, list[Path]] = {}
    for path in run_folders(runs):
        found.setdefault(path.name.rpartition("-")[2], []).append(path)
    return found


def _find(
    experiment: Experiment, job: Job, planned: Plan, there: Mapping[str, Sequence[Path]]
) -> None:
    """Note a run that is complete already, or that the recipe gives by path."""
    given = experiment.recipe.stages[job.stage].run
    if given is not None:
        data = planned.kept.fold(experiment.recipe, job.fold)
        load_teacher(Path(given), job.stage, data)
        planned.found[key_of(job)] = Path(given)
        return
    if key_of(job) in planned.found:
        return
    others = there.get(job.fingerprint[:10], [])
    for path in (experiment.folder / job.folder, *others):
        if answers(path, job):
            planned.found[key_of(job)] = path
            return


def _finish(
    experiment: Experiment, planned: Plan, there: Mapping[Key, Path], listener: Listener
) -> None:
    recipe, folder = experiment.recipe, experiment.folder
    if experiment.targets:
        found = {key: path for (key, _), path in planned.found.items()}
        experiment.transfer = evaluate_elsewhere(
            recipe, experiment.targets, experiment.jobs, found, folder,
            planned.places.accelerator, listener.progress,
        )  # fmt: skip
        _write(experiment, there)
    write_example(folder / "example.npz", planned.kept.fold(recipe, experiment.jobs[0].fold))


def _write(experiment: Experiment, there: Mapping[Key, Path]) -> None:
    recipe, folder = experiment.recipe, experiment.folder
    entries = []
    for job in experiment.jobs:
        path = there[key_of(job)]
        # A run given by path keeps its own fingerprint; every other one has the job's.
        own = read_record(path) if recipe.stages[job.stage].run else None
        fingerprint = job.fingerprint if own is None else own.fingerprint
        entries.append(
            Entry(job.stage, str(job.fold), job.seed, fingerprint, relative(path, folder))
        )
    record = ExperimentRecord(
        schema=1,
        name=experiment.name,
        title=recipe.title,
        resolved=recipe.model_dump(),
        data=experiment.dataset.summary(),
        protocol=recipe.protocol,
        baseline=recipe.reference(),
        students=tuple(recipe.students()),
        teachers=tuple(recipe.teachers()),
        runs=tuple(entries),
        transfer=experiment.transfer,
    )
    write(EXPERIMENT, folder / "experiment.json", record.content)
