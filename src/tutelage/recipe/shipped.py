"""The recipes that come with the package: which there are, and copies of them."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.errors import UserError, unknown
from tutelage.files import replacing
from tutelage.recipe.reader import read_yaml

__all__ = ["ShippedRecipe", "copied", "shipped"]


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe or study that comes with the package.

    Args:
        name: ``hapt/kd``.
        path: its file.
    """

    name: str
    path: Path

    @property
    def title(self) -> str:
        """What it says it is."""
        return str(read_yaml(self.path, "recipe").get("title", ""))

    @property
    def text(self) -> str:
        """The file, as it is written."""
        return self.path.read_text(encoding="utf-8")


def shipped() -> list[ShippedRecipe]:
    """Return all recipes, by name.

    Raises:
        UserError: they were left out of this installation.
    """
    # In a wheel they are in the package; in the repository, beside ``src``.
    package = Path(__file__).parents[1]
    places = (package / "recipes", package.parents[1] / "recipes")
    root = next((place for place in places if place.is_dir()), None)
    if root is None:
        raise UserError(f"recipes: found none in {places[0]}; install tutelage from a wheel again")
    return [
        ShippedRecipe(path.relative_to(root).with_suffix("").as_posix(), path)
        for path in sorted(root.rglob("*.yaml"))
    ]


def copied(name: str, to: Path) -> list[Path]:
    """Write a recipe below a folder, with the recipe that a study is made of; return what was written.

    The folders of its name are kept, because they name the run folder and a study finds its recipe by them.

    Args:
        name: ``hapt/kd``, or the name of a folder: all recipes in it.
        to: the folder.

    Raises:
        UserError: there is no such recipe, or another file is there already.
    """
    known = {one.name: one for one in shipped()}
    name = name.removesuffix(".yaml").removeprefix("recipes/").strip("/")
    wanted = [one for one in known if one == name or one.startswith(f"{name}/")]
    if not wanted:
        raise unknown("recipes", "recipe", name, known)
    for one in list(wanted):
        named = read_yaml(known[one].path, "recipe").get("recipe")
        if isinstance(named, str):
            path = (known[one].path.parent / named).resolve()
            wanted += [other.name for other in known.values() if other.path.resolve() == path]
    return [_written(known[one], to / f"{one}.yaml") for one in dict.fromkeys(wanted)]


def _written(recipe: ShippedRecipe, path: Path) -> Path:
    if path.exists() and path.read_text(encoding="utf-8") != recipe.text:
        raise UserError(
            f"{path}: another file is there already; take it away, or name another --to"
        )
    with replacing(path) as unfinished:
        unfinished.write_text(recipe.text, encoding="utf-8")
    return path
