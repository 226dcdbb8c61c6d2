import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.data.recordings.made import put as put_table
from tests.data.recordings.made import table
from tests.recipe.test_mistakes import put
from tests.training.small import write
from tutelage import checkpoint
from tutelage.cli.groups import WholeGroup
from tutelage.cli.root import SLOTS, app

runner = CliRunner()


def tutelage(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    path = write(folder, put("train.epochs", 1))
    return folder, path, tutelage("run", path, "--runs", folder / "runs", "--device", "cpu")


def test_run_trains_reports_and_says_where(ran):
    folder, _, result = ran
    assert result.exit_code == 0, result.output
    page = folder / "runs" / f"{folder.name}-recipe" / "report" / "index.html"
    assert page.is_file()
    assert "base, fold-1-of-3, seed 0: trained: validation" in result.output.replace("\n", " ")
    assert "not distinguishable" in result.output.replace(
        "\n", " "
    ) or "n = 1" in result.output.replace("\n", " ")


def test_report_can_be_made_again_elsewhere(ran, tmp_path):
    folder, _, _ = ran
    result = tutelage("report", folder / "runs" / f"{folder.name}-recipe", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    html = (tmp_path / "index.html").read_text()
    assert "<h1" in html
    assert 'src="http' not in html


def test_an_override_is_another_experiment(ran):
    folder, path, _ = ran
    result = tutelage(
        "run",
        path,
        "distiller.soft.coefficient=0.25",
        "--runs",
        folder / "runs",
        "--device",
        "cpu",
        "-v",
    )
    assert result.exit_code == 0, result.output
    assert len(list((folder / "runs").glob(f"{folder.name}-recipe*"))) == 2
    assert "sig, fold-1-of-3, seed 0: found" in result.output.replace("\n", " ")


def test_check_says_what_trained_teachers_know(ran):
    folder, path, _ = ran
    result = tutelage("check", path, "--teachers", "--runs", folder / "runs", "--device", "cpu")
    said = " ".join(result.output.split())
    assert result.exit_code == 0, result.output
    assert "gaf, pi, sig, for base, annsp" in said and "mixture" in said and "on validation" in said
    numbers = folder / "runs" / f"{folder.name}-recipe-teachers" / "teachers" / "teachers.csv"
    names = [line.split(",")[0] for line in numbers.read_text().splitlines()[1:]]
    assert names[:4] == ["alone", "gaf", "pi", "sig"] and names[-1] == "oracle"
    assert "the recipe's weights" in names and "without pi" in names


def test_check_says_which_teachers_are_missing(ran, tmp_path):
    _, path, _ = ran
    asked = ("check", path, "--teachers", "--runs", tmp_path, "--device", "cpu")
    result = tutelage(*asked)
    said = " ".join(result.output.split())
    assert result.exit_code == 2 and "not trained yet: sig (fold-1-of-3, seed 0)" in said
    assert not list(tmp_path.rglob("run.json"))
    assert "--train: found without --teachers" in tutelage("check", path, "--train").output


@pytest.mark.slow
def test_check_trains_teachers_and_the_student_alone_where_it_is_told(ran, tmp_path):
    _, path, _ = ran
    result = tutelage(
        "check", path, "--teachers", "--train", "--runs", tmp_path, "--device", "cpu", "--jobs", 1
    )
    assert result.exit_code == 0, result.output
    stages = {file.parents[1].name for file in tmp_path.rglob("run.json")}
    assert stages <= {"sig", "pi", "gaf", "alone"} and {"pi", "gaf"} <= stages


def test_check_prints_the_reach_of_every_objective(ran):
    _, path, _ = ran
    result = tutelage("check", path)
    assert result.exit_code == 0, result.output
    assert "sound" in result.output
    assert "similarity" in result.output


def test_mistakes_are_one_sentence_and_exit_code_2(tmp_path):
    path = write(tmp_path, put("train.epoch", 3))
    for command in ("run", "check"):
        result = tutelage(command, path)
        assert result.exit_code == 2
        assert "error: train: unknown key 'epoch'; did you mean 'epochs'" in result.output
        assert "Traceback" not in result.output


def test_a_failed_run_is_exit_code_1(tmp_path):
    def change(content):
        content["stages"] = {"alone": {}, "bad": {"train": {"learning_rate": 1e9}}}

    result = tutelage(
        "run", write(tmp_path, change), "--runs", tmp_path / "runs", "--device", "cpu"
    )
    assert result.exit_code == 1, result.output
    assert "failed" in result.output


def test_list_names_everything_that_type_may_be():
    result = tutelage("list")
    assert result.exit_code == 0
    for name in ("SoftTargets", "PersistenceImage", "Hapt", "GroupedFolds", "WideResNet", "Cosine"):
        assert name in result.output
    assert tutelage("list", "terms").output.startswith("terms")
    assert "did you mean 'terms'" in tutelage("list", "term").output
    heads = {line.split()[0] for line in result.output.splitlines() if line and line[0] != " "}
    assert set(SLOTS) <= heads


def test_data_shows_classes_and_subjects():
    result = tutelage("data", "SyntheticWearable", "subjects=3", "windows=4")
    assert result.exit_code == 0, result.output
    assert "synthetic" in result.output
    assert (
        "takes no 'subject'; did you mean 'subjects'"
        in tutelage("data", "SyntheticWearable", "subject=3").output
    )


def test_data_of_a_recipe_with_a_page_where_nothing_is_alive(tmp_path):
    evil = "<script>alert(1)</script>"
    for who in ("a", "=b"):
        frame = table(labels=(evil, "$\\frac$")).rename(columns={"x": "<b>acc"})
        put_table(frame, tmp_path / "raw" / f"{who}.csv")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{type: Recordings, files: '{tmp_path}/raw/{{subject}}.csv', channels: [<b>acc, y],\n"
        "  time: t, label: activity, window: 20}\nsplit: {}\n"
    )
    result = tutelage("data", recipe, "hop=5", "--page", tmp_path / "page.html", "--data", tmp_path)
    assert result.exit_code == 0, result.output
    assert "2 subjects" in result.output
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "<b>acc" not in page
    assert "&lt;script&gt;" in page
    assert "%0A%3Db" not in page  # of the data below a figure: no cell is a formula
    assert "sample" in page
    wrong = tutelage("data", recipe, "hop")
    assert "found 'hop'; allowed: KEY=VALUE" in wrong.output


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; from tutelage.cli.root import app; "
        "CliRunner().invoke(app, ['--help']); "
        "heavy = ('torch', 'numpy', 'pandas', 'sklearn', 'numba', 'matplotlib', 'yaml', 'pydantic'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted(Path("recipes").rglob("*.yaml")), ids=str)
def test_shipped_recipes_are_short_and_open_with_their_command(path):
    lines = path.read_text().splitlines()
    whole = (
        path.parent.name == "studies" and "recipe:" in lines
    )  # a study with a recipe of its own is two files
    assert len(lines) <= (80 if whole else 40)
    commands = ("study run", "study tune") if path.parent.name == "studies" else ("run",)
    assert lines[0].startswith(tuple(f"# tutelage {command} {path}" for command in commands))
    head = "\n".join(line for line in lines[:8] if line.startswith("#"))
    assert "Expected:" in head
    assert "Time:" in head


@pytest.fixture
def foreign(ran, tmp_path, monkeypatch):
    """Give a recipe whose teacher is a run by path, with a network of another package."""
    folder, _, _ = ran
    (run,) = (folder / "runs").glob("*-recipe/fold-1-of-3/sig/seed-*")
    run = shutil.copytree(run, tmp_path / "given")
    (tmp_path / "planted_of_others.py").write_text(
        "from tutelage.models import WideResNet\n\n\nclass Network(WideResNet):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    content = checkpoint.read(run / "best.safetensors")
    content["spec"]["network"]["type"] = "planted_of_others.Network"
    checkpoint.write(run / "best.safetensors", content)

    def change(recipe):
        recipe["stages"] = {"sig": {"run": str(run)}, "base": {"teachers": ["sig"]}}
        recipe["baseline"], recipe["train"]["epochs"] = "base", 1
        recipe["distiller"]["soft"]["weighting"]["weights"] = {"sig": 1.0}

    yield write(tmp_path, change)
    sys.modules.pop("planted_of_others", None)


@pytest.mark.parametrize("command", ["check", "run", "study plan", "study run"])
def test_a_class_of_another_package_in_a_given_run_needs_trust(foreign, command):
    folder = foreign.parent
    where = [] if command == "check" else ["--runs", folder / "runs", "--device", "cpu"]
    path = foreign
    if command.startswith("study"):
        path = folder / "study.yaml"
        path.write_text(f"recipe: {foreign.name}\n")
    refused = tutelage(*command.split(), path, *where)
    assert refused.exit_code == 2, refused.output
    assert "would be imported" in refused.output and "--trust" in refused.output
    assert "planted_of_others" not in sys.modules
    trusted = tutelage(*command.split(), path, *where, "--trust")
    assert trusted.exit_code == 0, trusted.output
    assert "planted_of_others" in sys.modules


def test_trust_changes_no_fingerprint(foreign):
    runs, weights = foreign.parent / "runs", foreign.parent / "given" / "best.safetensors"
    command = ("run", foreign, "--runs", runs, "--device", "cpu")
    trusted = tutelage(*command, "--trust")
    assert trusted.exit_code == 0, trusted.output
    names = sorted(path.name for path in runs.rglob("seed-*"))
    content = checkpoint.read(weights)
    content["spec"]["network"]["type"] = "WideResNet"
    checkpoint.write(weights, content)
    again = tutelage(*command, "--verbose")
    assert again.exit_code == 0, again.output
    assert "base, fold-1-of-3, seed 0: found" in again.output.replace("\n", " ")
    assert names and sorted(path.name for path in runs.rglob("seed-*")) == names
    assert [path.name for path in runs.glob("*recipe*")] == [f"{foreign.parent.name}-recipe"]


def test_every_command_has_its_place_in_the_help():
    known = {name.name or name.callback.__name__.strip("_") for name in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert set(WholeGroup.order) == known
    listed = re.findall(r"^  (\w+)  ", tutelage("--help").output.partition("Commands:")[2], re.M)
    assert listed == list(WholeGroup.order)
