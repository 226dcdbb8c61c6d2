"""What is installed without the repository: the wheel holds its recipes and begins anywhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools", minversion="77")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a folder that holds what the wheel holds, and nothing of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(name, source)
    for name in ("src", "recipes"):
        shutil.copytree(
            name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    code = f"from setuptools import build_meta; print(build_meta.build_wheel({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    shutil.rmtree(source)
    return folder / "site"


def tutelage(installed, folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    return subprocess.run([sys.executable, "-m", "tutelage", *map(str, arguments)], cwd=folder,
                          env=environment, capture_output=True, text=True, check=False)  # fmt: skip


@pytest.mark.slow
def test_the_wheel_holds_every_recipe_and_copies_them(installed, tmp_path):
    there = {
        path.relative_to(installed / "tutelage").as_posix() for path in installed.rglob("*.yaml")
    }
    assert there == {path.as_posix() for path in Path("recipes").rglob("*.yaml")}
    for name in (
        "report/templates/page.html.j2",
        "report/templates/style.css",
        "study/start/recipe.yaml.j2",
    ):
        assert (installed / "tutelage" / name).is_file()
    listed = tutelage(installed, tmp_path, "recipes")
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == len(there)
    copied = tutelage(installed, tmp_path, "recipes", "hapt/studies/methods", "--to", ".")
    assert copied.stdout.splitlines() == ["hapt/studies/methods.yaml", "hapt/three-teachers.yaml"]
    for name in copied.stdout.splitlines():
        assert (tmp_path / name).read_text() == Path("recipes", name).read_text()


@pytest.mark.slow
def test_a_study_begins_in_an_empty_folder(installed, tmp_path):
    made = tutelage(installed, tmp_path, "new", "mine")
    assert made.returncode == 0, made.stderr
    wrong = tutelage(installed, tmp_path, "run", "mine/study.yaml")
    assert wrong.stderr == (
        "error: mine/study.yaml: is a study, not a recipe; tutelage study run mine/study.yaml carries it out\n"
    )
    seen = tutelage(installed, tmp_path, "doctor").stdout
    assert f"tutelage        0.1.0, {installed}" in seen
