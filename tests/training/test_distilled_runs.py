"""Students of dual encoders as stages: cached teachers, hidden labels, modules, resume, shipped recipes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipe.test_mistakes import examine, put
from tests.training.test_prompt_runs import DATA, EnoughError, flat, interrupted
from tests.training.test_runs import execute, read, runs_of
from tests.vlm.small import IMAGES, image_folder
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.recipe.config import Recipe, load, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.teachers import cache_teacher
from tutelage.types import Needs
from tutelage.vlm.open_clip import new_open_clip, save_open_clip
from tutelage.vlm.pictures import Preparation

pytest.importorskip("open_clip")

SMALL = IMAGES | {"embed_dim": 12}
RECIPES = Path("recipes/cifar10")


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(3)
    save_open_clip(folder, new_open_clip(SMALL, Preparation((16, 16))).eval(), SMALL)
    return folder


def described(taught, student):
    source, own = ({"type": "OpenClip", "model": str(folder)} for folder in (taught, student))
    names = [f"synthetic pattern {number}" for number in (1, 2, 3)]
    return {
        "data": DATA,
        "split": {"type": "OfficialSplit", "validation": 0.2},
        "seeds": [0],
        "groups": {"base": names[:2], "novel": names[2:]},
        "network": {"type": "DistilledClip", "encoder": own, "vision_depth": 2},
        "train": {
            "epochs": 3, "batch_size": 8, "optimizer": {"type": "SGD", "momentum": 0.9},
            "learning_rate": 0.05, "select": "last",
        },
        "distiller": {
            "refine": {"type": "PerTeacher", "term": {"type": "SoftTargets", "temperature": 1}},
            "align": {"type": "PerTeacher", "term": {"type": "FeatureStatistics"}},
        },
        "stages": {
            "teacher": {
                "network": {
                    "type": "PromptedClip", "encoder": source, "template": "a picture of {}", "tokens": 3,
                    "vision_depth": 2, "text_depth": 1, "frozen_templates": None,
                },
                "train": {"learning_rate": 0.002},
            },
            "promptkd": {"teachers": ["teacher"], "unlabelled": True, "distiller": {"align": None}},
            "comkd": {"teachers": ["teacher"], "unlabelled": True, "network": {"attention": {}}},
        },
        "baseline": "promptkd",
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory, taught, student):
    tmp_path = tmp_path_factory.mktemp("distilled")
    return tmp_path, runs_of(execute(tmp_path, described(taught, student)))


def fold(tmp_path, content):
    recipe = parse(Recipe, content, "")
    return Fold.of(
        DataSpec.of(recipe), load_data(recipe.data, tmp_path, None), 0, tmp_path / "modalities"
    )


def test_a_student_is_trained_without_labels_and_kept_without_its_teacher(
    finished, taught, student
):
    tmp_path, runs = finished
    for stage in ("promptkd", "comkd"):
        path = runs[stage, 0]
        assert read(path / "run.json")["status"] == "complete"
        losses = [
            json.loads(line)["train"] for line in (path / "metrics.jsonl").read_text().splitlines()
        ]
        assert losses[-1]["loss"] < losses[0]["loss"]
        assert "accuracy" not in losses[0]
        evaluation = read(path / "evaluation.json")
        assert set(evaluation["test"]["groups"]) == {"base", "novel"}
        assert (path / "best.safetensors").stat().st_size < 60_000
    data = fold(tmp_path, described(taught, student))
    network, spec = load_network(runs["comkd", 0] / "best.safetensors")
    assert spec["network"]["embed_dim"] == 16
    assert float(network.network.attention.scale.detach()) != 0.0
    assert not any("text" in name for name, _ in network.named_modules())
    index = torch.from_numpy(data.split.test)
    found = predict(network, data.samples(["image"]), index)
    with np.load(runs["comkd", 0] / "predictions-test.npz") as kept:
        torch.testing.assert_close(found, torch.from_numpy(kept["logits"]), rtol=1e-4, atol=1e-4)


def test_the_teacher_is_cached_where_nothing_is_augmented(finished, taught, student):
    tmp_path, runs = finished
    network, _ = load_network(runs["teacher", 0] / "best.safetensors")
    data = fold(tmp_path, described(taught, student))
    samples, index = data.samples(["image"]), torch.from_numpy(data.split.train)
    needs = Needs(features=frozenset(["image"]))
    (root,) = {path.parents[1] for path in tmp_path.rglob("feature-image.npy")}
    before = network.network.encoder.encoded["inputs"]
    entry = cache_teacher(network, samples, index, needs, folder=root, modality="image")
    assert network.network.encoder.encoded["inputs"] == before  # found as the run had left it
    images = np.load(entry / "feature-image.npy")
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1.0, rtol=1e-5)
    network.network.text.tokens.data.mul_(2.0)
    other = cache_teacher(network, samples, index, needs, folder=root, modality="image")
    assert other != entry


def test_a_resumed_student_ends_the_same(finished, taught, student, tmp_path):
    content = described(taught, student)
    del content["stages"]["promptkd"]
    content["baseline"] = "comkd"

    def stop(row):
        if row["epoch"] == 2 and "align" in row["train"]:
            raise EnoughError

    with pytest.raises(ValueError, match="too many values"):  # two runs: the teacher is complete
        interrupted(tmp_path, content, stop)
    resumed = runs_of(execute(tmp_path, content))["comkd", 0]
    whole = finished[1]["comkd", 0]
    assert (resumed / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    one, other = flat(resumed / "best.safetensors"), flat(whole / "best.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_dry_run_tries_the_students(taught, student, tmp_path):
    found = {one.stage: one for one in examine(described(taught, student), tmp_path)}
    assert set(found["comkd"].reach) == {"refine", "align"}
    assert set(found["promptkd"].reach) == {"refine"}
    assert all(norm > 0 for one in found.values() for norm in one.reach.values())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("stages.comkd.teachers", []), "needs exactly one teacher"),
        (put("stages.comkd.distiller", {"labels": {"type": "Labels"}}), "labels: reads labels, which are hidden"),
        (put("stages.comkd.network.attention", {"widht": 3}), "takes no 'widht'; did you mean 'width'"),
        (put("network.layers", 0), "layers: 0, but the teacher's embeddings have 16 numbers and the student's 12"),
        (put("network.embed_dim", 4), "embed_dim: 4, but the embeddings of teacher 'teacher' have 16"),
        (put("distiller.align.term.student_tap", "picture"), "no feature 'picture'"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_in_a_sentence(taught, student, tmp_path, change, sentence):
    content = json.loads(json.dumps(described(taught, student)))
    change(content)
    with pytest.raises(UserError, match=sentence):
        examine(content, tmp_path)


def test_published_encoders_are_two_other_lines():
    ours, theirs = (load(RECIPES / name) for name in ("comkd-clip.yaml", "comkd-clip-vit.yaml"))
    lines = [
        [
            line
            for line in (RECIPES / name).read_text().splitlines()
            if not line.startswith(("#", "title"))
        ]
        for name in ("comkd-clip.yaml", "comkd-clip-vit.yaml")
    ]
    assert len(lines[0]) == len(lines[1])
    other = [one for one, two in zip(*lines, strict=True) if one != two]
    assert [line.split(":")[0].strip() for line in other] == ["student", "teacher"]
    assert ours.stages.keys() == theirs.stages.keys()
    assert [theirs.encoders[name]["model"] for name in ("student", "teacher")] == [
        "ViT-B-16-quickgelu", "ViT-L-14-quickgelu",
    ]  # fmt: skip


def test_an_ablation_of_published_size_names_its_targets():
    recipe = load(Path("recipes/sun397/comkd-clip.yaml"))
    assert recipe.stages["promptkd"].published == {
        "base": 83.69,
        "novel": 81.54,
        "harmonic_mean": 82.60,
    }
    assert recipe.stages["comkd"].published == {"base": 84.19, "harmonic_mean": 82.93}
    for name in ("comkd-without-edu", "comkd-without-ifalign"):
        assert recipe.stages[name].unlabelled
        assert recipe.stages[name].published == {}
    # KD_WEIGHT 1000 of 397 classes, on the batch mean.
    assert recipe.distiller["refine"]["coefficient"] == pytest.approx(1000 / 397, rel=0.01)
    modules = {name: set(recipe.objectives(name)) for name in ("promptkd", "comkd-without-edu")}
    assert modules == {"promptkd": {"refine"}, "comkd-without-edu": {"refine", "align"}}
