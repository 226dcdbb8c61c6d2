"""ESKD and Full KD: which epoch of the teacher is distilled, and when distillation stops."""

import json

import torch

from tests.training.small import recipe
from tutelage.checkpoint import read
from tutelage.execution import run
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse


def execute(tmp_path, change):
    folder = run.execute(
        parse(Recipe, recipe(change), ""), "it", RunConfig(tmp_path / "runs", tmp_path, "cpu", 1)
    )
    listed = json.loads((folder / "experiment.json").read_text())["runs"]
    return {found["stage"]: (folder / found["path"]).resolve() for found in listed}


def curve(path):
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [row["validation"]["accuracy"] for row in rows]


def stages(epochs):
    def change(content):
        content["stages"] = {
            "sig": {"seed": 0, "train": {"epochs": epochs}},
            "alone": {},
            "eskd": {"teachers": ["sig"]},
            "full": {"teachers": ["sig"], "teacher_epoch": "last"},
        }
        content["distiller"]["soft"]["weighting"] = "Uniform"

    return change


def same(first, second):
    """Whether two runs are equal in every metric of every epoch and in every tensor of the student."""
    if (first / "metrics.jsonl").read_bytes() != (second / "metrics.jsonl").read_bytes():
        return False
    a, b = (read(path / "last.safetensors")["student"] for path in (first, second))
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


def test_one_epoch_is_the_best_and_the_last_and_both_are_bit_equal(tmp_path):
    paths = execute(tmp_path, stages(1))
    assert paths["eskd"] != paths["full"]
    assert same(paths["eskd"], paths["full"])


def test_the_best_epoch_has_the_highest_validation_accuracy(tmp_path):
    paths = execute(tmp_path, stages(5))
    accuracy = curve(paths["sig"])
    selected = json.loads((paths["sig"] / "run.json").read_text())["selected"]
    best = accuracy.index(max(accuracy))
    assert (selected["epoch"], selected["on"]) == (best, "validation")
    assert best < 4  # else this test would say nothing of the difference
    assert not same(paths["eskd"], paths["full"])


def test_distillation_may_stop_before_training_does(tmp_path):
    def change(content):
        stages(2)(content)
        content["stages"] = {
            "sig": content["stages"]["sig"],
            "alone": {},
            "stop": {
                "teachers": ["sig"],
                "distiller": {
                    "soft": {"coefficient": {"type": "Piecewise", "values": [0.5, 0], "at": [0.5]}}
                },
            },
        }

    paths = execute(tmp_path, change)
    rows = [json.loads(line) for line in (paths["stop"] / "metrics.jsonl").open()]
    first, second = (row["train"] for row in rows)
    assert abs(first["loss"] - 0.5 * first["labels"] - 0.5 * first["soft"]) < 1e-5
    assert abs(second["loss"] - 0.5 * second["labels"]) < 1e-6
    assert second["soft"] > 0
