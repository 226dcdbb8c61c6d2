"""A run whose batches are divided among two processes: same record, resumable, refused where it cannot be."""

import json

import pytest

from tests.training.small import recipe
from tutelage.execution import run
from tutelage.execution.listener import Quiet
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse


def few(content):
    content["train"]["epochs"] = 2
    content["train"]["teachers"] = "live"
    content["data"] |= {"subjects": 4, "windows": 8}
    content["split"]["folds"] = 2
    content["modalities"] = {}
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    content["distiller"]["similarity"] = {
        "type": "MergedSimilarity", "weights": {"alone": 1.0}, "coefficient": 10,
    }  # fmt: skip
    content["stages"] = {"alone": {}, "base": {"teachers": ["alone"]}}
    content["train"]["batch_size"] = 7


class Epochs(Quiet):
    def __init__(self):
        self.heard, self.ended = [], {}

    def epoch(self, job, row, epochs):
        self.heard.append((job.stage, row["epoch"]))

    def end(self, job, outcome, evaluation):
        self.ended[job.stage] = outcome


def carry_out(folder, devices, listener=None, change=few):
    places = RunConfig(folder / "runs", folder, "cpu", 1, devices)
    where = run.execute(parse(Recipe, recipe(change), ""), "it", places, listener)
    listed = json.loads((where / "experiment.json").read_text())["runs"]
    return {r["stage"]: where / r["path"] for r in listed}


def lines(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_leave_the_record_of_one(tmp_path):
    def teacher(content):
        few(content)
        del content["stages"]["base"]

    alone = carry_out(tmp_path / "one", 1)["base"]
    carry_out(tmp_path / "two", 1, change=teacher)
    listener = Epochs()
    two = carry_out(tmp_path / "two", 2, listener)["base"]
    assert listener.ended == {"alone": "found", "base": "trained"}
    assert listener.heard == [("base", 0), ("base", 1)]
    assert two.name == alone.name  # the fingerprint knows nothing of processes
    for mine, other in zip(lines(alone), lines(two), strict=True):
        assert other["train"] == pytest.approx(mine["train"], rel=1e-3)
        assert other["validation"]["loss"] == pytest.approx(mine["validation"]["loss"], rel=1e-3)
    record = json.loads((two / "run.json").read_text())
    assert (record["status"], record["environment"]["processes"]) == ("complete", 2)

    def files(path):
        return {file.name for file in path.iterdir() if "events" not in file.name}

    assert files(two) == files(alone)


def test_what_cannot_be_divided_is_refused_before_a_process_starts(tmp_path):
    def compiled(content):
        few(content)
        content["train"]["compile"] = True

    listener = Epochs()
    carry_out(tmp_path, 2, listener, compiled)
    assert "compile: true" in listener.ended["alone"] and "--devices 1" in listener.ended["alone"]
    listener = Epochs()
    carry_out(tmp_path, 9, listener)
    assert "7 samples cannot be divided among 9" in listener.ended["alone"]


def test_a_training_that_diverges_says_so(tmp_path):
    def wild(content):
        few(content)
        content["train"]["learning_rate"] = 1e30
        content["stages"] = {"alone": {}}
        content["distiller"] = {}

    listener = Epochs()
    path = carry_out(tmp_path, 2, listener, wild)["alone"]
    assert listener.ended["alone"].startswith("failed: epoch 1")
    record = json.loads((path / "run.json").read_text())
    assert record["status"] == "failed" and record["failure"]["kind"] in (
        "non_finite",
        "constant_class",
    )
