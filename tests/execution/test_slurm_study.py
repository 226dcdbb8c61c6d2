"""A study as jobs of submitit's local executor, one of which is interrupted and one killed."""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.execution.local_jobs import disturbed, local_workers
from tests.execution.test_ray import runs_of, short
from tests.training.small import recipe
from tutelage.execution.listener import Quiet
from tutelage.execution.run import carry_out, make_plan
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse

pytest.importorskip("submitit", reason="needs submitit: pip install 'tutelage[slurm]'")


def shorter(content):
    short(content)
    content["train"]["epochs"] = 8


class Listening(Quiet):
    def __init__(self):
        self.heard, self.ended = [], []

    def epoch(self, spec, row, epochs):
        self.heard.append((spec.stage, row["epoch"]))

    def end(self, spec, outcome, evaluation):
        self.ended.append((spec.stage, outcome.partition(":")[0]))


def test_a_study_that_is_interrupted_and_killed_has_the_numbers_of_one_process(
    tmp_path, monkeypatch
):
    content = parse(Recipe, recipe(shorter), "")
    there = RunConfig(tmp_path / "jobs", tmp_path, "cpu", 2)
    listener = Listening()

    @contextmanager
    def engine(config, missing, kept, told):
        workers = local_workers(config, missing, told)
        try:
            yield workers
        finally:
            workers.close()

    with monkeypatch.context() as patch:
        patch.setattr("tutelage.execution.queue.run_outcome", disturbed)
        carry_out(make_plan({"cell": content}, there, Quiet(), "study"), listener, engine)
    # The job that was told went on by itself; the one that was killed was submitted again.
    assert listener.ended == [("gaf", "trained"), ("base", "again"), ("base", "trained")]
    for stage in ("gaf", "base"):  # nothing stored was done twice
        epochs = [epoch for name, epoch in listener.heard if name == stage]
        assert epochs.count(0) == 1 and set(epochs) == set(range(8))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as a job of one core
    here = replace(there, runs=tmp_path / "here", jobs=1)
    carry_out(make_plan({"cell": content}, here, Quiet(), "study"), Quiet())
    found = runs_of(there.runs / "study" / "cell")
    for stage, path in runs_of(here.runs / "study" / "cell").items():
        assert (found[stage] / "metrics.jsonl").read_text() == (path / "metrics.jsonl").read_text()
        assert json.loads((found[stage] / "run.json").read_text())["status"] == "complete"
    (left,) = (there.cache / "slurm").iterdir()  # the log of the one that died, and no pickle
    assert {path.suffix for path in left.iterdir()} == {".err", ".out"}
