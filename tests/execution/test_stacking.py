"""Runs of one experiment in stacks: the same folders, records and numbers as one by one."""

import json
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml

from tests.training.small import recipe
from tutelage import checkpoint
from tutelage.data import SyntheticWearable
from tutelage.data.store import open_saved, save
from tutelage.execution.claim import Outcome, run_outcome
from tutelage.execution.listener import Quiet
from tutelage.execution.run import carry_out, make_plan
from tutelage.execution.stack import Seconds, measure_stack, stack_outcomes, why_alone
from tutelage.execution.stack_engine import _Stacking, known_seconds, stacking
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import load
from tutelage.recipe.fold import tensor_of
from tutelage.training.assemble import Context, assemble


class Stopped(BaseException):
    """As if the process had been killed between two epochs."""


class Stopping(Quiet):
    """Stops the command at an epoch of a stage."""

    def __init__(self, stage, seed):
        self.at = stage, seed

    def epoch(self, job, row, epochs):
        if (job.stage, job.seed) == self.at:
            raise Stopped


class Telling(Quiet):
    """Notes how runs end."""

    def __init__(self):
        self.ends = {}

    def end(self, job, outcome, evaluation):
        self.ends[job.stage, job.seed] = outcome


def change(content):
    content["seeds"] = [0, 1]
    content["modalities"] = {"gaf": content["modalities"]["gaf"]}
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    content["stages"] = {
        "sig": {"seed": 0},
        "gaf": {"input": "gaf", "seed": 0},
        "alone": {},
        "base": {"teachers": ["sig", "gaf"]},
        "hot": {
            "teachers": ["sig", "gaf"],
            "train": {"epochs": 3},
            "distiller": {"soft": {"term": {"type": "SoftTargets", "temperature": 9}}},
        },
        "hint": {
            "teachers": ["sig"],
            "distiller": {"labels": None, "soft": {"term": {"type": "Hint"}}},
        },
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe(change), sort_keys=False))
    return load(path)


def places(root):
    return RunConfig(Path(root), None, "cpu", 1)


def train(small, root, way, listener=None):
    planned = make_plan({"it": small}, places(root), listener or Quiet())
    carry_out(planned, listener or Quiet(), stacking(way))
    return planned.experiments[0].folder


@pytest.fixture(scope="module")
def one_by_one(small, tmp_path_factory):
    return train(small, tmp_path_factory.mktemp("single"), "processes")


def rows(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def same_runs(folder, wanted):
    experiment = checkpoint.read_json(wanted / "experiment.json")
    ours = checkpoint.read_json(folder / "experiment.json")
    assert [run["path"] for run in ours["runs"]] == [run["path"] for run in experiment["runs"]]
    for run in experiment["runs"]:
        a, b = folder / run["path"], wanted / run["path"]
        assert {p.name for p in a.iterdir() if "tfevents" not in p.name} == {
            p.name for p in b.iterdir() if "tfevents" not in p.name
        }
        ra, rb = (checkpoint.read_json(x / "run.json") for x in (a, b))
        assert ra["status"] == "complete"
        assert {k: ra[k] for k in ("fingerprint", "config", "teachers", "stage", "seed")} == {
            k: rb[k] for k in ("fingerprint", "config", "teachers", "stage", "seed")
        }
        for x, y in zip(rows(a, "metrics.jsonl"), rows(b, "metrics.jsonl"), strict=True):
            assert x["step"] == y["step"]
            # In single precision two orders of summation drift apart a little; the test of the core is exact.
            assert x["train"]["loss"] == pytest.approx(y["train"]["loss"], rel=0.02)


def test_an_experiment_in_stacks_is_the_experiment(small, one_by_one, tmp_path):
    told = Telling()
    folder = train(small, tmp_path, "stacked", told)
    assert told.ends.pop(("alone", 0)) == "found"  # it is the signal teacher
    assert set(told.ends.values()) == {"trained"}
    same_runs(folder, one_by_one)
    records = [checkpoint.read_json(path) for path in folder.glob("*/*/*/run.json")]
    stacked = {r["stage"]: r["environment"].get("stacked") for r in records}
    assert (
        stacked["base"] == 4 and None in stacked.values()
    )  # the teachers of one fold wait for nobody
    assert not any(
        "stacked" in checkpoint.read_json(path)["environment"]
        for path in one_by_one.glob("*/*/*/run.json")
    )
    again = Telling()
    train(small, tmp_path, "stacked", again)
    assert set(again.ends.values()) == {"found"}


def test_a_stack_that_was_stopped_goes_on_in_any_way(small, one_by_one, tmp_path):
    with pytest.raises(Stopped):
        train(small, tmp_path, "stacked", Stopping("base", 1))
    states = [checkpoint.read(p)["epoch"] for p in tmp_path.glob("it/*/base/*/last.safetensors")]
    assert states == [1]  # the first of them; the other had not written its epoch
    same_runs(train(small, tmp_path, "processes"), one_by_one)


def spec_of(recipe, stage, folder):
    planned = make_plan({"small": recipe}, RunConfig(folder / "runs", folder, "cpu"), Quiet())
    return next(task.spec for task in planned.tasks if task.spec.stage == stage)


def test_what_stays_alone_says_why(small, tmp_path):
    assert why_alone(spec_of(small, "base", tmp_path)) is None
    assert "reach all parameters" in why_alone(spec_of(small, "hint", tmp_path))
    compiled = small.model_copy(update={"train": small.train.model_copy(update={"compile": True})})
    assert "compiled" in why_alone(spec_of(compiled, "base", tmp_path))


class Recording:
    """Workers that note what they are given and do it at once."""

    def __init__(self, size, answers):
        self.size, self.answers, self.given = size, answers, []

    def submit(self, work, *arguments):
        self.given.append((work, len(arguments[0]) if work is not run_outcome else 1))
        future = Future()
        future.set_result(self.answers(work, *arguments))
        return future

    def wait(self, futures, timeout=None):
        return list(futures)


def told(seconds):
    def answer(work, *arguments):
        if work is measure_stack:
            return seconds
        asked = arguments[0] if work is stack_outcomes else [arguments]
        outcomes = [Outcome(job.stage) for _, job in asked]
        return outcomes if work is stack_outcomes else outcomes[0]

    return answer


@pytest.mark.parametrize(
    ("seconds", "groups"),
    [
        (Seconds(1.0, 0.3, 4), [(measure_stack, 4), (stack_outcomes, 4), (run_outcome, 1)]),
        (Seconds(1.0, 0.95, 4), [(measure_stack, 4), *[(run_outcome, 1)] * 5]),
        (Seconds(0.0, 0.0, 0), [(measure_stack, 4), *[(run_outcome, 1)] * 5]),
    ],
)
def test_auto_takes_the_way_that_was_measured_to_be_faster(small, tmp_path, seconds, groups):
    planned = make_plan({"it": small}, places(tmp_path), Quiet())
    jobs = [task.spec for task in planned.tasks if task.spec.stage in ("base", "hot")]
    hint = next(task.spec for task in planned.tasks if task.spec.stage == "hint")
    context = Context(tmp_path / "it", tmp_path / ".cache", "cpu", {}, {})

    def carried_out():
        workers = Recording(1, told(seconds))
        group = _Stacking(workers, "auto")
        futures = [group.submit(run_outcome, context, job) for job in (*jobs, hint)]
        while not all(future.done() for future in futures):
            group.wait(futures, 0.0)
        assert [f.result().text for f in futures] == [job.stage for job in (*jobs, hint)]
        return workers.given

    assert carried_out() == groups
    assert carried_out() == groups[1:]  # it is remembered
    assert known_seconds(jobs[0], tmp_path / ".cache", "cpu") == seconds


def test_runs_are_divided_evenly_among_workers(small, tmp_path):
    planned = make_plan({"it": small}, places(tmp_path), Quiet())
    jobs = [task.spec for task in planned.tasks if task.spec.stage in ("base", "hot")]
    context = Context(tmp_path / "it", tmp_path / ".cache", "cpu", {}, {})
    workers = Recording(2, told(None))
    group = _Stacking(workers, "stacked")
    futures = [group.submit(run_outcome, context, job) for job in jobs]
    group.wait(futures)
    assert workers.given == [(stack_outcomes, 2), (stack_outcomes, 2)]


def test_stacks_are_measured_on_real_runs(small, one_by_one, tmp_path):
    root = one_by_one.parent
    planned = make_plan({"it": small}, places(root), Quiet())
    tasks = [task for task in planned.tasks if task.spec.stage == "base"]
    found = {key: path for (key, _), path in planned.complete.items()}
    context = Context(tmp_path, root / ".cache", "cpu", {}, found)
    asked = [(context, task.spec) for task in tasks]
    seconds = measure_stack(asked, planned.kept, Quiet())
    assert seconds.members == 2
    assert seconds.alone > 0
    assert seconds.stacked > 0
    assert not list(tmp_path.iterdir())  # nothing is written


def is_on_disk(tensor):
    """Return whether memory is that of a file, which all processes that map it share."""
    place = tensor.untyped_storage().data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split()
        low, high = (int(end, 16) for end in span.split("-"))
        if low <= place < high:
            return name.endswith(".npy")
    return False


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux what a file is")
def test_processes_share_what_they_read(small, one_by_one, tmp_path):
    planned = make_plan({"it": small}, places(one_by_one.parent), Quiet())
    task = next(task for task in planned.tasks if task.spec.stage == "base")
    found = {key: path for (key, _), path in planned.complete.items()}
    context = Context(tmp_path, one_by_one.parent / ".cache", "cpu", {}, found)
    data = planned.kept.fold(task.spec.data, task.spec.fold)
    made = assemble(task.spec, data, context, Quiet().progress)
    assert is_on_disk(made.samples.inputs["gaf"])
    for arrays in made.training.teachers.arrays.values():
        assert all(is_on_disk(values) for values in arrays.values())
    assert not is_on_disk(made.training.train)


def test_a_stored_data_set_is_shared(tmp_path):
    dataset = SyntheticWearable(subjects=3, windows=4, window=16).load(tmp_path, None)
    save(dataset, tmp_path / "stored")
    assert is_on_disk(tensor_of(open_saved(tmp_path / "stored").inputs))
