"""The recipe file: its keys, their types, and one sentence for every mistake."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from tutelage.errors import UserError, near, quoted, unknown
from tutelage.recipe.keys import Described, Evaluate, Labelled, Stage, Strict, Train
from tutelage.recipe.names import refuse_names
from tutelage.recipe.reader import merge, read_override, read_yaml
from tutelage.recipe.stored_answers import StoredAnswers, check_stored

Model = TypeVar("Model", bound=BaseModel)
Protocol = Literal["honest", "legacy", "blind", "refit"]
"""What is known of the test side; ``refit``: there is none, everybody trains."""

__all__ = ["Protocol", "Recipe", "load", "parse", "refuse_refit"]


class Recipe(Strict):
    """A whole experiment: data, split, modalities and stages."""

    title: str = ""
    data: Described
    split: Described
    labelled: Labelled | None = None
    folds: Literal["all"] | list[int] = Field(default=[0])
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]] = Field(default=[0])
    protocol: Protocol = "honest"
    standardise: Literal["global", "within_window"] = "global"
    modalities: dict[str, Described] = Field(default={})
    network: Described = Field(default={"type": "WideResNet", "depth": 16, "width": 1})
    crop: int | None = Field(None, ge=1)
    train: Train = Train()
    distiller: dict[str, Described] = Field(default={})
    stages: dict[str, Stage]
    baseline: str | None = None
    groups: Literal["base_novel"] | dict[str, list[str]] = Field(default={})
    transfer: dict[str, Described] = Field(default={})
    encoders: dict[str, Described] = Field(default={})
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        """Let ``seed: 3`` stand for ``seeds: [3]``."""
        if isinstance(value, dict) and "seed" in value:
            value = dict(value)
            value["seeds"] = [value.pop("seed")]
        return value

    @model_validator(mode="before")
    @classmethod
    def _encoders(cls, value: Any) -> Any:
        """Let ``encoder: large`` stand for what ``encoders`` says of ``large``."""
        known = value.get("encoders") if isinstance(value, dict) else None
        if not isinstance(known, dict):
            return value
        rest = {key: item for key, item in value.items() if key != "encoders"}
        return _spelled_out(rest, known) | {"encoders": known}

    @field_validator("distiller", mode="before")
    @classmethod
    def _taken_out(cls, value: Any) -> Any:
        """Let null take an objective out here as in a stage: a cell of a study or an override may write it."""
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in value.items() if item is not None}

    @model_validator(mode="after")
    def _names(self) -> "Recipe":
        for key in ("stages", "modalities", "groups", "transfer", "encoders"):
            named = getattr(self, key)
            refuse_names(named if isinstance(named, dict) else (), key)
        if self.folds != "all" and len(set(self.folds)) != len(self.folds or [0, 0]):
            raise UserError(
                f"folds: {quoted(self.folds)} must be all, or a list of different numbers"
            )
        for name, stage in self.stages.items():
            _check_stage(name, stage, self.stages)
            if stage.stored:
                check_stored(name, stage, self.modalities)
        if self.baseline is not None and self.baseline not in self.stages:
            raise unknown("baseline", "stage", self.baseline, self.stages)
        if not self.stages:
            raise UserError("stages: there is none, so nothing would be trained")
        _refuse_circles(self.stages)
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UserError(
                f"seeds: {quoted(self.seeds)} must be a list of different whole numbers"
            )
        return self

    def inputs(self) -> dict[str, Described]:
        """Return all modalities: those that are made from the data, and the stored answers of teachers."""
        return {
            **self.modalities,
            **{n: s.stored.modality() for n, s in self.stages.items() if s.stored},
        }

    def train_settings(self, name: str) -> Train:
        """Return the training settings of a stage: the recipe's, with the stage's own on top; none for answers."""
        if self.stages[name].stored:
            return Train(epochs=0)
        merged = merge(self.train.model_dump(), self.stages[name].train)
        return parse(Train, merged, f"stages.{name}.train")

    def objectives(self, name: str) -> dict[str, Described]:
        """Return the objectives of a stage.

        A stage with teachers takes the recipe's distiller, with its own on top; an objective set to
        null is taken out. A stage without teachers learns from labels unless it says otherwise.
        """
        stage = self.stages[name]
        default = self.distiller if stage.teachers else {"labels": {"type": "Labels"}}
        merged = merge(default, stage.distiller)
        return {key: value for key, value in merged.items() if value is not None}

    def network_description(self, name: str) -> Described:
        """Return the network of a stage: the recipe's, its own, or, without a ``type``, the recipe's changed."""
        own = self.stages[name].network
        if self.stages[name].stored:
            return {"type": "Answered"}
        if own and "type" not in own:
            return merge(self.network, own)
        return dict(own or self.network)

    def written_out(self) -> dict[str, Any]:
        """Return the content with everything that a stage takes from the recipe written into the stage."""
        content = self.model_dump()
        for name, stage in content["stages"].items():
            stage |= {
                "distiller": self.objectives(name),
                "train": self.train_settings(name).model_dump(),
                "network": self.network_description(name),
            }
        return content

    @property
    def untested(self) -> "Recipe":
        """The same recipe without what may be evaluated later, when everything is trained."""
        return self.model_copy(update={"evaluate": Evaluate()})

    def needed_for(self, name: str) -> set[str]:
        """Return a stage, those it learns from or starts from, and those that they need."""
        stage = self.stages[name]
        needed = [*stage.teachers, *([stage.start_from] if stage.start_from else [])]
        return {name}.union(*(self.needed_for(other) for other in needed))

    def reference(self) -> str:
        """Return the stage that differences are taken against.

        That is ``baseline``, else the first stage that learns from labels alone and teaches nobody.
        """
        alone = [name for name, stage in self.stages.items() if not stage.teachers]
        used = self.teachers()
        return self.baseline or next((name for name in alone if name not in used), alone[0])

    def students(self) -> list[str]:
        """Return the stages to compare: the reference, and every stage that nobody uses as a teacher."""
        used = set(self.teachers())
        return [name for name in self.stages if name == self.reference() or name not in used]

    def teachers(self) -> list[str]:
        """Return the stages that other stages learn from, in the order of the recipe."""
        used = {teacher for stage in self.stages.values() for teacher in stage.teachers}
        return [name for name in self.stages if name in used]


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and apply ``key.path=value`` overrides.

    Raises:
        UserError: the file is missing or no YAML, or anything in it is wrong; one sentence.
    """
    content = read_yaml(path, "recipe")
    if "recipe" in content and "stages" not in content:
        raise UserError(
            f"{path}: is a study, not a recipe; tutelage study run {path} carries it out"
        )
    for override in overrides:
        content = merge(content, read_override(override))
    return refuse_refit(parse(Recipe, content, ""))


def refuse_refit(recipe: Recipe) -> Recipe:
    """Return a recipe that somebody wrote, which cannot ask for a network without a test.

    Raises:
        UserError: it does.
    """
    if recipe.protocol == "refit":
        raise UserError(
            "protocol: found refit, which tutelage ship --refit writes itself (allowed: honest, legacy, blind)"
        )
    return recipe


def parse(model: type[Model], content: Any, place: str) -> Model:
    """Validate a mapping; a mistake becomes one sentence.

    Raises:
        UserError: place, what was found, what is allowed, and the near name.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _sentence(model, error, place) from error


def _spelled_out(item: Any, encoders: Mapping[str, Any]) -> Any:
    """Return a recipe's content with the names of encoders replaced by what they stand for."""
    if isinstance(item, list):
        return [_spelled_out(part, encoders) for part in item]
    if not isinstance(item, dict):
        return item
    return {
        key: encoders[part]
        if key == "encoder" and isinstance(part, str) and part in encoders
        else _spelled_out(part, encoders)
        for key, part in item.items()
    }


def _check_stage(name: str, stage: Stage, stages: Mapping[str, Stage]) -> None:
    place = f"stages.{name}"
    others = [other for other in stages if other != name]
    for teacher in stage.teachers:
        if teacher not in others:
            raise unknown(f"{place}.teachers", "stage", teacher, others)
    if stage.start_from is not None and stage.start_from not in others:
        raise unknown(f"{place}.start_from", "stage", stage.start_from, others)
    if len(set(stage.teachers)) != len(stage.teachers):
        raise UserError(f"{place}.teachers: {stage.teachers} names one teacher twice")
    if stage.train_classes and stage.classes:
        raise UserError(
            f"{place}.train_classes: found classes as well, whose samples alone are tested; allowed is one of both"
        )
    given = (
        "teachers",
        "start_from",
        "quantise",
        "train",
        "train_classes",
        "shots",
        "draw",
        "shown",
        "unlabelled",
    )
    stated = [key for key in given if getattr(stage, key)]
    if stage.run is not None and stated:
        raise UserError(
            f"{place}.run: an earlier run is taken as it is; remove {', '.join(stated)}"
        )


def _refuse_circles(stages: Mapping[str, Stage]) -> None:
    graph = {
        name: [*stage.teachers, *([stage.start_from] if stage.start_from else [])]
        for name, stage in stages.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise UserError(
            f"stages: {' -> '.join(error.args[1])} need each other in a circle"
        ) from error


def _sentence(model: type[BaseModel], error: ValidationError, place: str) -> UserError:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return cause
    loc = [str(part) for part in first["loc"]]
    where = ".".join(part for part in (place, *loc) if part)
    if first["type"] == "extra_forbidden":
        parent = ".".join(part for part in (place, *loc[:-1]) if part) or "recipe"
        return unknown(parent, "key", loc[-1], _fields(model, loc[:-1]))
    if first["type"] == "missing":
        return UserError(f"{where}: is missing{_hint(model, loc, first['input'])}")
    return UserError(
        f"{where}: found {quoted(first['input'])}; {first['msg'][0].lower()}{first['msg'][1:200]}"
    )


def _fields(model: type[BaseModel], loc: Sequence[str]) -> list[str]:
    """Return the keys that are allowed at a place inside a model."""
    names: dict[str, type[BaseModel]] = {
        "stages": Stage, "train": Train, "evaluate": Evaluate, "labelled": Labelled,
        "stored": StoredAnswers,
    }  # fmt: skip
    for part in loc:
        model = names.get(part, model)
    extra = ["seed"] if model is Recipe else []
    return [*model.model_fields, *extra]


def _hint(model: type[BaseModel], loc: Sequence[str], found: Any) -> str:
    return near(loc[-1], found) if isinstance(found, Mapping) else ""
