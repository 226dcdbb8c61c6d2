"""The recipes of one data set put together: every method's stage beside shared teachers and the lone student."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.recipe.config import Recipe, load

SHARED = ("data", "split", "protocol", "standardise", "network")


@dataclass(frozen=True)
class Group:
    """Recipes that share data, split and reference: one experiment.

    Args:
        recipe: all their stages; each method's stage has the name of its recipe file.
        methods: names of the method stages, in the order of the files.
    """

    recipe: Recipe
    methods: list[str]


def method_stages(recipe: Recipe) -> list[str]:
    """Return the stages a recipe is about: the students that learn from teachers."""
    return [name for name in recipe.students() if recipe.stages[name].teachers]


def groups(paths: Iterable[Path], overrides: Sequence[str] = ()) -> list[Group]:
    """Return the recipes of these files, those with the same data and split joined into one.

    Args:
        paths: recipe files.
        overrides: ``key.path=value``, applied to each. A smaller budget also lets every stage cache its teachers.
    """
    found: list[tuple[Recipe, list[tuple[str, Recipe, str]]]] = []
    for path in sorted(paths, key=lambda path: path.stem):
        recipe = load(path, overrides)
        if overrides:
            kept = {
                name: stage.model_copy(update={"train": stage.train | {"teachers": "auto"}})
                for name, stage in recipe.stages.items()
            }
            recipe = recipe.model_copy(update={"stages": kept})
        stages = method_stages(recipe)
        named = [
            (path.stem if len(stages) == 1 else f"{path.stem}-{stage}", recipe, stage)
            for stage in stages
        ]
        for first, members in found:
            if all(getattr(first, key) == getattr(recipe, key) for key in SHARED):
                members.extend(named)
                break
        else:
            found.append((recipe, named))
    return [_joined(first, members) for first, members in found]


def _joined(first: Recipe, members: list[tuple[str, Recipe, str]]) -> Group:
    stages, modalities = {}, {}
    for name, recipe, stage in members:
        for key, modality in recipe.modalities.items():
            if modalities.setdefault(key, modality) != modality:
                raise SystemExit(f"{name}: modality {key!r} differs from that of another recipe")
        for other in recipe.stages:
            if other not in method_stages(recipe):
                resolved = _resolved(recipe, other)
                if stages.setdefault(other, resolved) != resolved:
                    raise SystemExit(f"{name}: stage {other!r} differs from that of another recipe")
        stages[name] = _resolved(recipe, stage)
    content = first.model_dump() | {
        "stages": stages,
        "modalities": modalities,
        "distiller": {},
        "title": "method matrix",
    }
    return Group(Recipe.model_validate(content), [name for name, _, _ in members])


def _resolved(recipe: Recipe, name: str) -> dict[str, object]:
    """Return a stage that says everything itself."""
    stage = recipe.stages[name].model_dump()
    stage["distiller"] = recipe.objectives(name)
    stage["train"] = recipe.train_settings(name).model_dump()
    stage["network"] = recipe.network_description(name)
    return stage
