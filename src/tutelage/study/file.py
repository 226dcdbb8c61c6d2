"""The study file: one recipe, laid out over named axes; every point of them is an experiment of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from pydantic_core import to_jsonable_python

from tutelage.errors import UserError, unknown
from tutelage.execution.storage import own_name
from tutelage.recipe.config import Recipe, parse, refuse_refit
from tutelage.recipe.keys import Strict
from tutelage.recipe.names import refuse_names
from tutelage.recipe.reader import folder_name, merge, read_override, read_yaml
from tutelage.runs.records import STUDY, CellRecord, StudyRecord
from tutelage.runs.schema import write

__all__ = ["Cell", "Study", "lay", "load_study", "own_study", "recipe_of", "write_study"]

RESERVED = ("audit", "report", "table", "tables", "transfer", "tune")
"""Names that no cell may have: what commands write into the folder of a study."""

_NAME = r"[A-Za-z0-9][\w.+=-]*"


class _File(Strict):
    title: str = ""
    recipe: str | dict[str, Any]
    set: dict[str, Any] = Field(default_factory=dict)
    vary: dict[str, dict[str, dict[str, Any] | None]] = Field(default_factory=dict)
    skip: list[dict[str, str | list[str]]] = Field(default_factory=list)
    table: dict[str, Any] = Field(default_factory=dict)
    tune: dict[str, Any] = Field(default_factory=dict)

    @field_validator("vary", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Let a number be the name of a value: ``{0.1: {...}, 0.5: {...}}``."""
        if not isinstance(value, dict):
            return value
        return {str(axis): _named(values) for axis, values in value.items()}

    @field_validator("skip", mode="before")
    @classmethod
    def _skipped(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [_named(point, also_values=True) for point in value]


@dataclass(frozen=True)
class Cell:
    """One point of a study: an ordinary experiment in a folder of its own.

    Args:
        name: of the folder inside the study's.
        at: axis -> name of the value here.
        recipe: what is carried out.
    """

    name: str
    at: Mapping[str, str]
    recipe: Recipe


@dataclass(frozen=True)
class Study:
    """A study file, read.

    Args:
        name: of the folder below the runs, ``<folder>-<file>``.
        title: for people.
        content: of the recipe, with ``set`` laid over it; what every cell begins with.
        axes: axis -> names of its values, in order.
        cells: every point that is not skipped.
        table: how the table is laid out; :mod:`tutelage.report.study.table` reads it.
        tune: what is searched; :mod:`tutelage.study.tune` reads it.
        resolved: the whole file, with the recipe in it.
    """

    name: str
    title: str
    content: Mapping[str, Any]
    axes: Mapping[str, tuple[str, ...]]
    cells: tuple[Cell, ...]
    table: Mapping[str, Any]
    tune: Mapping[str, Any]
    resolved: Mapping[str, Any]


def load_study(path: Path, overrides: Sequence[str] = (), name: str | None = None) -> Study:
    """Read a study file and apply ``key.path=value`` overrides.

    Args:
        path: the file.
        overrides: changes to it, such as ``set.train.epochs=2``.
        name: of the study; by default made from the path, and from the overrides if there are any.

    Raises:
        UserError: the file is missing or no YAML, or anything in it is wrong; one sentence.
    """
    refuse_names([] if name is None else [name], "--name")
    content = read_yaml(path, "study")
    if "stages" in content and "recipe" not in content:
        raise UserError(f"{path}: is a recipe, not a study; tutelage run {path} carries it out")
    for override in overrides:
        content = merge(content, read_override(override))
    file = parse(_File, content, "study")
    recipe = file.recipe
    if isinstance(recipe, str):
        recipe = read_yaml(path.parent / recipe, "recipe")
    base = lay(recipe, file.set)
    resolved = file.model_dump() | {"recipe": recipe}
    return Study(
        name or _name(path, overrides), file.title or str(base.get("title", "")), base,
        {axis: tuple(values) for axis, values in file.vary.items()},
        tuple(_cells(file, base)), file.table, file.tune, resolved,
    )  # fmt: skip


def lay(content: Mapping[str, Any], patch: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a recipe's content with a patch laid over it.

    Args:
        content: keys of a recipe.
        patch: keys to change; ``train.epochs: 5`` may stand for ``train: {epochs: 5}``, and a stage that is null
            is taken out.
    """
    for key, value in (patch or {}).items():
        item = value
        for part in reversed(key.split(".")):
            item = {part: item}
        content = merge(content, item)
    stages = content.get("stages")
    if not isinstance(stages, Mapping):
        return dict(content)
    kept = {name: stage for name, stage in stages.items() if stage is not None}
    return {**content, "stages": kept}


def recipe_of(content: Mapping[str, Any], place: str) -> Recipe:
    """Return the recipe of a point of a study.

    Raises:
        UserError: it is wrong; the sentence begins with the place.
    """
    try:
        return refuse_refit(parse(Recipe, content, ""))
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def write_study(study: Study, folder: Path, code: Mapping[str, Any]) -> None:
    """Write what a study consists of, ``study.json``, before its first run.

    Args:
        study: the study.
        folder: of the study.
        code: version and commit.
    """
    record = StudyRecord(
        schema=1,
        name=study.name,
        title=study.title,
        resolved=study.resolved,
        axes={axis: tuple(values) for axis, values in study.axes.items()},
        cells=tuple(CellRecord(cell.name, dict(cell.at), cell.name) for cell in study.cells),
        code=dict(code),
    )
    write(STUDY, folder / "study.json", record)


def own_study(study: Study, runs: Path) -> Study:
    """Return a study with a folder of its own where another file of its name has left ``study.json``.

    Args:
        study: the study, named by its file.
        runs: root of all experiments.
    """
    name = own_name(
        runs / study.name / "study.json", study.name, to_jsonable_python(study.resolved),
        lambda content: _trained(parse(_File, content, "study")),
    )  # fmt: skip
    return replace(study, name=name)


def _trained(file: _File) -> _File:
    """Return a study file without what may be evaluated later, when everything is trained."""

    def kept(content: Mapping[str, Any]) -> dict[str, Any]:
        return {key: item for key, item in content.items() if key.partition(".")[0] != "evaluate"}

    recipe = file.recipe if isinstance(file.recipe, str) else kept(file.recipe)
    return file.model_copy(update={"recipe": recipe, "set": kept(file.set)})


def _cells(file: _File, base: Mapping[str, Any]) -> list[Cell]:
    if not file.vary:
        return [Cell("all", {}, recipe_of(base, "study"))]
    _check_names(file)
    cells: list[Cell] = []
    for names in product(*file.vary.values()):
        at = dict(zip(file.vary, names, strict=True))
        if any(_inside(at, point) for point in file.skip):
            continue
        name = "_".join(names)
        if name in RESERVED or name in {cell.name for cell in cells}:
            raise UserError(
                f"vary: two folders of the study would be called {name!r}; give a value another name"
            )
        content = base
        for axis, value in at.items():
            content = lay(content, file.vary[axis][value])
        cells.append(Cell(name, at, recipe_of(content, f"cell {name}")))
    if not cells:
        raise UserError("skip: leaves nothing to do")
    refuse_names([cell.name for cell in cells], "vary")
    return cells


def _check_names(file: _File) -> None:
    for axis, values in file.vary.items():
        for name in (axis, *values):
            if not re.fullmatch(_NAME, name):
                raise UserError(
                    f"vary.{axis}: found the name {name!r}; allowed: letters, digits and _ . + = - inside"
                )
        if not values:
            raise UserError(f"vary.{axis}: has no values; give one at least, or remove the axis")
    for number, point in enumerate(file.skip):
        _check_point(file, point, f"skip.{number}")


def _check_point(file: _File, point: Mapping[str, str | list[str]], place: str) -> None:
    if not point:
        raise UserError(f"{place}: names no axis, so everything would be skipped")
    for axis, wanted in point.items():
        if axis not in file.vary:
            raise unknown(place, "axis", axis, file.vary)
        for value in _listed(wanted):
            if value not in file.vary[axis]:
                raise unknown(f"{place}.{axis}", "value", value, file.vary[axis])


def _inside(at: Mapping[str, str], point: Mapping[str, str | list[str]]) -> bool:
    return all(at[axis] in _listed(wanted) for axis, wanted in point.items())


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _named(values: Any, *, also_values: bool = False) -> Any:
    if not isinstance(values, dict):
        return values
    return {str(key): _text(item) if also_values else item for key, item in values.items()}


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(item) for item in value]
    return str(value) if isinstance(value, int | float) else value


def _name(path: Path, overrides: Sequence[str]) -> str:
    folder = path.resolve().parent
    return folder_name(
        path, overrides, (folder.parent if folder.name == "studies" else folder).name
    )
