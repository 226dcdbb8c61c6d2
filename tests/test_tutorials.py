"""Tutorials: a page is its script, and every script runs and ends with a figure."""

import importlib.util
import re
from pathlib import Path

import pytest

from tutelage.data import Hapt
from tutelage.errors import UserError

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
spec = importlib.util.spec_from_file_location("render", TUTORIALS / "render.py")
render = importlib.util.module_from_spec(spec)
spec.loader.exec_module(render)
SCRIPTS = render.scripts()
NEEDS = {"wrist": ("onnxruntime", "onnxscript"), "paper-table": ("openpyxl",)}


def test_cells_are_read_and_shown_with_the_end_of_what_they_said():
    script = (
        "# %% [markdown]\n# # Title\n#\n#     code\n\n# %%\nx = 1\n# note\n\n"
        '# %% language="bash"\n# echo "# %%"\n'
    )
    text, code, command = render.cells(script)
    assert (text.kind, text.text) == ("markdown", "# Title\n\n    code")
    assert (code.kind, code.text) == ("python", "x = 1\n# note")
    assert (command.kind, command.text) == ("bash", 'echo "# %%"')
    long = "\n".join(map(str, range(30)))
    page = render.shown(command, long)
    assert page.startswith('```bash\necho "# %%"\n```\n\n```text\n...\n10\n')
    assert page.endswith("\n29\n```\n\n")
    assert render.bare(page) == render.shown(command) + "\n"


def test_names_live_on_and_a_command_that_fails_is_an_error():
    names = {}
    assert render.python("x = 2", names) == ""
    assert render.python("print(x * 21)", names) == "42\n"
    assert render.commands("echo one; echo two >&2") == "one\ntwo\n"
    with pytest.raises(RuntimeError, match="gone"):
        render.commands("echo gone; false; echo on")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_page_shows_its_script_and_a_figure(script):
    page = script.with_suffix(".md").read_text()
    written = "".join(render.shown(cell) for cell in render.cells(script.read_text()))
    again = f"run: make tutorials NAMES={script.stem}"
    assert render.bare(page).strip() == written.strip(), again
    figures = re.findall(r"!\[[^\]]+\]\(([\w-]+\.png)\)", page)
    assert figures and all((TUTORIALS / name).is_file() for name in figures), again


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_tutorial_runs(script, tmp_path):
    for needed in NEEDS.get(script.stem, ()):
        pytest.importorskip(needed)
    if script.stem == "wrist":
        try:
            Hapt().load()
        except UserError as error:
            pytest.skip(f"HAPT is not to be had: {error}")
    page = render.run(script, tmp_path)
    assert (tmp_path / f"{script.stem}.png").stat().st_size > 10_000
    assert render.bare(page) == render.bare(script.with_suffix(".md").read_text())
