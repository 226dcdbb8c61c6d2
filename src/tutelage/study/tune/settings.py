"""The part ``tune`` of a study file, and the recipe that one setting stands for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from pydantic import Field

from tutelage.errors import UserError, unknown
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.keys import Strict
from tutelage.study.file import Study, lay, recipe_of
from tutelage.study.tune.space import Dimension, Simplex, dimension, refuse_unknown

__all__ = ["Budget", "Metric", "Prune", "Search", "Tune", "import_optuna", "search_of"]

Metric = Literal["accuracy", "macro_f1", "nll"]
FRESH = 3
"""Seeds that train the best setting again, unless the file names others."""


class Budget(Strict):
    """When no further setting is begun.

    Args:
        runs: trainings of the tuned stage, those stopped early included.
        minutes: of training, teachers included, over all sittings.
    """

    runs: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)


class Prune(Strict):
    """When a setting is given up before its last epoch: it is worse than the median of the others were there.

    Args:
        after: epochs of its first run that are always trained; a third of them by default.
        settings: that are finished before any is given up.
    """

    after: int | None = Field(None, ge=0)
    settings: int = Field(4, ge=1)


class Tune(Strict):
    """``tune`` in a study file."""

    stage: str
    space: dict[str, Any] = Field(min_length=1)
    cell: str | None = None
    metric: Metric = "accuracy"
    method: Literal["tpe", "random", "grid"] = "tpe"
    budget: Budget = Budget(runs=None, minutes=None)
    patience: int | None = Field(None, ge=1)
    prune: Prune | None = None
    folds: list[int] | Literal["all"] | None = None
    seeds: list[int] | None = None
    again: list[int] | None = None
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Search:
    """A search, ready to go.

    Args:
        name: of the study.
        title: for people.
        tune: how it is searched.
        space: name -> dimension.
        content: of the recipe, without other stages than the tuned one and its ancestors.
        known: the same, with all that stages take from the recipe written out.
        again: seeds that train the best setting again.
    """

    name: str
    title: str
    tune: Tune
    space: Mapping[str, Dimension]
    content: Mapping[str, Any]
    known: Mapping[str, Any]
    again: tuple[int, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe with its own values."""
        return recipe_of(self.content, "tune")

    def recipe_at(self, values: Mapping[str, Any], seeds: Sequence[int] | None = None) -> Recipe:
        """Return the recipe of a setting.

        Args:
            values: place -> value.
            seeds: instead of those of the search.
        """
        content = lay(self.content, values)
        if seeds is not None:
            content |= {"seeds": list(seeds)}
        shown = ", ".join(f"{place} = {value}" for place, value in values.items())
        return recipe_of(content, f"tune at {shown}")

    @property
    def asked(self) -> dict[str, Any]:
        """What its settings answer, as JSON has it; budget and order may change while it goes on."""
        asked = {
            "recipe": dict(self.content),
            "space": {name: dimension.model_dump() for name, dimension in self.space.items()},
            "stage": self.tune.stage, "metric": self.tune.metric, "grid": self.tune.method == "grid",
        }  # fmt: skip
        plain: dict[str, Any] = json.loads(json.dumps(asked))  # keys are texts, tuples lists
        return plain

    def grid(self) -> list[dict[str, Any]]:
        """Return the parameters of every point of the grid."""
        axes = [axis.grid(name) for name, axis in self.space.items()]
        return [{k: v for part in point for k, v in part.items()} for point in product(*axes)]

    def first(self) -> list[dict[str, Any]]:
        """Return what is tried before anything is guessed: the recipe's own values, and equal parts."""
        points: list[dict[str, Any]] = []
        given = {name: axis.given(name, self.known) for name, axis in self.space.items()}
        if all(own is not None for own in given.values()):
            points.append({k: v for own in given.values() for k, v in (own or {}).items()})
        for name, axis in self.space.items():
            if isinstance(axis, Simplex) and points:
                equal = points[0] | axis.equal(name)
                if any(abs(equal[key] - points[0][key]) > 1e-6 for key in axis.equal(name)):
                    points.append(equal)
        return points


def search_of(study: Study) -> Search:
    """Return the search that a study file describes.

    Raises:
        UserError: there is none, or anything in it is wrong.
    """
    if not study.tune:
        raise UserError("tune: is missing in the study file, so there is nothing to search")
    import_optuna()
    tune = parse(Tune, dict(study.tune), "tune")
    if tune.method != "grid" and tune.budget.runs is None and tune.budget.minutes is None:
        raise UserError(
            "tune.budget: is missing; allowed: {runs: 40}, {minutes: 30}, both, or method: grid"
        )
    recipe = _cell(study, tune.cell)
    content = _alone(recipe, tune)
    known = recipe_of(content, "tune").written_out()
    space = {name: dimension(name, described) for name, described in tune.space.items()}
    for name, axis in space.items():
        for place in (name, *axis.also):
            spelled = [f"{place}.{part}" for part in axis.parts] or [place]
            for each in spelled:
                refuse_unknown(known, each, f"tune.space.{name}")
    seeds = recipe_of(content, "tune").seeds
    again = tune.again
    if again is None:
        again = [max(seeds) + 1 + i for i in range(FRESH)]
    if set(again) & set(seeds):
        raise UserError(
            f"tune.again: found {again}; allowed: seeds that the search does not use ({seeds})"
        )
    search = Search(study.name, study.title, tune, space, content, known, tuple(again))
    for name in space:
        _refuse_useless(search, name)
    return search


def import_optuna() -> Any:
    """Return the module ``optuna``, silent.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(f"tune: needs optuna: pip install 'tutelage[study]' ({error})") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _cell(study: Study, name: str | None) -> Recipe:
    cells = {cell.name: cell.recipe for cell in study.cells}
    if name is None and len(cells) > 1:
        raise UserError(f"tune.cell: is missing; allowed: one of {', '.join(cells)}")
    if name is not None and name not in cells:
        raise unknown("tune.cell", "cell", name, cells)
    return cells[name] if name is not None else next(iter(cells.values()))


def _alone(recipe: Recipe, tune: Tune) -> dict[str, Any]:
    """Return the recipe's content with the tuned stage and those it needs, blind to the test split."""
    if recipe.protocol == "legacy":
        raise UserError(
            "protocol: found legacy, which chooses on the test split; a search allows honest only"
        )
    if tune.stage not in recipe.stages:
        raise unknown("tune.stage", "stage", tune.stage, recipe.stages)
    content = recipe.model_dump()
    if content["stages"][tune.stage]["seed"] is not None:
        raise UserError(
            f"stages.{tune.stage}.seed: is fixed, but its noise over seeds must be measured; remove it"
        )
    needed = recipe.needed_for(tune.stage)
    stages = {name: stage for name, stage in content["stages"].items() if name in needed}
    own = {"folds": tune.folds, "seeds": tune.seeds}
    return content | {
        "stages": stages, "protocol": "blind", "baseline": None, "transfer": {}, "evaluate": {},
        **{key: value for key, value in own.items() if value is not None},
    }  # fmt: skip


def _refuse_useless(search: Search, name: str) -> None:
    """Refuse a dimension that no stage feels, because the stage says the same itself."""
    from optuna.trial import FixedTrial

    axis = search.space[name]
    ends = [axis.suggest(FixedTrial(point), name) for point in axis.grid(name)]  # type: ignore[arg-type]
    felt = []
    for values in (ends[0], ends[-1]):
        known = search.recipe_at(values).written_out()
        felt.append({k: v for k, v in known.items() if k not in ("distiller", "train", "network")})
    if felt[0] == felt[1]:
        raise UserError(
            f"tune.space.{name}: changes nothing; stages.{search.tune.stage} says the same itself, so name "
            "that place"
        )
