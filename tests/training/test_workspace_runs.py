"""mGLW-KD in whole experiments of seconds: records, resume, cached and live teachers, every mode."""

import json

import numpy as np
import pytest
import torch

from tests.recipe.test_mistakes import examine
from tests.training.small import recipe
from tests.training.test_runs import execute, read, runs_of
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.runs.writer import RunFolder

SLOTS = 3
STAGES = {"two": ["sig", "pi"], "three": ["sig", "pi", "gaf"]}


def binding(**more):
    term = {"type": "SoftTargets", "temperature": 4}
    similarity = {"type": "SimilarityMap", "taps": ["stage1", "stage3"]}
    return {
        "labels": {"type": "Labels", "coefficient": 0.3},
        "workspace": {
            "type": "KnowledgeBinding",
            "objectives": {
                "labels": {"type": "Labels", "coefficient": 0.3},
                "soft": {"type": "PerTeacher", "term": term, "weighting": "Closeness", "coefficient": 0.7},
                "similarity": {
                    "type": "PerTeacher", "term": similarity, "weighting": "Closeness", "coefficient": 10
                },
            },
            **more,
        },
    }  # fmt: skip


def workspace(content):
    content["network"] = {"type": "WideResNet", "depth": 10, "width": 1}
    network = {"type": "LatentWorkspace", "network": content["network"], "heads": 2, "slots": SLOTS}
    sig, pi, gaf = (content["stages"][n] for n in ("sig", "pi", "gaf"))
    teachers = {
        "sig": sig | {"network": {"type": "WideResNet", "depth": 10, "width": 2}},
        "pi": pi,
        "gaf": gaf,
    }
    content["stages"] = {**teachers, "alone": {}}
    for name, names in STAGES.items():
        content["stages"][name] = {
            "network": network, "teachers": names, "start_from": "alone", "distiller": binding()
        }  # fmt: skip
    content["distiller"] = {"labels": {"type": "Labels"}}
    content["stages"]["live"] = content["stages"]["three"] | {"train": {"teachers": "live"}}
    content["stages"]["average"] = content["stages"]["two"] | {
        "network": network | {"inference": "ema_slots"},
        "distiller": binding(momentum=0.5, noise=0.1, bilevel=False),
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("finished")
    return tmp_path, runs_of(execute(tmp_path, recipe(workspace)))


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stage", STAGES)
def test_the_log_follows_slots_and_coefficients(finished, stage):
    folder, names = finished[1][stage, 0], STAGES[stage]
    assert read(folder / "run.json")["status"] == "complete"
    assert len(rows(folder)) == 2
    for row in rows(folder):
        traces = {name: value["mean"] for name, value in row["traces"].items()}
        for objective in ("soft", "similarity"):
            shares = [traces[f"workspace.{objective}.weight.{name}"] for name in names]
            assert sum(shares) == pytest.approx(1, abs=1e-5)
            assert all(0.1 - 1e-6 <= share <= 0.9 + 1e-6 for share in shares)
        distances = [traces[f"workspace.distance.{name}"] for name in names]
        assert traces["workspace.alignment"] == pytest.approx(sum(distances), rel=1e-4)
        for name in names:
            bound = [traces[f"workspace.bound.{name}.{k}"] for k in range(1, SLOTS + 1)]
            assert sum(bound) == pytest.approx(1, abs=1e-5)
        read_of = [traces[f"workspace.read.{k}"] for k in range(1, SLOTS + 1)]
        assert sum(read_of) == pytest.approx(1, abs=1e-5)
        assert 0 <= traces["workspace.correct"] <= 1
        parts = 0.3 * traces["workspace.labels"] + 0.7 * traces["workspace.soft"]
        parts += 10 * traces["workspace.similarity"] + traces["workspace.alignment"]
        assert row["train"]["workspace"] == pytest.approx(parts, rel=1e-3)


@pytest.mark.parametrize("stage", ["two", "average"])
def test_the_other_modes_are_evaluated_beside_the_chosen_one(finished, stage):
    root, runs = finished
    folder = runs[stage, 0]
    evaluation = read(folder / "evaluation.json")
    modes = ["initial_slots", "ema_slots", "plain"]
    chosen = "ema_slots" if stage == "average" else "initial_slots"
    student, spec = load_network(folder / "best.safetensors")
    assert spec["modality"] == "signal"
    assert student.network.inference == chosen
    parsed = parse(Recipe, recipe(workspace), "")
    data = Fold.of(DataSpec.of(parsed), load_data(parsed.data, None, None), 0, root)
    samples = data.samples(["signal"])
    for split, index in (("validation", data.split.validation), ("test", data.split.test)):
        assert list(evaluation[split]["variants"]) == [mode for mode in modes if mode != chosen]
        found = dict(evaluation[split]["variants"]) | {chosen: evaluation[split]}
        for mode in modes:
            with student.network.predicting(mode):
                logits = predict(student, samples, torch.from_numpy(index))
            right = (logits.argmax(1) == samples.labels[index]).float().mean().item()
            assert found[mode]["accuracy"] == pytest.approx(right, abs=1e-6)
    with np.load(folder / "predictions-test.npz", allow_pickle=False) as recorded:
        np.testing.assert_array_equal(
            predict(student, samples, torch.from_numpy(data.split.test)).numpy(), recorded["logits"]
        )


def test_the_exported_student_knows_no_teacher(finished):
    runs = finished[1]
    student, spec = load_network(runs["three", 0] / "best.safetensors")
    # 64 channels of 8 positions: the teachers are as many or more, and their images 2 x 2.
    assert {key: spec["network"][key] for key in ("count", "size")} == {"count": 64, "size": 4}
    names = {name.split(".")[0] for name in student.network.state_dict()}
    assert names == {"network", "slots", "average", "averaged", "query", "key", "value"}
    alone, _ = load_network(runs["alone", 0] / "best.safetensors")
    plain = sum(p.numel() for p in alone.network.parameters())
    record = read(runs["three", 0] / "run.json")
    assert record["network"]["parameters"] == plain + SLOTS * 4 + 4 * 8 + 4 * 4 + 4 * 8


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_kept_to_look_at(finished, stage):
    root, runs = finished
    names = STAGES[stage]
    parsed = parse(Recipe, recipe(workspace), "")
    data = Fold.of(DataSpec.of(parsed), load_data(parsed.data, None, None), 0, root)
    with np.load(runs[stage, 0] / "inspection.npz", allow_pickle=False) as kept:
        found = dict(kept)
    shown = {f"workspace.{key}" for key in ("logits", "read", "read_alone", "place")}
    shown |= {f"workspace.bound.{name}" for name in names}
    # Of a wider teacher the tokens were mixed: it has no places.
    shown |= {f"workspace.place.{name}" for name in names if name != "sig"}
    assert found.keys() == shown | {"index", "labels", "examples", "inputs"}
    n = len(found["index"])
    assert set(found["index"]) <= set(data.split.validation)
    np.testing.assert_array_equal(found["labels"], data.dataset.labels[found["index"]])
    assert all(found[key].shape[0] == n for key in shown)
    assert found["workspace.logits"].shape == (n, 3)
    for key in ("read", "read_alone", *(f"bound.{name}" for name in names)):
        assert found[f"workspace.{key}"].shape == (n, SLOTS)
        np.testing.assert_allclose(found[f"workspace.{key}"].sum(axis=1), 1, atol=1e-5)
    for key in ("place", *(f"place.{name}" for name in names if name != "sig")):
        place = found[f"workspace.{key}"]
        np.testing.assert_allclose(place.reshape(n, SLOTS, -1).sum(axis=2), 1, atol=1e-5)
    examples = found["examples"]
    assert np.bincount(found["labels"][examples]).max() == 2
    assert found["inputs"].shape[:2] == (len(examples), 2)


def test_nothing_is_kept_of_a_stage_that_shows_nothing(finished):
    assert not (finished[1]["alone", 0] / "inspection.npz").exists()


def test_cached_and_live_teachers_give_the_same_losses(finished):
    for cached, live in zip(
        *(rows(finished[1][stage, 0]) for stage in ("three", "live")), strict=True
    ):
        assert cached["train"] == pytest.approx(live["train"], rel=1e-5, abs=1e-5)
        for name, value in cached["traces"].items():
            assert value["mean"] == pytest.approx(live["traces"][name]["mean"], rel=1e-5, abs=1e-5)


class Cut(BaseException):
    """The power is gone; test_runs.py does the same by SIGKILL."""


def test_a_run_cut_between_epochs_goes_on_and_ends_bit_equal(tmp_path, monkeypatch):
    """With running averages, noise, dropout and statistics of its own: all of it must be in the checkpoint."""

    def change(content):
        workspace(content)
        stages = content["stages"]
        content["stages"] = {name: stages[name] for name in ("sig", "pi", "alone", "average")}
        stages["average"]["train"] = {"epochs": 4}

    calm = runs_of(execute(tmp_path / "calm", recipe(change)))["average", 0]
    last = RunFolder.last

    def cut_after(epochs):
        def cut(folder, state):
            last(folder, state)
            if folder.path.parent.name == "average" and state.epoch == epochs:
                raise Cut

        return cut

    for epochs in (1, 3):
        monkeypatch.setattr(RunFolder, "last", cut_after(epochs))
        with pytest.raises(Cut):
            execute(tmp_path / "cut", recipe(change))
    monkeypatch.setattr(RunFolder, "last", last)
    resumed = runs_of(execute(tmp_path / "cut", recipe(change)))["average", 0]
    assert resumed != calm
    for name in ("metrics.jsonl", "evaluation.json", "best.safetensors", "last.safetensors"):
        assert (resumed / name).read_bytes() == (calm / name).read_bytes(), name
    with np.load(calm / "inspection.npz") as a, np.load(resumed / "inspection.npz") as b:
        assert a.files == b.files
        for key in a.files:
            np.testing.assert_array_equal(a[key], b[key])


def broken(path, value):
    def change(content):
        workspace(content)
        *parents, last = path.split(".")
        place = content["stages"]["two"]
        for key in parents:
            place = place[key]
        place[last] = value

    return recipe(change)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (
            "network",
            {"type": "WideResNet", "depth": 10},
            "workspace: the student's network is WideResNet, which has no",
        ),
        ("network.heads", 3, r"heads: 3 does not divide .* \(allowed: 1, 2, 4, 8\)"),
        (
            "distiller.workspace.weights",
            {"sig": 0.5, "pie": 0.5},
            "unknown teacher 'pie'; did you mean 'pi'",
        ),
        (
            "distiller.workspace.objectives.soft.coefficient",
            -1,
            "soft.coefficient: -1.* must be >= 0",
        ),
        ("distiller.workspace.objectives.soft.term", "SoftTarget", "did you mean 'SoftTargets'"),
        ("distiller.workspace.tap", "stage9", "workspace: no feature 'stage9'"),
    ],
)
def test_mistakes_are_found_before_the_first_step(path, value, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        examine(broken(path, value), tmp_path)
