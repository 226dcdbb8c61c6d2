"""The commands to begin with."""

from pathlib import Path

from typer.testing import CliRunner

from tests.data.recordings.made import put, table
from tutelage.cli import machine
from tutelage.cli.root import app


def tutelage(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_recipes_are_listed_and_copied(tmp_path):
    listed = tutelage("recipes").output.splitlines()
    assert len(listed) == len(list(Path("recipes").rglob("*.yaml")))
    assert tutelage("recipes", "digits").output.startswith("digits/cct  ")
    copied = tutelage("recipes", "hapt/kd", "digits", "--to", tmp_path)
    assert copied.exit_code == 0, copied.output
    assert (tmp_path / "hapt" / "kd.yaml").read_text() == Path("recipes/hapt/kd.yaml").read_text()
    assert (tmp_path / "digits" / "cct.yaml").is_file()
    (tmp_path / "hapt" / "kd.yaml").write_text("mine")
    assert (
        "another file is there already" in tutelage("recipes", "hapt/kd", "--to", tmp_path).output
    )
    for option in ((), ("--to", tmp_path)):
        wrong = tutelage("recipes", "hapt/kdd", *option)
        assert wrong.exit_code == 2
        assert "unknown recipe 'hapt/kdd'; did you mean 'hapt/kd'" in wrong.output


def test_new_writes_a_study_and_says_what_comes_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for who in "abcd":
        put(table(seconds=12), tmp_path / "raw" / f"{who}.csv")
    made = tutelage("new", "--from", "raw", "mine")
    assert made.exit_code == 0, made.output
    assert "tutelage check mine/recipe.yaml" in made.output.replace("\\", "/")
    shown = tutelage("data", "mine/recipe.yaml", "--data", tmp_path / "home")
    assert "recordings: 24 windows of 2 x 128, 50 Hz, 4 subjects" in shown.output


def test_doctor_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(machine.metadata, "requires", lambda _: [
        "numpy>=2.0", 'nothing-like-it>=1; extra == "tables"', "numpy>=1; extra == 'export'", 'x; extra == "dev"',
    ])  # fmt: skip
    assert machine.extras() == {"tables": ["nothing-like-it"], "export": []}
    said = tutelage("doctor").output
    assert "missing: nothing-like-it (pip install 'tutelage[tables]')" in said
    assert "extra export    installed" in said
    for name in ("python", "cores", "memory", "processor", "GPU"):
        assert f"\n{name} " in said


def test_shells_complete():
    assert "--install-completion" in tutelage("--help").output
