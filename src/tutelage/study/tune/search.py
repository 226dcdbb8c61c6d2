"""A search for hyper-parameters on validation: settings proposed, trained as experiments, and recorded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.checkpoint import write_json
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener, Quiet
from tutelage.execution.run import execute
from tutelage.execution.storage import own_name
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe
from tutelage.recipe.data_spec import DataSpec, folds
from tutelage.runs.folder import code_version
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.records import Evaluation
from tutelage.study.file import Study
from tutelage.study.tune.record import (
    Again,
    Axis,
    Score,
    Setting,
    State,
    Tuning,
    mean_of,
    read_tuning,
)
from tutelage.study.tune.settings import Search, import_optuna, search_of
from tutelage.study.tune.space import Choice, Dimension, Number, Simplex
from tutelage.study.tune.store import Store
from tutelage.study.tune.watch import GivenUp, Watch

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial

__all__ = ["own_search", "tune"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Work:
    search: Search
    config: RunConfig
    listener: Listener
    tell: Tell
    store: Store
    runs: tuple[tuple[int, int], ...]
    data: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.config.runs / self.search.name


def tune(
    study: Study, config: RunConfig, listener: Listener | None = None, tell: Tell | None = None
) -> Path:
    """Search what the study file asks for, on validation only; go on where an earlier sitting stopped.

    Every setting is an experiment ``runs/<study>/setting-0007`` under the protocol ``blind``, so its test split is
    never evaluated, and teachers are shared. The best one is trained again with fresh seeds. After each setting
    ``runs/<study>/tune/tune.json`` tells all of it.

    Args:
        study: with a part ``tune``.
        config: where things lie and run.
        listener: hears every run.
        tell: gets a sentence when a setting is done.

    Returns:
        The folder of the study.

    Raises:
        UserError: the study file is wrong, or the folder holds another search.
    """
    search, listener, tell = search_of(study), listener or Quiet(), tell or (lambda _: None)
    recipe, asked = search.recipe, search.asked
    dataset = DataCache(config.data, config.cache, listener.progress).dataset(DataSpec.of(recipe))
    numbers = folds(recipe, dataset)
    search = replace(search, content={**search.content, "folds": numbers})
    runs = tuple((fold, seed) for fold in numbers for seed in recipe.seeds)
    epochs = recipe.train_settings(search.tune.stage).epochs
    store = Store(config.runs / study.name / "tune", search, len(runs), epochs)
    write_json(_kept(config.runs, study), {"resolved": asked})
    work = _Work(search, config, listener, tell, store, runs, dataset.summary())
    while (taken := store.take()) is not None:
        trial, values = taken
        try:
            _try(work, trial, values)
        finally:
            store.release(trial.number)
        _write(work, None)
    record = _write(work, None)
    state = import_optuna().trial.TrialState
    if any(started.state == state.RUNNING for started in store.trials()):
        tell("another command is still at work on a setting; it will finish the search")
    elif record.best is not None and search.again:
        _write(work, _again(work, record.best))
    return work.folder


def own_search(study: Study, runs: Path) -> Study:
    """Return a study with a folder of its own where a search for something else lies in the one of its name.

    Args:
        study: with a part ``tune``, named by its file.
        runs: root of all experiments.
    """
    name = own_name(_kept(runs, study), study.name, search_of(study).asked, lambda asked: asked)
    return replace(study, name=name)


def _kept(runs: Path, study: Study) -> Path:
    """Return where a search keeps what it is for."""
    return runs / study.name / "tune" / "search.json"


def _try(work: _Work, trial: "Trial", values: dict[str, Any]) -> None:
    """Train one setting and tell the store what came out."""
    search, study = work.search, work.store.study
    metric = search.tune.metric
    state = import_optuna().trial.TrialState
    trial.set_user_attr("values", values)
    recipe, name = search.recipe_at(values), f"{search.name}/{_folder(trial.number)}"
    known = work.store.trials()[trial.number].intermediate_values
    place = work.config.runs / name
    watch = Watch(trial, search.tune, recipe, work.runs, place, list(known), work.listener)
    shown = f"setting {trial.number}: {told(values)}"
    try:
        folder = execute(recipe, name, work.config, watch)
    except GivenUp:
        study.tell(trial, state=state.PRUNED)
        work.tell(f"{shown}: stopped early")
        return
    scores, reason = _scores(read_experiment(folder), recipe, search)
    if reason:
        trial.set_user_attr("reason", reason)
        study.tell(trial, state=state.FAIL)
        work.tell(f"{shown}: failed, {reason}")
        return
    trial.set_user_attr("scores", [[score.fold, score.seed, score.value] for score in scores])
    value = mean_of(scores)
    study.tell(trial, value)
    work.tell(f"{shown}: validation {metric} {value:.4f} (best {study.best_value:.4f})")


def _scores(
    experiment: Experiment, recipe: Recipe, search: Search
) -> tuple[tuple[Score, ...], str]:
    """Return what every run of the tuned stage scored, or why there is a hole."""
    stage = search.tune.stage
    # A teacher of a fixed seed may have seeds that the tuned stage was never meant to have.
    holes = [
        hole for hole in experiment.holes if hole.stage == stage and hole.kind != "not planned"
    ]
    if holes:
        return (), holes[0].reason

    def metric(evaluation: Evaluation) -> float:
        return float(getattr(evaluation, search.tune.metric))

    values = experiment.values(stage, metric, "validation")
    return tuple(Score(fold, seed, value) for (fold, seed), value in sorted(values.items())), ""


def _again(work: _Work, best: Setting) -> Again:
    """Train the best setting with seeds that played no part in choosing it."""
    search = work.search
    recipe = search.recipe_at(best.values, search.again)
    name = f"{_folder(best.number)}-again"
    work.tell(f"setting {best.number} is best; it is trained again with fresh seeds")
    with work.store.alone():
        folder = execute(recipe, f"{search.name}/{name}", work.config, work.listener)
    scores, reason = _scores(read_experiment(folder), recipe, search)
    return Again(best.number, search.again, scores, name, reason)


def _write(work: _Work, again: Again | None) -> Tuning:
    """Write the record as it is now."""
    search, store = work.search, work.store
    recipe, asked = search.recipe, search.tune
    settings = tuple(_setting(item) for item in store.trials())
    tried = [item for item in settings if item is not None]
    again = again or _known(work)
    subjects, n_validation = _facts(work, tried)
    tuning = Tuning(
        schema=1, name=search.name, title=search.title, stage=asked.stage, metric=asked.metric,
        method=asked.method, seed=asked.seed, optuna=import_optuna().__version__,
        budget=asked.budget.model_dump(), patience=asked.patience, pruned=asked.prune is not None,
        folds=tuple(str(fold) for fold in recipe.folds), seeds=tuple(recipe.seeds),
        epochs=recipe.train_settings(asked.stage).epochs, subjects=subjects, n_validation=n_validation,
        axes=tuple(_axis(name, one) for name, one in search.space.items()),
        settings=tuple(tried), own=_own(search, tried), again=again, ended=store.over(),
        minutes=round(store.minutes(), 3), data=str(work.data["name"]),
        synthetic=bool(work.data.get("synthetic")), code=code_version(),
    )  # fmt: skip
    tuning.write(store.folder)
    return tuning


def _known(work: _Work) -> Again | None:
    """Return what an earlier sitting found with fresh seeds."""
    path = work.store.folder / "tune.json"
    return read_tuning(work.folder).again if path.is_file() else None


def _facts(work: _Work, tried: list[Setting]) -> tuple[tuple[str, ...], int]:
    """Return the subjects of validation and its samples, over all folds, from the runs of a complete setting."""
    done = next((setting for setting in tried if setting.state == "complete"), None)
    if done is None:
        return (), 0
    runs = read_experiment(work.folder / done.folder).of(work.search.tune.stage)
    folds = {run.fold: run.record.data for run in runs}.values()
    subjects = dict.fromkeys(who for data in folds for who in data.validation_subjects)
    return tuple(subjects), sum(data.n_validation for data in folds)


def _setting(trial: "FrozenTrial") -> Setting | None:
    states: dict[str, State] = {
        "COMPLETE": "complete", "PRUNED": "stopped early", "FAIL": "failed", "RUNNING": "running",
    }  # fmt: skip
    if trial.state.name not in states or "values" not in trial.user_attrs:
        return None  # it waits, or its process has only just begun
    attrs = trial.user_attrs
    scores = tuple(Score(*each) for each in attrs.get("scores", ()))
    return Setting(
        trial.number, states[trial.state.name], dict(attrs["values"]),
        mean_of(scores) if trial.state.name == "COMPLETE" else None, scores,
        max(trial.intermediate_values, default=0), attrs.get("reason", ""), _folder(trial.number),
    )  # fmt: skip


def _axis(name: str, dimension: Dimension) -> Axis:
    places = (name, *dimension.also)
    if isinstance(dimension, Simplex):
        return Axis(name, "simplex", places, dimension.parts, dimension.low)
    if isinstance(dimension, Choice):
        return Axis(name, "choice", places, values=tuple(dimension.values))
    assert isinstance(dimension, Number)
    return Axis(
        name,
        "number",
        places,
        low=float(dimension.low),
        high=float(dimension.high),
        log=dimension.log,
    )


def _own(search: Search, tried: list[Setting]) -> int | None:
    """Return the setting that is the recipe's own."""
    from tutelage.study.tune.space import at

    for setting in tried:
        if all(_same(at(search.known, place), value) for place, value in setting.values.items()):
            return setting.number
    return None


def _same(given: Any, value: Any) -> bool:
    numbers = isinstance(given, int | float) and isinstance(value, int | float)
    return bool(abs(given - value) < 1e-6 if numbers else given == value)


def told(values: dict[str, Any]) -> str:
    """Return a setting as it is given on the command line."""
    return " ".join(f"{place}={value:g}" if isinstance(value, float) else f"{place}={value}"
                    for place, value in values.items())  # fmt: skip


def _folder(number: int) -> str:
    return f"setting-{number:04d}"
