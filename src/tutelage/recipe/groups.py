"""Groups of classes: which of them a stage is taught, and which are evaluated apart."""

from collections.abc import Sequence

from tutelage.errors import UserError, unknown
from tutelage.recipe.config import Recipe

__all__ = ["groups_of", "taught"]


def groups_of(recipe: Recipe, class_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of each group; none where the recipe states no groups.

    Raises:
        UserError: a name is no class, or a group is empty.
    """
    if recipe.groups == "base_novel":
        if len(class_names) < 2:
            raise UserError(
                f"groups: base_novel needs at least 2 classes (found: {len(class_names)})"
            )
        # The first half in the order of class numbers, the larger one of an odd number: as published.
        half = -(-len(class_names) // 2)
        return {"base": tuple(class_names[:half]), "novel": tuple(class_names[half:])}
    for group, names in recipe.groups.items():
        if not names:
            raise UserError(f"groups.{group}: found no classes; allowed: at least one")
        for name in names:
            if name not in class_names:
                raise unknown(f"groups.{group}", "class", name, class_names)
    return {group: tuple(dict.fromkeys(names)) for group, names in recipe.groups.items()}


def taught(recipe: Recipe, name: str, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that a stage is trained and chosen on; none for all.

    Raises:
        UserError: there is no such group or class.
    """
    wanted = recipe.stages[name].train_classes
    place = f"stages.{name}.train_classes"
    if isinstance(wanted, str):
        groups = groups_of(recipe, class_names)
        if wanted not in groups:
            raise unknown(place, "group", wanted, groups)
        return groups[wanted]
    for class_name in wanted:
        if class_name not in class_names:
            raise unknown(place, "class", class_name, class_names)
    return tuple(wanted)
