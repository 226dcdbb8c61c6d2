"""Bottlenecks as stages: settled once, rebuilt without data or encoder, found again, and as teachers."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.test_runs import Outcomes, execute, runs_of
from tests.vlm.small import IMAGES, SAID, concept_file, image_encoder, signal_folder
from tutelage.batches import Samples
from tutelage.data import SyntheticImages
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.modalities import Embedding
from tutelage.models import ConceptBottleneck
from tutelage.models.concept_edits import remove_concept
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import resolve
from tutelage.training.check import check
from tutelage.vlm import OpenClip
from tutelage.vlm.captions import Captions
from tutelage.vlm.open_clip import save_open_clip
from tutelage.vlm.training import Schooling, teach

pytest.importorskip("open_clip")

FEW = {"epochs": 3, "batch_size": 4, "optimizer": {"type": "Adam"}, "learning_rate": 0.1}


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """An encoder that was taught the names of the classes and what is said of them."""
    folder = tmp_path_factory.mktemp("taught")
    dataset = SyntheticImages(classes=3, samples=40, size=16).load()
    encoder = image_encoder().requires_grad_(True)
    said = dict(zip(dataset.class_names, SAID.values(), strict=False))
    captions = Captions(dataset.class_names, ("a picture of {}",), said)
    inputs, labels = torch.from_numpy(dataset.inputs), torch.from_numpy(dataset.labels)
    teach(encoder, inputs, labels, captions, Schooling(epochs=8, batch_size=24, learning_rate=3e-3))
    save_open_clip(folder, encoder, IMAGES)
    return folder


@pytest.fixture(autouse=True)
def _beside(taught, tmp_path):
    shutil.copytree(taught, tmp_path / "clip")


def images(tmp_path, **network):
    """Return a recipe on generated images; the file of concepts is made beside it."""
    data = {"type": "SyntheticImages", "classes": 3, "samples": 40, "size": 16}
    names = SyntheticImages(classes=3, samples=40, size=16).load().class_names
    if not (tmp_path / "few.json").exists():
        concept_file(tmp_path / "few.json", names)
    described = {
        "type": "ConceptBottleneck", "concepts": str(tmp_path / "few.json"), "per_class": 2,
    }  # fmt: skip
    return {
        "data": data,
        "split": {
            "type": "FewShot",
            "of": {"type": "OfficialSplit", "validation": 0.2},
            "shots": 4,
        },
        "seeds": [0],
        "modalities": {
            "clip": {
                "type": "Embedding",
                "encoder": {"type": "OpenClip", "model": str(tmp_path / "clip")},
            }
        },
        "train": FEW,
        "stages": {
            "labo": {"input": "clip", "network": described | network},
            "probe": {"input": "clip", "network": {"type": "LinearProbe"}},
            "random": {"input": "clip", "network": described | {"choice": "random"}},
            "student": {
                "network": {"type": "CifarResNet", "depth": 8, "widths": [4, 4, 8, 8]},
                "teachers": ["labo"],
                "train": {"batch_size": 8, "learning_rate": 0.01},
                "distiller": {
                    "labels": {"type": "Labels"},
                    "soft": {"type": "PerTeacher", "term": "SoftTargets"},
                },
            },
        },
    }


def the_run(folder, stage):
    return runs_of(folder)[stage, 0]


def test_a_bottleneck_is_settled_trained_rebuilt_and_taught(tmp_path):
    recipe = images(tmp_path)
    recipe["split"]["shots"] = None
    folder = execute(tmp_path, recipe)
    for stage in recipe["stages"]:
        record = json.loads((the_run(folder, stage) / "run.json").read_text())
        assert record["status"] == "complete", stage
    network, spec = load_network(the_run(folder, "labo") / "best.safetensors")
    inner = network.network
    assert isinstance(inner, ConceptBottleneck)
    assert spec["input_shape"] == [16]
    assert set(spec["network"]["selected"]) == set(inner.names)
    assert network.mean.abs().sum() == 0  # embeddings are read as they are
    assert torch.equal(network.std, torch.ones(16))
    # The network predicts the same without its file and its encoder.
    (tmp_path / "few.json").unlink()
    shutil.rmtree(tmp_path / "clip")
    again, _ = load_network(the_run(folder, "labo") / "best.safetensors")
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.on_tensor(x).logits, network.on_tensor(x).logits)
    evaluation = json.loads((the_run(folder, "labo") / "evaluation.json").read_text())
    assert set(evaluation["test"]["variants"]) == {"untrained"}
    found = inner.explain(x)
    assert torch.allclose(found.logits, network.on_tensor(x).logits, atol=1e-5)
    name = inner.names[0]
    lost = network.on_tensor(x).logits - remove_concept(inner, name)(x).logits
    assert torch.allclose(lost, found.streams["text"].contributions[:, 0, 0], atol=1e-4)


def test_the_written_predictions_are_those_of_the_embeddings(tmp_path):
    recipe = images(tmp_path)
    folder = execute(tmp_path, recipe)
    network, _ = load_network(the_run(folder, "labo") / "best.safetensors")
    written = np.load(the_run(folder, "labo") / "predictions-test.npz")
    dataset = SyntheticImages(classes=3, samples=40, size=16).load()
    vectors = Embedding(OpenClip(str(tmp_path / "clip"))).fit_transform(dataset.inputs)
    samples = Samples(
        {"clip": torch.from_numpy(vectors)}, torch.from_numpy(dataset.labels), dataset.class_names
    )
    logits = predict(network, samples, torch.from_numpy(written["index"]))
    assert np.allclose(logits.numpy(), written["logits"], atol=1e-4)


def test_the_same_is_found_and_another_file_or_encoder_is_trained_anew(tmp_path):
    recipe = images(tmp_path)
    del recipe["stages"]["random"], recipe["stages"]["student"]
    execute(tmp_path, recipe)

    def again():
        outcomes = Outcomes()
        execute(tmp_path, recipe, listener=outcomes)
        return outcomes.of

    assert again() == {"labo": "found", "probe": "found"}
    names = list(SAID)
    said = SAID | {names[0]: ["round and yellow", *SAID[names[0]][1:]]}
    concept_file(tmp_path / "few.json", _classes(recipe, tmp_path), said)
    outcomes = again()
    assert outcomes["labo"] != "found"
    assert outcomes["probe"] == "found"
    state = load_file(tmp_path / "clip" / "open_clip_model.safetensors")
    state["visual.proj"] *= 1.01
    save_file(state, tmp_path / "clip" / "open_clip_model.safetensors")
    assert "found" not in again().values()


def _classes(recipe, tmp_path):
    return load_data(parse(Recipe, recipe, "").data, tmp_path, None).class_names


def test_a_run_repeats_and_seeds_draw_other_random_concepts(tmp_path):
    recipe = images(tmp_path)
    recipe["stages"] = {"random": recipe["stages"]["random"]}
    recipe["seeds"] = [0, 1, 2]
    recipe["stages"]["random"]["network"]["per_class"] = 1
    first = execute(tmp_path, recipe)
    kept = {}
    for (_, seed), path in runs_of(first).items():
        _, spec = load_network(path / "best.safetensors")
        kept[seed] = list(spec["network"]["selected"])
    assert len({tuple(names) for names in kept.values()}) > 1
    shutil.move(tmp_path / "runs", tmp_path / "before")
    for (_, seed), path in runs_of(execute(tmp_path, recipe)).items():
        network, spec = load_network(path / "best.safetensors")
        assert list(spec["network"]["selected"]) == kept[seed]
        other, _ = load_network(
            tmp_path / "before" / path.relative_to(tmp_path / "runs") / "best.safetensors"
        )
        assert torch.equal(network.network.weights, other.network.weights)


def test_signals_with_a_pair_of_ones_own_and_vectors_made_elsewhere(tmp_path):
    data = {
        "type": "SyntheticWearable", "subjects": 5, "windows": 8, "window": 32, "channels": 2,
        "classes": 3,
    }  # fmt: skip
    signal_folder(tmp_path / "pair")
    encoder = {"type": "SignalText", "folder": str(tmp_path / "pair")}
    recipe = {
        "data": data,
        "split": {"type": "GroupedFolds", "folds": 5, "validation": 1},
        "modalities": {"text": {"type": "Embedding", "encoder": encoder}},
        "train": FEW,
        "stages": {"labo": {"input": "text", "network": {"type": "ConceptBottleneck"}}},
    }
    names = load_data(parse(Recipe, recipe, "").data, tmp_path, None).class_names
    network = recipe["stages"]["labo"]["network"]
    network |= {"concepts": str(concept_file(tmp_path / "few.json", names)), "per_class": 2}
    folder = execute(tmp_path, recipe)
    example = np.load(folder / "example.npz")
    assert "image-text" not in example.files  # a vector is no picture
    # The same embeddings from a file, with the text tower stated beside.
    dataset = load_data(parse(Recipe, recipe, "").data, tmp_path, None)
    vectors = Fold.of(
        DataSpec.of(parse(Recipe, recipe, "")), dataset, 0, tmp_path / "cache"
    ).values("text")
    np.save(tmp_path / "vectors.npy", np.asarray(vectors))
    recipe["modalities"]["text"] = {
        "type": "Stored", "path": str(tmp_path / "vectors.npy"), "as_is": True,
    }  # fmt: skip
    network["encoder"] = encoder
    other = execute(tmp_path, recipe, name="stored")
    one, _ = load_network(the_run(folder, "labo") / "best.safetensors")
    two, _ = load_network(the_run(other, "labo") / "best.safetensors")
    assert torch.equal(one.network.weights, two.network.weights)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"criterion": {"covrage": 1}}, "Criterion takes no 'covrage'; did you mean 'coverage'"),
        ({"criterion": {"coverage": -1}}, "coverage"),
        ({"concepts": "cifar"}, "did you mean 'cifar10'"),
        ({"concepts": "hapt"}, "stages.labo.network"),
        ({"selected": {"x": ["nobody"]}}, "nobody"),
        ({"encoder": {"type": "OpenClip", "model": "x"}}, "follows from the data"),
        ({"softmax": "classs"}, "'concepts' or 'classes' or 'none'"),
    ],
)
def test_mistakes_are_told_before_training(tmp_path, change, said):
    recipe = parse(Recipe, images(tmp_path, **change), "")
    dataset = load_data(recipe.data, tmp_path, None)
    with pytest.raises(UserError, match=said):
        data = Fold.of(DataSpec.of(recipe), dataset, 0, tmp_path / "cache")
        check(resolve(recipe, 0, data), data)


def test_a_check_tries_gradients_and_counts_the_weights(tmp_path):
    recipe = parse(Recipe, images(tmp_path), "")
    dataset = load_data(recipe.data, tmp_path, None)
    data = Fold.of(DataSpec.of(recipe), dataset, 0, tmp_path / "c")
    found = {one.stage: one for one in check(resolve(recipe, 0, data), data)}
    assert found["labo"].parameters <= 3 * 6
    assert found["labo"].reach["labels"] > 0
    assert found["probe"].parameters == 3 * 17
