"""A folder of runs made before ``RunSpec``: found, read, reported, and resumed to the same bits."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from typer.testing import CliRunner

from tutelage.cli.root import app
from tutelage.execution.listener import Quiet
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.recipe import resolve
from tutelage.recipe.config import Recipe, parse
from tutelage.report import write_report
from tutelage.runs.ledger import read_experiment
from tutelage.runs.writer import environment
from tutelage.study.file import load_study
from tutelage.study.run import plan_study, run_study

FIRST_HOUSE = Path(__file__).parents[1] / "fixtures" / "runs-of-the-first-house"
EXPECTED = json.loads((FIRST_HOUSE / "expected.json").read_text())


class Ends(Quiet):
    """Remembers how every run ended."""

    def __init__(self):
        self.of = {}

    def end(self, spec, outcome, evaluation):
        self.of[spec.stage] = outcome


@pytest.fixture
def runs(tmp_path, monkeypatch):
    # Heads of wide residual networks begin elsewhere since 3, so their runs are others on purpose; that nothing
    # else moved is seen with the number of that day.
    monkeypatch.setattr(resolve, "NUMBERS", 2)
    return Path(shutil.copytree(FIRST_HOUSE, tmp_path / "runs"))


def recipe_in(runs, name):
    record = json.loads((runs / name / "experiment.json").read_text())
    return parse(Recipe, record["resolved"], "")


def carried_out(runs, name):
    ends = Ends()
    folder = execute(recipe_in(runs, name), name, RunConfig(runs, None, "cpu", 1), ends)
    return folder, ends.of


def told(*words):
    outcome = CliRunner().invoke(app, [str(word) for word in words])
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_nothing_is_trained_again(runs):
    before = {path: path.read_bytes() for path in (runs / "first").rglob("run.json")}
    _, ends = carried_out(runs, "first")
    assert set(ends) == {"sig", "pi", "gaf", "alone", "base", "workspace", "concepts"}
    assert set(ends.values()) == {"found"}
    assert {path: path.read_bytes() for path in before} == before


def test_runs_are_read_and_reported(runs):
    experiment = read_experiment(runs / "first")
    assert len(experiment.runs) == 7
    assert not experiment.holes
    page = write_report(runs / "first").read_text()
    for stage in ("base", "workspace", "concepts"):
        assert stage in page
    assert "report" in told("report", runs / "first")


def test_runs_of_other_numbers_are_not_taken_for_todays_and_stay_readable(runs, monkeypatch):
    monkeypatch.setattr(resolve, "NUMBERS", 3)
    before = {path: path.read_bytes() for path in (runs / "first").rglob("run.json")}
    _, ends = carried_out(runs, "first")
    assert ends["sig"] == ends["base"] == ends["workspace"] == "trained"
    assert {path: path.read_bytes() for path in before} == before
    assert {run.stage for run in read_experiment(runs / "first").runs} == set(ends)
    assert "index.html" in told("report", runs / "first")


def test_the_study_is_complete_and_its_numbers_are_read(runs, tmp_path):
    record = json.loads((runs / "study" / "study.json").read_text())
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(record["resolved"], sort_keys=False))
    ends = Ends()
    study = load_study(path, name="study")
    planned = plan_study(study, RunConfig(runs, None, "cpu", 1), ends)
    assert not planned.missing
    run_study(study, planned, ends)
    assert set(ends.of.values()) == {"found"}
    assert "nothing is left" in told("study", "status", runs / "study")
    assert "base" in told("study", "table", runs / "study")
    assert "base" in told("study", "compare", runs / "study")


def digest(path):
    total = hashlib.sha256()
    with safe_open(path, framework="pt") as file:
        for key in sorted(file.keys()):
            total.update(key.encode())
            total.update(file.get_tensor(key).contiguous().numpy().tobytes())
    return total.hexdigest()


def test_an_interrupted_run_ends_as_the_old_code_ended_it(runs):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        here = environment("32-true")
        folder, ends = carried_out(runs, "stopped")
    finally:
        torch.set_num_threads(threads)
    assert ends == {"sig": "found", "pi": "found", "gaf": "found", "base": "trained"}
    (run,) = folder.glob("*/base/seed-*")
    rows = (run / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == len(EXPECTED["metrics"]) == 3
    same = ("torch", "processor", "threads")
    if all(here[key] == EXPECTED["environment"][key] for key in same):  # else rounding differs
        assert rows == EXPECTED["metrics"]
        for name in ("best", "last"):
            assert digest(run / f"{name}.safetensors") == EXPECTED[name]
    for row, expected in zip(rows, EXPECTED["metrics"], strict=True):
        loss, wanted = (json.loads(line)["train"]["loss"] for line in (row, expected))
        assert loss == pytest.approx(wanted, rel=1e-3)
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["test"]["n"] == EXPECTED["evaluation"]["test"]["n"]
