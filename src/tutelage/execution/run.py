"""Recipes carried out: every run they ask for, trained, resumed or found, and the records of the experiments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.errors import UserError
from tutelage.execution.cache import hold_bound
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener, Quiet
from tutelage.execution.precision import settle_precision
from tutelage.execution.queue import Complete, Key, Queue, Task
from tutelage.execution.storage import clear_leftovers, refuse_unwritable
from tutelage.execution.workers import Engine, RunConfig, make_workers
from tutelage.recipe.config import Recipe
from tutelage.recipe.data_spec import DataSpec, folds
from tutelage.recipe.names import refuse_names
from tutelage.recipe.resolve import RunSpec, resolve
from tutelage.runs.folder import code_version, read_record
from tutelage.runs.records import EXPERIMENT, Entry, ExperimentRecord
from tutelage.runs.robustness import AskedRecord, write_asked
from tutelage.runs.schema import write
from tutelage.runs.search import answers, run_folders
from tutelage.training.check import check
from tutelage.training.example_choice import write_example
from tutelage.training.other_data import Target, evaluate_elsewhere, load_targets
from tutelage.training.robustness import asked_of, evaluate_damaged
from tutelage.training.single import relative
from tutelage.training.student import load_learned

__all__ = [
    "ExperimentPlan",
    "Listener",
    "RunConfig",
    "Plan",
    "Quiet",
    "carry_out",
    "execute",
    "make_plan",
]


@dataclass(eq=False)
class ExperimentPlan:
    """One experiment and the runs it asks for.

    Args:
        record: what ``experiment.json`` will say, but for the runs.
        cell: its name in a study, or empty.
        folder: of the experiment.
        specs: every run, each after those it needs.
        targets: other data sets that the networks are evaluated on.
        recipe: what is carried out.
        asked: what is evaluated on damaged test inputs; None for nothing.
    """

    record: ExperimentRecord
    cell: str
    folder: Path
    specs: list[RunSpec]
    targets: list[Target]
    recipe: Recipe
    asked: AskedRecord | None


@dataclass(eq=False)
class Plan:
    """What has to be done for some experiments.

    Args:
        experiments: in the order in which they are wanted.
        config: where things lie.
        kept: data sets and folds.
        complete: runs that are complete already.
        tasks: every run of every experiment, in order; two with one key are one run.
    """

    experiments: list[ExperimentPlan]
    config: RunConfig
    kept: DataCache
    complete: Complete
    tasks: list[Task]

    @property
    def missing(self) -> list[Task]:
        """The runs to train, each once: where several experiments ask for it, in the first."""
        missing: dict[Key, Task] = {}
        for task in self.tasks:
            if task.key not in self.complete:
                missing.setdefault(task.key, task)
        return list(missing.values())


def execute(recipe: Recipe, name: str, config: RunConfig, listener: Listener | None = None) -> Path:
    """Carry out a recipe; runs that are complete are not repeated, one that was interrupted goes on.

    Args:
        recipe: what to do.
        name: of the experiment, fit for a folder.
        config: where data, runs and caches lie, and how many runs go side by side.
        listener: who is told.

    Returns:
        The experiment's folder.

    Raises:
        UserError: the recipe is wrong; found before the first step.
    """
    listener = listener or Quiet()
    planned = make_plan({name: recipe}, config, listener)
    carry_out(planned, listener)
    return planned.experiments[0].folder


def make_plan(
    recipes: Mapping[str, Recipe], config: RunConfig, listener: Listener, parent: str = ""
) -> Plan:
    """Find out what recipes ask for, and refuse what cannot be done; nothing is written but what data sets keep.

    Args:
        recipes: name of the experiment, fit for a folder -> what to do.
        config: where data, runs and caches lie.
        listener: who is told.
        parent: folder that all of them share: of a study, whose cells they are.

    Raises:
        UserError: a recipe is wrong, or the folder of runs cannot be written.
    """
    for name in recipes:
        for part in f"{parent}/{name}".removeprefix("/").split("/"):
            refuse_names([part], "--name")
    refuse_unwritable(config.runs)
    kept = DataCache(config.data, config.cache, listener.progress)
    folders = _by_ending(config.runs)
    planned = Plan([], config, kept, {}, [])
    tried: set[Key] = set()
    for name, recipe in recipes.items():
        try:
            experiment = _experiment(recipe, name, planned, parent, listener)
            specs = experiment.specs
            for spec in specs:
                _note(spec, experiment.folder, planned, folders)
            if any(spec.key not in planned.complete for spec in specs) or not parent:
                first = [spec for spec in specs if spec.fold == specs[0].fold]
                new = [spec for spec in first if spec.key not in tried]  # cells share most stages
                check(new, kept.fold(specs[0].data, specs[0].fold), gradients=False)
                tried.update(spec.key for spec in first)
        except UserError as error:
            raise (UserError(f"cell {name}: {error}") if parent else error) from error
        planned.experiments.append(experiment)
        planned.tasks += [Task(spec, experiment.folder, experiment.cell) for spec in specs]
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
        kept.fold(task.spec.data, task.spec.fold).values(task.spec.modality, listener.progress)
    clear_leftovers(planned.config.cache, [e.folder for e in planned.experiments])
    # Where several experiments ask for one run, it lies in the first; all records say so from the beginning.
    paths = planned.complete | {task.key: task.folder / task.spec.folder for task in missing}
    for experiment in planned.experiments:
        experiment.folder.mkdir(parents=True, exist_ok=True)
        _write(experiment, paths)

    def changed(task: Task) -> None:
        path = planned.complete.get(task.key)
        if path is None or path == paths[task.key]:
            return
        paths[task.key] = path  # another command trained it for an experiment of its own
        for experiment in planned.experiments:
            if any(spec.key == task.key for spec in experiment.specs):
                _write(experiment, paths)

    queue = Queue(
        planned.tasks, planned.complete, planned.config, code_version(), listener, changed
    )  # fmt: skip
    with engine(planned.config, len(missing), kept, listener) as workers:
        queue.carry_out(workers)
    for experiment in planned.experiments:
        _finish(experiment, planned, paths, listener)
    hold_bound(planned.config.cache)


def _experiment(
    recipe: Recipe, name: str, planned: Plan, parent: str, listener: Listener
) -> ExperimentPlan:
    kept, config, source = planned.kept, planned.config, DataSpec.of(recipe)
    dataset = kept.dataset(source)
    folder, numbers = config.runs / parent / name, folds(recipe, dataset)
    recipe = settle_precision(
        recipe, numbers[0], kept.fold(source, numbers[0]), folder, config.cache, config.accelerator
    )
    specs = [
        spec
        for fold in numbers
        for spec in resolve(recipe, fold, kept.fold(source, fold), trust=config.trust)
    ]
    record = ExperimentRecord(
        schema=1,
        name=name,
        title=recipe.title,
        resolved=recipe.model_dump(),
        data=dataset.summary(),
        protocol=recipe.protocol,
        baseline=recipe.reference(),
        students=tuple(recipe.students()),
        teachers=tuple(recipe.teachers()),
        runs=(),
        transfer={},
    )
    targets = load_targets(recipe.transfer, dataset, specs, config.data, listener.progress)
    asked = asked_of(recipe, kept.fold(source, specs[0].fold))
    return ExperimentPlan(
        record, name if parent else "", folder, specs, targets, recipe, asked
    )  # fmt: skip


def _by_ending(runs: Path) -> dict[str, list[Path]]:
    """Return the run folders that are there, by the last part of their name."""
    folders: dict[str, list[Path]] = {}
    for path in run_folders(runs):
        folders.setdefault(path.name.rpartition("-")[2], []).append(path)
    return folders


def _note(
    spec: RunSpec, folder: Path, planned: Plan, folders: Mapping[str, Sequence[Path]]
) -> None:
    """Note a run that is complete already, or that the recipe gives by path."""
    if spec.run is not None:
        load_learned(Path(spec.run), spec, planned.kept.fold(spec.data, spec.fold))
        planned.complete[spec.key] = Path(spec.run)
    elif spec.key not in planned.complete:
        others = folders.get(spec.fingerprint[:10], [])
        for path in (folder / spec.folder, *others):
            if answers(path, spec):
                planned.complete[spec.key] = path
                return


def _finish(
    experiment: ExperimentPlan, planned: Plan, paths: Mapping[Key, Path], listener: Listener
) -> None:
    folder, first = experiment.folder, experiment.specs[0]
    complete = {fingerprint: path for (fingerprint, _), path in planned.complete.items()}
    if experiment.targets:
        transfer = evaluate_elsewhere(
            experiment.targets, experiment.specs, complete, folder,
            planned.config.accelerator, listener.progress,
        )  # fmt: skip
        experiment.record = replace(experiment.record, transfer=transfer)
        _write(experiment, paths)
    write_asked(folder, experiment.asked)
    if experiment.asked is not None:
        evaluate_damaged(
            experiment.recipe, experiment.asked, experiment.specs, complete,
            lambda spec: planned.kept.fold(spec.data, spec.fold),
            planned.config.accelerator, listener.progress,
        )  # fmt: skip
    write_example(folder / "example.npz", planned.kept.fold(first.data, first.fold))


def _write(experiment: ExperimentPlan, paths: Mapping[Key, Path]) -> None:
    entries = []
    for spec in experiment.specs:
        path = paths[spec.key]
        # A run given by path keeps its own fingerprint; every other one has that of its description.
        own = read_record(path) if spec.run else None
        fingerprint = spec.fingerprint if own is None else own.fingerprint
        own_path = relative(path, experiment.folder)
        entries.append(Entry(spec.stage, str(spec.fold), spec.seed, fingerprint, own_path))
    record = replace(experiment.record, runs=tuple(entries))
    write(EXPERIMENT, experiment.folder / "experiment.json", record.content)
