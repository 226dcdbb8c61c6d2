import re
from pathlib import Path

import pytest

from tutelage.cli import app

README = Path("README.md").read_text()


def test_the_python_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["losses"].total.shape == (64,)
    assert len(code.splitlines()) <= 28


def test_every_command_and_every_linked_file_exists():
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    for command in re.findall(r"^tutelage (\w+)", README, re.M):
        assert command in commands
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
