"""``import tutelage``: a short list of names, and nothing heavy before one is asked for."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import tutelage

HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "numba", "matplotlib", "pydantic", "yaml")


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_it_imports_nothing_heavy():
    loaded = f"import sys, tutelage; print([m for m in {HEAVY} if m in sys.modules])"
    assert python(loaded) == "[]"


def test_every_name_of_the_face_is_there_and_is_what_it_says():
    from tutelage.execution.run import execute
    from tutelage.models import On
    from tutelage.recipe.config import load

    assert tutelage.run is execute
    assert tutelage.load_recipe is load
    assert tutelage.On is On
    assert all(getattr(tutelage, name) is not None for name in tutelage.__all__)
    assert {*tutelage.__all__, "__version__"} == set(dir(tutelage))
    assert tutelage.__doc__.startswith("Tutelage: many teachers, one small student")


def test_what_editors_are_told_is_what_is_given():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(tutelage.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {}
    for node in block.body:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}" if node.module == "tutelage" else node.module
            told[alias.asname] = whole if node.module == "tutelage" else f"{whole}:{alias.name}"
    assert told == tutelage._PLACES


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="module 'tutelage' has no attribute 'Student'"):
        tutelage.Student  # noqa: B018


@pytest.mark.parametrize("module", ["tutelage", "tutelage.cli", "tutelage.cli.root"])
def test_the_command_is_also_a_module(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"tutelage {tutelage.__version__}\n"


def test_what_runs_are_planned_with_comes_without_what_only_training_needs():
    """Lightning imports torchmetrics, torchvision and transformers where they are installed."""
    late = ("lightning_fabric", "torchmetrics", "torchvision", "transformers", "matplotlib")
    code = f"import sys, tutelage.execution.run; print([m for m in {late} if m in sys.modules])"
    assert python(code) == "[]"


def test_every_public_class_name_stands_once():
    names = [
        name for path in Path("src/tutelage").rglob("*.py")
        for name in re.findall(r"^class ([A-Za-z]\w*)", path.read_text(), re.M)
    ]  # fmt: skip
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_no_file_is_longer_than_a_person_reads():
    lengths = {path: len(path.read_text().splitlines()) for path in Path("src").rglob("*.py")}
    assert {str(path): n for path, n in lengths.items() if n > 350} == {}
