"""What pyproject.toml cannot say: a wheel contains the recipes, which stand beside the package."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithRecipes(build_py):
    """Copies ``recipes/`` into the package that is built, as ``tutelage/recipes``."""

    def run(self) -> None:
        """Build, then copy; an editable installation finds them where they are."""
        super().run()
        if self.editable_mode:
            return
        for path in sorted(Path("recipes").rglob("*.yaml")):
            target = Path(self.build_lib, "tutelage", path)
            self.mkpath(str(target.parent))
            self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": WithRecipes})
