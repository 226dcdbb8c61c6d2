"""Prompts as stages: zero-shot without a step, PromptSRC with its average, resume, teachers, what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests.recipe.test_mistakes import examine, put
from tests.training.test_runs import Outcomes, execute, read, runs_of
from tests.vlm.small import IMAGES, image_encoder
from tutelage import checkpoint
from tutelage.data import SyntheticImages
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.report import write_report
from tutelage.vlm.captions import Captions
from tutelage.vlm.open_clip import save_open_clip
from tutelage.vlm.training import Schooling, embed, teach, zero_shot

pytest.importorskip("open_clip")

TEMPLATE = "a picture of {}"
DATA = {"type": "SyntheticImages", "classes": 3, "samples": 30, "size": 16}
EPOCHS = 3


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """An encoder that was taught the names of the classes, a little."""
    folder = tmp_path_factory.mktemp("taught")
    dataset = SyntheticImages(classes=3, samples=30, size=16).load()
    encoder = image_encoder().requires_grad_(True)
    captions = Captions(dataset.class_names, (TEMPLATE,), {})
    inputs, labels = torch.from_numpy(dataset.inputs), torch.from_numpy(dataset.labels)
    teach(
        encoder, inputs, labels, captions, Schooling(epochs=12, batch_size=24, learning_rate=3e-3)
    )
    save_open_clip(folder, encoder, IMAGES)
    return folder


def described(taught):
    clip = {
        "type": "PromptedClip",
        "encoder": {"type": "OpenClip", "model": str(taught)},
        "template": TEMPLATE, "tokens": 3, "vision_depth": 2, "text_depth": 1,
        "frozen_templates": [TEMPLATE, "{}."],
    }  # fmt: skip
    source = {
        "labels": {"type": "Labels"},
        "regulation": {"type": "SelfRegulation"},
    }
    average = {"type": "Gaussian", "mean": 2, "std": 1}
    return {
        "data": DATA,
        "split": {"type": "OfficialSplit", "validation": 0.2},
        "seeds": [0],
        "network": clip,
        "train": {
            "epochs": EPOCHS, "batch_size": 8, "optimizer": {"type": "SGD", "momentum": 0.9},
            "learning_rate": 0.002,
        },
        "stages": {
            "zero_shot": {
                "network": clip | {"vision_depth": 0, "text_depth": 0},
                "train": {"epochs": 0},
            },
            "promptsrc": {"distiller": source, "train": {"average": average}},
            "last": {"distiller": source, "train": {"select": "last"}},
            "best": {"distiller": source},
            "student": {
                "network": clip | {"text_depth": 0, "frozen_templates": None},
                "teachers": ["promptsrc"],
                "distiller": {"soft": {"type": "PerTeacher", "term": {"type": "SoftTargets"}}},
            },
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory, taught):
    tmp_path = tmp_path_factory.mktemp("finished")
    folder = execute(tmp_path, described(taught))
    return tmp_path, runs_of(folder)


class EnoughError(Exception):
    """Stops a run from outside."""


def fold(tmp_path, content):
    recipe = parse(Recipe, content, "")
    return Fold.of(
        DataSpec.of(recipe), load_data(recipe.data, tmp_path, None), 0, tmp_path / "modalities"
    )


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def prompts_of(state):
    return {key: value for key, value in state.items() if key.endswith("tokens")}


def test_zero_shot_is_evaluated_without_a_step(finished, taught):
    tmp_path, runs = finished
    path = runs["zero_shot", 0]
    record, evaluation = read(path / "run.json"), read(path / "evaluation.json")
    assert record["status"] == "complete"
    assert record["selected"]["on"] == "start"
    assert record["selected"]["value"] == pytest.approx(evaluation["validation"]["accuracy"])
    assert not (path / "metrics.jsonl").exists()
    data = fold(tmp_path, described(taught))
    index = torch.from_numpy(data.split.test)
    images = torch.from_numpy(np.asarray(data.dataset.inputs))[index]
    network, _ = load_network(path / "best.safetensors")
    encoder = network.network.encoder
    said = zero_shot(embed(encoder, images), network.network.class_embeddings())
    with np.load(path / "predictions-test.npz") as kept:
        assert kept["logits"].argmax(axis=1).tolist() == said.tolist()
    # It says more than chance, so images reached the tower in [0, 1].
    assert evaluation["test"]["accuracy"] > 0.6


def test_images_are_read_as_the_data_set_gives_them(finished):
    network, _ = load_network(finished[1]["promptsrc", 0] / "best.safetensors")
    assert network.mean.tolist() == [0.0] * 3
    assert len(set(network.std.tolist())) == 1
    assert network.std[0] in (1.0, 255.0)


def test_the_average_over_epochs_is_what_is_kept_and_evaluated(finished, taught, tmp_path):
    path = finished[1]["promptsrc", 0]
    record = read(path / "run.json")
    assert record["selected"]["on"] == "average"
    assert len(rows(path)) == EPOCHS
    state = checkpoint.read(path / "last.safetensors")
    kept = prompts_of(checkpoint.read(path / "best.safetensors")["state"])
    for name, values in prompts_of(state["average"]).items():
        assert values.dtype == torch.float64
        assert torch.equal(kept[name], values.float())
        assert not torch.equal(kept[name], state["student"][name])
    # The epochs themselves: their prompts, weighted by hand.
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    weights = torch.exp(-0.5 * (weights - 2) ** 2)
    total = {name: 0.0 for name in kept}
    for epoch, weight in enumerate(weights / weights.sum(), start=1):
        content = described(taught)
        content["stages"] = {"promptsrc": content["stages"]["promptsrc"]}
        seen = epochs_seen(tmp_path / str(epoch), content, epoch)
        for name, values in prompts_of(seen).items():
            total[name] = total[name] + float(weight) * values.double()
    for name, values in total.items():
        torch.testing.assert_close(kept[name], values.float(), rtol=1e-5, atol=1e-7)


def epochs_seen(tmp_path, content, epochs):
    """Return the student of a run that is interrupted after some epochs; its schedule is that of the whole."""

    def stop(row):
        if row["epoch"] == epochs:
            raise EnoughError

    return interrupted(tmp_path, content, stop)["student"]


def interrupted(tmp_path, content, stop):
    from tutelage.runs import writer as record

    kept = record.RunFolder.epoch

    def epoch(self, row, seconds):
        stop(row)
        kept(self, row, seconds)

    record.RunFolder.epoch = epoch
    try:
        execute(tmp_path, content)
    except EnoughError:
        pass
    finally:
        record.RunFolder.epoch = kept
    (last,) = (tmp_path / "runs").rglob("last.safetensors")
    return checkpoint.read(last)


def test_a_resumed_run_ends_with_the_same_average(finished, taught, tmp_path):
    content = described(taught)
    content["stages"] = {"promptsrc": content["stages"]["promptsrc"]}

    def stop(row):
        if row["epoch"] == 2:
            raise EnoughError

    state = interrupted(tmp_path, content, stop)
    assert state["epoch"] == 2
    assert state["average"]
    (resumed,) = runs_of(execute(tmp_path, content)).values()
    whole = finished[1]["promptsrc", 0]
    assert (resumed / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    for name in ("best.safetensors", "last.safetensors"):
        one, other = flat(resumed / name), flat(whole / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    # A run that was stopped behind its last epoch, before the average was evaluated.
    for name in ("best.safetensors", "evaluation.json"):
        (resumed / name).unlink()
    record = read(resumed / "run.json")
    (resumed / "run.json").write_text(json.dumps(record | {"status": "running"}))
    execute(tmp_path, content)
    one, other = flat(resumed / "best.safetensors"), flat(whole / "best.safetensors")
    assert all(torch.equal(one[key], other[key]) for key in other)


def flat(path):
    from safetensors.torch import load_file

    return load_file(path)


def test_the_last_epoch_is_kept_where_it_is_selected(finished):
    path = finished[1]["last", 0]
    record = read(path / "run.json")
    assert record["selected"] == {
        "epoch": EPOCHS - 1,
        "on": "last",
        "value": pytest.approx(rows(path)[-1]["validation"]["accuracy"]),
    }
    kept = prompts_of(checkpoint.read(path / "best.safetensors")["state"])
    last = prompts_of(checkpoint.read(path / "last.safetensors")["student"])
    assert all(torch.equal(kept[name], last[name]) for name in last)
    best = finished[1]["best", 0]
    assert read(best / "run.json")["selected"]["on"] == "validation"
    # The same training; another choice of what is kept.
    assert (best / "metrics.jsonl").read_bytes() == (path / "metrics.jsonl").read_bytes()


def test_the_report_says_what_was_kept(finished):
    page = write_report(finished[0] / "runs" / "it").read_text()
    for word in ("average", "untrained"):
        assert f">{word}<" in page


def test_checkpoints_are_small_and_loaded_beside_the_encoder(finished, taught):
    path = finished[1]["promptsrc", 0]
    whole = (taught / "open_clip_model.safetensors").stat().st_size
    for name in ("best.safetensors", "last.safetensors"):
        assert (path / name).stat().st_size < whole / 50
    _, spec = load_network(path / "best.safetensors")
    assert spec["network"]["type"] == "PromptedClip"
    assert read(path / "run.json")["network"]["parameters"] > whole / 8


def test_the_kept_network_is_the_teacher(finished, taught):
    tmp_path, runs = finished
    record = read(runs["student", 0] / "run.json")
    assert record["status"] == "complete"
    assert list(record["teachers"]) == ["promptsrc"]
    network, _ = load_network(runs["promptsrc", 0] / "best.safetensors")
    data = fold(tmp_path, described(taught))
    samples = data.samples(["image"])
    logits = predict(network, samples, torch.from_numpy(data.split.train))
    (cached,) = (p for p in tmp_path.rglob("logits.npy") if np.load(p).shape == tuple(logits.shape))
    rows_of = np.load(cached.with_name("rows.npy"))[data.split.train]
    torch.testing.assert_close(torch.from_numpy(np.load(cached)[rows_of]), logits)


def test_running_again_trains_nothing_and_another_encoder_everything(finished, taught, tmp_path):
    root, _ = finished
    outcomes = Outcomes()
    execute(root, described(taught), listener=outcomes)
    assert set(outcomes.of.values()) == {"found"}
    content = described(tmp_path / "other")
    shutil.copytree(taught, tmp_path / "other")
    jobs = [prints(root, one) for one in (described(taught), content)]
    assert jobs[0] != jobs[1]  # the place is part of the description
    before = prints(root, content)
    save_open_clip(tmp_path / "other", image_encoder(seed=1), IMAGES)
    after = prints(root, content)
    assert not set(before) & set(after)


def prints(tmp_path, content):
    from tutelage.recipe.resolve import resolve

    recipe = parse(Recipe, content, "")
    return [job.fingerprint for job in resolve(recipe, 0, fold(tmp_path, content))]


def test_a_dry_run_tries_what_is_trained(taught, tmp_path):
    found = {one.stage: one for one in examine(described(taught), tmp_path)}
    assert found["zero_shot"].reach == {}
    assert set(found["promptsrc"].reach) == {"labels", "regulation"}
    assert all(norm > 0 for norm in found["promptsrc"].reach.values())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("stages.zero_shot.train.select", "best"), "select: best, but the only network is the one there is"),
        (put("stages.promptsrc.train.select", "best"), "best, but the only network is the one of the last"),
        (put("stages.last.train.select", "first"), r"train\.select: found 'first'"),
        (put("stages.promptsrc.train.average.type", "Gauss"), "unknown average 'Gauss'; did you mean 'Gaussian'"),
        (put("stages.promptsrc.train.average.std", 0), r"train\.average: std: 0\.0 must be > 0"),
        (put("network.vision_depth", 3), "depth: 3; allowed: 1 to the 2 blocks"),
        (put("network.frozen_templates", None), "no feature 'image_frozen' .allowed: PromptedClip with"),
        (put("stages.zero_shot.train.epochs", 1), "labels: sends no gradient to the student|parameter"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_in_a_sentence(taught, tmp_path, change, sentence):
    content = json.loads(json.dumps(described(taught)))
    if "frozen" not in sentence:
        content["stages"] = {
            n: s for n, s in content["stages"].items() if n in ("zero_shot", "promptsrc", "last")
        }
    change(content)
    with pytest.raises(UserError, match=sentence):
        examine(content, tmp_path)
