"""Optuna's record of a search, in the folder of the study: safe against kill -9 and against a second command."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from tutelage.errors import UserError
from tutelage.seeds import derive
from tutelage.study.tune.settings import Search, import_optuna

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

__all__ = ["Store"]


class Store:
    """Settings that were tried, are under way, or wait.

    A setting belongs to the process that holds its lock; the system frees the lock when that process dies, and the
    next one that asks goes on with the setting.

    Args:
        folder: ``tune`` in the folder of the study.
        search: what is searched.
        runs: trainings of the tuned stage that one setting needs.
        epochs: of each.
    """

    def __init__(self, folder: Path, search: Search, runs: int, epochs: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.search, self.runs = folder, search, runs
        self.optuna = import_optuna()
        self.held: dict[int, FileLock] = {}
        with self.alone():
            self.study = self._open(epochs)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other command propose a setting meanwhile."""
        with FileLock(self.folder / "lock"):
            yield

    def _open(self, epochs: int) -> "Study":
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        journal, lock = self.folder / "optuna.log", _JournalLock(self.folder / "optuna.lock")
        with lock.held:
            _mend(journal)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in Optuna
            backend = JournalFileBackend(str(journal), lock)  # type: ignore[arg-type]  # has its methods
            prune = self.search.tune.prune
            after = epochs // 3 if prune is None or prune.after is None else prune.after
            startup = 1 if prune is None else prune.settings
            study: Study = self.optuna.create_study(
                storage=JournalStorage(backend), study_name=self.search.name, load_if_exists=True,
                direction="minimize" if self.search.tune.metric == "nll" else "maximize",
                pruner=self.optuna.pruners.MedianPruner(startup, after + 1),
            )  # fmt: skip
        self._refuse_other(study)
        if not study.user_attrs.get("filled"):  # a command may have died half-way
            grid = self.search.tune.method == "grid"
            for point in self.search.grid() if grid else self.search.first():
                study.enqueue_trial(point, skip_if_exists=True)
            study.set_user_attr("filled", True)
        return study

    def _refuse_other(self, study: "Study") -> None:
        """Refuse to go on with a search of something else."""
        asked = self.search.asked
        known = study.user_attrs.get("asked")
        if known is None:
            study.set_user_attr("asked", asked)
            return
        for key, value in asked.items():
            if known[key] != value:
                raise UserError(
                    f"{self.folder}: holds a search with another {key}; give this one another --name, or "
                    "remove that folder"
                )

    def trials(self) -> list["FrozenTrial"]:
        """Return all settings, by number."""
        return self.study.get_trials(deepcopy=False)

    def take(self) -> "tuple[Trial, dict[str, Any]] | None":
        """Return a setting that nobody works on and its values: one that was interrupted, else a new one.

        None if every setting that the budget allows has been begun.
        """
        state = self.optuna.trial.TrialState
        with self.alone():
            for known in self.trials():
                if known.state == state.RUNNING and self._hold(known.number):
                    # Optuna gives no public way back to a trial that a dead process has begun.
                    trial = self.optuna.trial.Trial(self.study, known._trial_id)
                    return trial, self._values(trial)
            if self.over():
                return None
            # A sampler of its own for each setting: one that began anew after a kill would repeat itself.
            self.study.sampler = self._sampler(len(self.trials()))
            trial = self.study.ask()
            if not self._hold(trial.number):
                raise UserError(
                    f"{self.folder}: setting {trial.number} is locked by another command"
                )
            return trial, self._values(trial)

    def release(self, number: int) -> None:
        """Let go of a setting."""
        self.held.pop(number).release()

    def _hold(self, number: int) -> bool:
        if number in self.held:
            return False
        lock = FileLock(self.folder / "locks" / f"setting-{number:04d}")
        (self.folder / "locks").mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self.held[number] = lock
        return True

    def _values(self, trial: "Trial") -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, dimension in self.search.space.items():
            values |= dimension.suggest(trial, name)
        return values

    def _sampler(self, number: int) -> Any:
        tune = self.search.tune
        seed = derive(tune.seed, "tune", number) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in Optuna
            if tune.method == "tpe":
                return self.optuna.samplers.TPESampler(seed=seed)
            return self.optuna.samplers.RandomSampler(seed=seed)

    def over(self) -> str:
        """Return why no further setting is begun; empty if one is."""
        tune, trials = self.search.tune, self.trials()
        state = self.optuna.trial.TrialState
        begun = [trial for trial in trials if trial.state != state.WAITING]
        if tune.method == "grid" and len(begun) == len(trials):
            return f"all {len(trials)} points of the grid were tried"
        limit = tune.budget.runs
        if limit is not None and (len(begun) + 1) * self.runs > limit:
            return f"the budget of {limit} runs was used up"
        minutes = tune.budget.minutes
        if minutes is not None and self.minutes() >= minutes:
            return f"the budget of {minutes:g} minutes was used up"
        if tune.patience is not None and self._since_best() >= tune.patience:
            return f"{tune.patience} settings in a row were no better than the best"
        return ""

    def _since_best(self) -> int:
        """Return how many settings ended after the best one."""
        state = self.optuna.trial.TrialState
        ended = [trial for trial in self.trials() if trial.state.is_finished()]
        ended.sort(key=lambda trial: str(trial.datetime_complete))
        values = [trial.value if trial.state == state.COMPLETE else None for trial in ended]
        sign = -1 if self.search.tune.metric == "nll" else 1
        known = [sign * value for value in values if value is not None]
        if not known:
            return 0
        return len(ended) - 1 - next(
            i for i, value in enumerate(values) if value is not None and sign * value == max(known)
        )  # fmt: skip

    def minutes(self) -> float:
        """Return the minutes of training of all settings, over all sittings."""
        logs = self.folder.parent.glob("setting-*/**/timing.jsonl")
        return sum(_seconds(path) for path in logs) / 60


class _JournalLock:
    """A lock that the system frees when a process dies; Optuna's own stays behind and is waited for."""

    def __init__(self, path: Path) -> None:
        self.held = FileLock(path)

    def acquire(self) -> bool:
        self.held.acquire()
        return True

    def release(self) -> None:
        self.held.release()


def _seconds(path: Path) -> float:
    total = 0.0
    for line in path.read_text().splitlines():
        try:
            row: Mapping[str, float] = json.loads(line)
        except json.JSONDecodeError:  # the last line of a command that was killed
            continue
        total += row["seconds"]
    return total


def _mend(journal: Path) -> None:
    """Cut a half-written last line of a command that was killed."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        whole = content.rfind(b"\n") + 1
        with journal.open("r+b") as file:
            file.truncate(whole)
