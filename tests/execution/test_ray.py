"""A study on a Ray cluster: a worker is killed in the middle, and representations are made by all workers."""

import json
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from tests.training.small import recipe
from tutelage.errors import UserError
from tutelage.execution.listener import Quiet
from tutelage.execution.ray_data import on_cluster, represent_missing
from tutelage.execution.ray_engine import ray_workers
from tutelage.execution.run import carry_out, make_plan
from tutelage.execution.workers import RunConfig
from tutelage.modalities import GramianField
from tutelage.modalities.cache import represent
from tutelage.recipe.config import Recipe, parse


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    yield ray
    ray.shutdown()


def short(content):
    content["train"]["epochs"] = 40
    content["data"] |= {"subjects": 4, "windows": 8}
    content["split"]["folds"] = 2
    del content["modalities"]["pi"]
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    content["stages"] = {"gaf": {"input": "gaf"}, "base": {"teachers": ["gaf"]}}
    content["baseline"] = "base"


class Killing(Quiet):
    """Kills the worker of the first run in its third epoch: its first is stored by then."""

    def __init__(self):
        self.heard, self.ended, self.killed = [], [], 0

    def epoch(self, job, row, epochs):
        self.heard.append((job.stage, row["epoch"]))
        if not self.killed and row["epoch"] == 1:
            for process in psutil.Process().children(recursive=True):
                if "RayWorker" in " ".join(process.cmdline()):
                    process.kill()
                    self.killed += 1

    def end(self, job, outcome, evaluation):
        self.ended.append((job.stage, outcome.partition(":")[0]))


def runs_of(folder):
    listed = json.loads((folder / "experiment.json").read_text())["runs"]
    return {r["stage"]: folder / r["path"] for r in listed}


def test_a_run_whose_worker_is_killed_goes_on_elsewhere(tmp_path, cluster):
    content = parse(Recipe, recipe(short), "")
    places = RunConfig(tmp_path / "ray", tmp_path, "cpu", 2)
    planned = make_plan({"cell": content}, places, Quiet(), "study")
    listener = Killing()
    represent_missing(planned, listener)
    carry_out(planned, listener, ray_workers)
    assert listener.killed == 1
    assert listener.ended == [("gaf", "again"), ("gaf", "trained"), ("base", "trained")]
    again = listener.heard.index(("gaf", 0)) + 1
    assert ("gaf", 0) not in listener.heard[again:]  # it went on, it did not begin anew
    here = replace(places, runs=tmp_path / "here", jobs=1)
    alone = make_plan({"cell": content}, here, Quiet(), "study")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    carry_out(alone, Quiet())
    torch.set_num_threads(threads)
    there = runs_of(places.runs / "study" / "cell")
    for stage, path in runs_of(here.runs / "study" / "cell").items():
        # Bit-equal: nothing of the machine, and nothing of the interruption, is in the numbers.
        assert (there[stage] / "metrics.jsonl").read_text() == (path / "metrics.jsonl").read_text()
        record = json.loads((there[stage] / "run.json").read_text())
        assert record["status"] == "complete"


def test_representations_are_those_of_one_machine(tmp_path, cluster):
    random = np.random.default_rng(0)
    signals = random.standard_normal((70, 2, 32)).astype(np.float32)
    np.save(tmp_path / "signals.npy", signals)
    modality = GramianField(size=8, dtype="uint8")
    given = {"source": "a", "train": np.arange(40), "chunk": 16}
    one = represent(modality, signals, folder=tmp_path / "one", **given)
    mapped = np.load(tmp_path / "signals.npy", mmap_mode="r")
    for name, array in {"memory": signals, "file": mapped, "part": mapped[:]}.items():
        steps = []
        found = represent(
            modality, array, folder=tmp_path / name, blocks=on_cluster,
            progress=lambda done, total, steps=steps: steps.append(done), **given,
        )  # fmt: skip
        assert found.filename.name == one.filename.name
        assert found.tobytes() == one.tobytes()
        assert steps == [16, 32, 48, 64, 70]


def test_what_a_cluster_cannot_do_is_refused(tmp_path):
    with (
        pytest.raises(UserError, match="a path from the root"),
        ray_workers(RunConfig(tmp_path.relative_to(tmp_path.parent)), 1, None, Quiet()),
    ):
        pass
    with (
        pytest.raises(UserError, match="devices: found 2"),
        ray_workers(RunConfig(tmp_path, devices=2), 1, None, Quiet()),
    ):
        pass
