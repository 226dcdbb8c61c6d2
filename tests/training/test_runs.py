"""Experiments carried out: reuse, resume after SIGKILL, both protocols, and runs that go wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.recipe.test_mistakes import put
from tests.training.small import recipe, write
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.execution import run
from tutelage.execution.listener import Quiet
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.training import single


def execute(tmp_path, content, name="it", listener=None, jobs=1):
    places = RunConfig(tmp_path / "runs", tmp_path, "cpu", jobs)
    return run.execute(parse(Recipe, content, ""), name, places, listener)


def runs_of(folder):
    listed = json.loads((folder / "experiment.json").read_text())["runs"]
    return {(r["stage"], r["seed"]): (folder / r["path"]).resolve() for r in listed}


def read(path):
    return json.loads(path.read_text())


class Outcomes(Quiet):
    def __init__(self):
        self.of = {}

    def end(self, job, outcome, evaluation):
        self.of[job.stage] = outcome


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("finished")
    return tmp_path, execute(tmp_path, recipe())


def test_a_whole_experiment_leaves_complete_records(finished):
    _, folder = finished
    found = runs_of(folder)
    assert {stage for stage, _ in found} == {"sig", "pi", "gaf", "alone", "base", "annsp"}
    for path in found.values():
        record = read(path / "run.json")
        assert record["status"] == "complete"
        assert path.name.endswith(record["fingerprint"][:10])
        evaluation = read(path / "evaluation.json")
        assert set(evaluation) == {"validation", "test"}
        with np.load(path / "predictions-test.npz", allow_pickle=False) as predictions:
            logits, labels = predictions["logits"], predictions["labels"]
            assert evaluation["test"]["accuracy"] == pytest.approx(
                (logits.argmax(1) == labels).mean()
            )
            assert set(predictions["subjects"]) == set(record["data"]["test_subjects"])
        assert len((path / "metrics.jsonl").read_text().splitlines()) == 2
        assert list(path.glob("events.out.tfevents*"))
    base = read(found["base", 0] / "run.json")
    assert set(base["teachers"]) == {"sig", "pi", "gaf"}
    assert not set(base["data"]["train_subjects"]) & set(base["data"]["test_subjects"])


def test_the_signal_teacher_is_the_student_trained_alone(finished):
    _, folder = finished
    found = runs_of(folder)
    assert found["alone", 0] == found["sig", 0]


def test_the_test_split_is_never_in_the_log_under_the_honest_protocol(finished):
    _, folder = finished
    for path in runs_of(folder).values():
        assert all("test" not in json.loads(line) for line in (path / "metrics.jsonl").open())


def test_running_again_trains_nothing(finished):
    tmp_path, folder = finished
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("run.json")}
    outcomes = Outcomes()
    execute(tmp_path, recipe(), listener=outcomes)
    assert set(outcomes.of.values()) == {"found"}
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("run.json")} == before


def test_a_hole_is_filled_with_the_same_numbers(finished, tmp_path):
    root, _ = finished
    shutil.copytree(root / "runs", tmp_path / "runs")
    copy = tmp_path / "runs" / "it"
    path = runs_of(copy)["base", 0]
    before = (path / "metrics.jsonl").read_bytes()
    shutil.rmtree(path)
    outcomes = Outcomes()
    execute(tmp_path, recipe(), listener=outcomes)
    assert [stage for stage, outcome in outcomes.of.items() if outcome == "trained"] == ["base"]
    assert (path / "metrics.jsonl").read_bytes() == before


def test_a_changed_recipe_makes_new_runs_beside_the_old(finished, tmp_path):
    root, _ = finished
    shutil.copytree(root / "runs", tmp_path / "runs")
    outcomes = Outcomes()
    execute(tmp_path, recipe(put("distiller.soft.coefficient", 0.25)), listener=outcomes)
    assert {s for s, o in outcomes.of.items() if o == "found"} == {"sig", "pi", "gaf", "alone"}
    assert {s for s, o in outcomes.of.items() if o == "trained"} == {"base", "annsp"}


def test_the_checkpoint_alone_gives_the_recorded_predictions(finished):
    _, folder = finished
    path = runs_of(folder)["annsp", 0]
    network, spec = load_network(path / "best.safetensors")
    assert spec["modality"] == "signal"
    parsed = parse(Recipe, recipe(), "")
    data = Fold.of(DataSpec.of(parsed), load_data(parsed.data, None, None), 0, folder)
    samples = data.samples(["signal"])
    logits = predict(network, samples, torch.from_numpy(data.split.test))
    with np.load(path / "predictions-test.npz") as predictions:
        np.testing.assert_array_equal(logits.numpy(), predictions["logits"])
    # Teachers and objectives are scaffolding: nothing of them is in the file.
    names = load_file(path / "best.safetensors").keys()
    assert {name.split("/")[2].split(".")[0] for name in names} == {"network", "mean", "std"}


def test_annealing_starts_from_the_other_stages_best(finished, monkeypatch):
    root, folder = finished
    seen = {}
    fit = vars(single)["fit"]

    def spy(training, *rest):
        seen["student"] = {k: v.clone() for k, v in training.student.state_dict().items()}
        return fit(training, *rest)

    monkeypatch.setitem(vars(single), "fit", spy)
    content = recipe(put("stages.annsp.train", {"epochs": 1}))
    execute(root, content, name="other")
    best, _ = load_network(runs_of(folder)["alone", 0] / "best.safetensors")
    for name, value in best.state_dict().items():
        assert torch.equal(seen["student"][name], value), name


def test_legacy_keeps_both_selections(tmp_path):
    content = recipe(put("protocol", "legacy"))
    content["stages"] = {"alone": {}}
    path = runs_of(execute(tmp_path, content))["alone", 0]
    evaluation = read(path / "evaluation.json")
    assert set(evaluation) == {"validation", "test", "test_legacy"}
    curve = [json.loads(line)["test"]["accuracy"] for line in (path / "metrics.jsonl").open()]
    assert evaluation["test_legacy"]["accuracy"] == pytest.approx(max(curve), abs=1e-6)
    assert evaluation["test_legacy"]["accuracy"] >= evaluation["test"]["accuracy"]
    assert read(path / "run.json")["selected"]["on"] == "validation"


def test_live_and_cached_teachers_train_alike(tmp_path):
    content = recipe(put("train.epochs", 1))
    folder = execute(tmp_path, content, "cached")
    content["train"]["teachers"] = "live"
    other = execute(tmp_path, content, "live")
    rows = [
        json.loads((runs_of(f)["annsp", 0] / "metrics.jsonl").read_text())["train"]
        for f in (folder, other)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)


def test_augmentation_of_the_student_alone_keeps_the_cache_exact(tmp_path):
    def change(content):
        content["train"] |= {"epochs": 1, "augment": {"signal": {"type": "Jitter"}}}
        content["stages"] = {"sig": {}, "base": {"teachers": ["sig"]}}
        content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
        content["baseline"] = None

    folder = execute(tmp_path, recipe(change), "cached")
    content = recipe(change)
    content["train"]["teachers"] = "live"
    other = execute(tmp_path, content, "live")
    rows = [
        json.loads((runs_of(f)["base", 0] / "metrics.jsonl").read_text())["train"]
        for f in (folder, other)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)


def diverging(objective):
    def change(content):
        content["train"]["epochs"] = 4
        content["stages"] = {
            "alone": {},
            "bad": {
                "distiller": {
                    "labels": {"coefficient": 1.0},
                    "extra": {
                        "type": f"tests.training.broken.{objective}",
                        "coefficient": 50.0 if objective == "Flatten" else 0.01,
                    },
                }
            },
            "after": {"start_from": "bad"},
        }

    return recipe(change)


def test_a_non_finite_loss_stops_the_run_and_names_the_objective(tmp_path):
    outcomes = Outcomes()
    folder = execute(tmp_path, diverging("Explode"), listener=outcomes)
    record = read(runs_of(folder)["bad", 0] / "run.json")
    assert record["status"] == "failed"
    assert record["failure"]["kind"] == "non_finite"
    assert record["failure"]["objective"] == "extra"
    assert record["failure"]["epoch"] == 1
    assert "epoch 2, step 1: extra became non-finite" in record["failure"]["message"]
    assert outcomes.of["alone"] == "trained"
    assert outcomes.of["after"] == "failed: it needs bad, which failed"
    assert not (runs_of(folder)["bad", 0] / "evaluation.json").exists()


def test_a_student_that_predicts_one_class_is_stopped(tmp_path):
    outcomes = Outcomes()
    folder = execute(tmp_path, diverging("Flatten"), listener=outcomes)
    record = read(runs_of(folder)["bad", 0] / "run.json")
    assert record["failure"]["kind"] == "constant_class"
    assert record["failure"]["epoch"] <= 1
    assert "predicts a single class on the whole validation split" in outcomes.of["bad"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_killed_at_any_moment_goes_on_and_ends_bit_equal(tmp_path, jobs):
    """SIGKILL twice; the resumed run must not differ in a single byte from the undisturbed one."""

    def change(content):
        content["data"] |= {"windows": 40}
        content["train"] |= {"epochs": 5, "optimizer": {"type": "AdamW", "weight_decay": 0.01}}
        content["stages"] = {"sig": {"train": {"epochs": 1}}, "base": {"teachers": ["sig"]}}
        content["seeds"] = list(range(jobs))
        content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
        content["baseline"] = None

    path = write(tmp_path, change)
    calm = runs_of(execute(tmp_path, yaml.safe_load(path.read_text()), "calm", jobs=jobs))[
        "base", 0
    ]
    command = [
        sys.executable, "-m", "tutelage.cli.root", "run", str(path), "--runs", str(tmp_path / "killed"),
        "--name", "it", "--device", "cpu", "--jobs", str(jobs),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for epochs in (1, 3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        log = wait_for(tmp_path / "killed", epochs, process)
        time.sleep(0.02 * epochs)  # somewhere inside the next epoch
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(log.read_text().splitlines()) < 5
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    resumed = runs_of(tmp_path / "killed" / "it")["base", 0]
    for name in ("metrics.jsonl", "evaluation.json", "best.safetensors", "last.safetensors"):
        assert (resumed / name).read_bytes() == (calm / name).read_bytes(), name
    with (
        np.load(calm / "predictions-test.npz") as a,
        np.load(resumed / "predictions-test.npz") as b,
    ):
        np.testing.assert_array_equal(a["logits"], b["logits"])


def wait_for(folder, epochs, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for log in folder.glob("*/*/base/*/metrics.jsonl"):
            if len(log.read_text().splitlines()) >= epochs:
                return log
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    raise AssertionError("no epoch was written in two minutes")


def test_a_damaged_checkpoint_is_refused_with_a_sentence(finished, tmp_path):
    _, folder = finished
    path = tmp_path / "best.safetensors"
    whole = (runs_of(folder)["alone", 0] / "best.safetensors").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="no checkpoint of Tutelage, or is damaged"):
        load_network(path)
    with pytest.raises(UserError, match="no such checkpoint"):
        load_network(tmp_path / "none.safetensors")
