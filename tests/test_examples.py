"""The scripts of examples/ run, and their students learn."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = {
    "plain_loop": (),
    "lightning_module": ("pytorch_lightning",),
    "hugging_face_trainer": ("transformers", "accelerate"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_student_of_an_example_learns(name, monkeypatch, capsys):
    for needed in SCRIPTS[name]:
        pytest.importorskip(needed)
    monkeypatch.syspath_prepend("examples")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "6"])
    runpy.run_path(f"examples/{name}.py", run_name="__main__")
    said = dict(
        line.split() for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2
    )
    assert float(said["student"]) > 0.5  # six classes: 0.17 is chance


def test_examples_are_short_and_linked():
    start = Path("docs/python.md").read_text()
    for name in SCRIPTS:
        assert len(Path(f"examples/{name}.py").read_text().splitlines()) < 80
        assert f"examples/{name}.py" in start
