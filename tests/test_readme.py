import re
from pathlib import Path

import pytest

from tutelage.cli.root import app

README = Path("README.md").read_text()


def test_the_python_example_runs():
    code, recipes = re.findall(r"```python\n(.*?)```", Path("docs/python.md").read_text(), re.S)
    exec(recipes, {})
    names: dict[str, object] = {}
    exec(code, names)
    assert names["losses"].total.shape == (64,)
    assert len(code.splitlines()) <= 28


def names_of(commands):
    return {one.name or one.callback.__name__.strip("_") for one in commands.registered_commands}


def test_every_command_and_every_linked_file_exists():
    groups = {group.name: names_of(group.typer_instance) for group in app.registered_groups}
    for command, inner in re.findall(r"^tutelage (\w+) +(\w+)?", README, re.M):
        assert inner in groups[command] if command in groups else command in names_of(app)
    for link in re.findall(r"\]\(([\w./-]+)\)", README):
        assert Path(link).exists(), link
    makefile = Path("Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert f"\n{target}:" in makefile


def test_relative_links_of_the_docs_exist():
    for page in Path("docs").rglob("*.md"):
        for link in re.findall(r"\]\(([\w./-]+\.(?:md|png))\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


@pytest.mark.parametrize(("page", "needs"), [("methods/labo", None), ("encoders", "open_clip")])
def test_the_python_of_a_guide_runs(page, needs):
    if needs:
        pytest.importorskip(needs)
    for code in re.findall(r"```python\n(.*?)```", Path("docs", f"{page}.md").read_text(), re.S):
        exec(code, {})
