"""The record of a search, ``tune/tune.json``: what was tried, what came out, and what it was chosen by."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.runs.schema import Name, Schema
from tutelage.statistics.spreads import mean_of_folds

__all__ = ["Again", "Axis", "Score", "Setting", "State", "Tuning", "mean_of", "read_tuning"]

State = Literal["complete", "stopped early", "failed", "running"]


@dataclass(frozen=True)
class Axis:
    """One dimension of the search.

    Args:
        name: its first place in the recipe.
        kind: which.
        places: every place that it changes; for parts, without their keys.
        parts: keys of the parts.
        low: smallest number, or the least a part may be.
        high: largest number.
        log: even on a logarithmic scale.
        values: of a choice.
    """

    name: str
    kind: Literal["number", "choice", "simplex"]
    places: tuple[str, ...]
    parts: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    values: tuple[bool | int | float | str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The places whose values tell everything: one, or one for each part."""
        return tuple(f"{self.name}.{part}" for part in self.parts) or (self.name,)


@dataclass(frozen=True)
class Score:
    """What one run scored on validation."""

    fold: Name
    seed: int
    value: float


@dataclass(frozen=True)
class Setting:
    """One point of the search.

    Args:
        number: from 0.
        state: how it ended.
        values: place -> value.
        value: mean over folds of the mean over seeds, on validation; None unless complete.
        scores: of each run.
        steps: epochs that were judged, over its runs.
        reason: why it failed.
        folder: of its experiment, below the study's.
    """

    number: int
    state: State
    values: dict[str, Any]
    value: float | None
    scores: tuple[Score, ...]
    steps: int
    reason: str
    folder: str


@dataclass(frozen=True)
class Again:
    """The best setting, trained with seeds that played no part in choosing it."""

    setting: int
    seeds: tuple[int, ...]
    scores: tuple[Score, ...]
    folder: str
    reason: str = ""


@dataclass(frozen=True)
class Tuning:
    """``tune/tune.json``.

    Args:
        schema: 1.
        name: of the study.
        title: for people.
        stage: that was tuned.
        metric: on validation.
        method: how settings were proposed.
        seed: of the proposals.
        optuna: version.
        budget: of runs and minutes; None where there was none.
        patience: settings without a better one that end the search.
        pruned: settings might be stopped early.
        folds: by name.
        seeds: of the search.
        epochs: of the tuned stage, of the recipe's own setting.
        subjects: of validation, over all folds.
        n_validation: samples of validation, over all folds.
        axes: what was searched.
        settings: everything that was tried.
        own: number of the setting that is the recipe's own; None if it was not tried.
        again: the best setting with fresh seeds.
        ended: why no further setting was begun; empty while the search goes on.
        minutes: of training, teachers included.
        data: name of the data set.
        synthetic: whether a generator made the data.
        code: version and commit.
    """

    schema: Schema
    name: str
    title: str
    stage: str
    metric: Literal["accuracy", "macro_f1", "nll"]
    method: Literal["tpe", "random", "grid"]
    seed: int
    optuna: str
    budget: dict[str, float | None]
    patience: int | None
    pruned: bool
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: int
    subjects: tuple[str, ...]
    n_validation: int
    axes: tuple[Axis, ...]
    settings: tuple[Setting, ...]
    own: int | None
    again: Again | None
    ended: str
    minutes: float
    data: str
    synthetic: bool
    code: dict[str, Any]

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return -1 if self.metric == "nll" else 1

    @property
    def complete(self) -> tuple[Setting, ...]:
        """The settings that were trained to the end."""
        return tuple(setting for setting in self.settings if setting.value is not None)

    @property
    def best(self) -> Setting | None:
        """The best complete setting of the search; the first of equal ones."""
        complete = self.complete
        return (
            max(complete, key=lambda setting: self.sign * (setting.value or 0.0))
            if complete
            else None
        )

    def write(self, folder: Path) -> Path:
        """Write ``tune.json`` to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tune.json"
        checkpoint.write_json(path, asdict(self))
        return path


def mean_of(scores: tuple[Score, ...]) -> float:
    """Mean over folds of the mean over seeds."""
    return mean_of_folds({(score.fold, score.seed): score.value for score in scores})


_TUNING = TypeAdapter(Tuning)


def read_tuning(folder: Path) -> Tuning:
    """Read the record of a search from the folder of its study.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / "tune" / "tune.json"
    if not path.is_file():
        raise UserError(f"{folder}: no search here (tune/tune.json is missing)")
    try:
        tuning = _TUNING.validate_json(path.read_bytes())
    except (ValidationError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not a record of a search ({str(error)[:200]})") from None
    for setting in tuning.complete:
        if abs(mean_of(setting.scores) - (setting.value or 0.0)) > 1e-9:
            raise UserError(
                f"{path}: setting {setting.number} is {setting.value}, but its runs give {mean_of(setting.scores)}"
            )
    return tuning
