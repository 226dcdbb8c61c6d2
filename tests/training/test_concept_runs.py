"""Concepts in experiments: from annotated data to a checkpoint, and what is refused on the way."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipe.test_mistakes import examine, put
from tests.training.test_runs import execute, read, runs_of
from tutelage.errors import UserError
from tutelage.models import ConceptTransformer
from tutelage.recipe.config import load
from tutelage.recipe.networks import load_network
from tutelage.runs.folder import read_record

SMALL = {"type": "WideResNet", "depth": 10, "width": 1}
CCT = {"type": "ConceptTransformer", "network": SMALL}
ASKED = {
    "explanation": {"type": "ConceptExplanation"},
    "sparsity": {"type": "ConceptSparsity", "coefficient": 0.5},
}


def events(change=None):
    """Return a recipe on signals with annotated times: alone, distilled, and as a teacher."""
    content = {
        "data": {
            "type": "SyntheticEvents",
            "samples": 24,
            "window": 64,
            "grid": 8,
            "scope": "both",
        },
        "split": {"type": "OfficialSplit", "validation": 0.2},
        "network": SMALL,
        "train": {"epochs": 2, "batch_size": 16, "learning_rate": 0.02},
        "distiller": {
            "labels": {"type": "Labels", "coefficient": 0.5},
            "soft": {"type": "PerTeacher", "term": "SoftTargets", "coefficient": 0.5},
        },
        "stages": {
            "plain": {},
            "cct": {"network": CCT, "distiller": ASKED, "start_from": "plain"},
            "distilled": {"network": CCT, "distiller": ASKED, "teachers": ["plain", "cct"]},
            "student": {
                "teachers": ["cct"],
                "distiller": {"maps": {"type": "PerTeacher", "term": "SimilarityMap"}},
            },
        },
        "baseline": "plain",
    }
    if change is not None:
        change(content)
    return content


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("concepts")
    return tmp_path, execute(tmp_path, events())


def test_concepts_are_recorded_and_a_checkpoint_knows_its_own(finished):
    _, folder = finished
    runs = runs_of(folder)
    assert {stage for stage, _ in runs} == {"plain", "cct", "distilled", "student"}
    record = read(runs["cct", 0] / "run.json")
    names = record["data"]["concepts"]
    assert set(names) == {"global", "spatial"}
    kept = read_record(runs["cct", 0])
    assert {scope: list(listed) for scope, listed in kept.data.concepts.items()} == names
    assert read(folder / "experiment.json")["data"]["concepts"] == names
    network, spec = load_network(runs["cct", 0] / "best.safetensors")
    assert spec["concept_names"] == names
    assert isinstance(network.network, ConceptTransformer)
    assert {k: list(v) for k, v in network.network.concept_names.items()} == names
    rows = [json.loads(x) for x in (runs["cct", 0] / "metrics.jsonl").read_text().splitlines()]
    assert {"labels", "explanation", "sparsity"} <= rows[-1]["train"].keys()
    assert rows[-1]["train"]["explanation"] < rows[0]["train"]["explanation"]


def test_a_checkpoint_explains_what_was_predicted(finished):
    _, folder = finished
    path = runs_of(folder)["distilled", 0]
    on, _ = load_network(path / "best.safetensors")
    from tutelage.data import SyntheticEvents

    data = SyntheticEvents(samples=24, window=64, grid=8, scope="both").load()
    with np.load(path / "predictions-test.npz") as kept:
        index, logits = kept["index"], torch.from_numpy(kept["logits"])
    x = on.standardise(on.cut(torch.from_numpy(np.asarray(data.inputs)[index])))
    with torch.no_grad():
        explained = on.network.explain(x)
    torch.testing.assert_close(explained.logits, logits, atol=1e-5, rtol=1e-4)


MISTAKES = {
    "nothing annotated": (
        put("data", {"type": "SyntheticImages", "samples": 10}),
        "there are no concepts: the data set annotates none; state global_concepts",
    ),
    "no concepts to explain": (
        put("stages.plain.distiller", {"it": {"type": "ConceptExplanation"}}),
        "distiller.it: stream 'global' is annotated: yes, attended to: no",
    ),
    "other concepts": (
        put("stages.cct.network", CCT | {"spatial_concepts": 7}),
        "distiller.explanation: stream 'spatial': the student attends to other concepts than are annotated",
    ),
    "another grid": (
        put("stages.cct.network", CCT | {"places": [12]}),
        "concepts are annotated at 8 places, attended to at 12; allowed",
    ),
    "mixed": (
        put("train.mix", {"type": "Mixup"}),
        "stages.cct.train.mix: inputs are mixed, so annotated concepts do not hold",
    ),
    "cut": (
        put("crop", 48),
        "stages.cct.crop: 48 cuts inputs of .*but concepts are annotated at their places",
    ),
    "moved by an unknown change": (
        put("train.augment", {"signal": {"type": "tests.data.test_concept_annotations.Unknown"}}),
        "Unknown does not say how it moves them",
    ),
    "an argument that follows from the data": (
        put("stages.cct.network", CCT | {"concept_names": {"global": ["a"]}}),
        "stages.cct.network.concept_names: follows from the data; remove it from the recipe",
    ),
    "a start that does not fit": (
        put("stages.cct.network", {"type": CCT["type"], "network": SMALL | {"depth": 16}}),
        "stages.cct.start_from: the network of 'plain' has other layers or sizes",
    ),
    "unknown network inside": (
        put("stages.cct.network", {"type": CCT["type"], "network": {"type": "WideResNot"}}),
        r"stages\.cct\.network\.network\.type: unknown network 'WideResNot'; did you mean",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_refused_before_the_first_step(case, tmp_path):
    change, sentence = MISTAKES[case]
    with pytest.raises(UserError, match=sentence) as caught:
        examine(events(change), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_stage_that_reads_no_annotations_may_be_mixed_and_cut(tmp_path):
    def change(content):
        content["stages"] = {"plain": {}, "cct": {"network": CCT}}
        content["train"]["mix"] = {"type": "Mixup"}
        content["crop"] = 48

    found = examine(events(change), tmp_path)
    assert [one.network for one in found] == ["WideResNet", "ConceptTransformer"]


PUBLISHED = [
    p for name in ("cifar100", "cub", "imagenet") for p in Path("recipes", name).glob("cct*")
]


@pytest.mark.parametrize("path", sorted(PUBLISHED), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_shipped_recipes_build_their_networks(path, tmp_path):
    """Published recipes with a tiny model of timm and generated annotations in place of the real ones."""
    pytest.importorskip("timm")
    content = load(path).model_dump()
    if path.stem in ("cct-swin", "cct-convnext"):
        shrink = {"name": "test_convnext", "options": {"depths": [1, 1, 1, 1]}, "size": 64}
    else:  # patches of an image of 224 pixels lie where the annotations of CUB do: 14 x 14
        side = 224 if path.parent.name == "cub" else 160
        shrink = {"name": "test_vit", "options": {"depth": 1, "img_size": side}, "size": side}
    shrink["pretrained"] = False

    def smaller(node):
        if isinstance(node, dict):
            if node.get("type") == "Timm":
                node |= shrink
            for value in node.values():
                smaller(value)

    smaller(content)
    content["data"] = {"type": "tests.training.test_concept_runs.Stand", "kind": path.parent.name}
    content["train"] |= {"epochs": 1, "batch_size": 8}
    content["split"] = {"type": "RandomSplit", "validation": 0.2, "test": 0.2}
    found = examine(content, tmp_path)
    assert {"plain", "ct", "sa", "isa", "bo-qsa"} == {one.stage for one in found}


class Stand:
    """Generated images with annotations of the same form as those of a data set that cannot be had."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def load(self, folder=None, progress=None):
        from tutelage.data import DataSet

        random = np.random.default_rng(0)
        count, size = 20, {"cifar100": 32, "cub": 224, "imagenet": 256}[self.kind]
        concepts, names = {}, {}
        if self.kind != "imagenet":
            concepts["global"] = np.eye(13, dtype=np.float32)[np.arange(count) % 13]
            names["global"] = tuple(f"whole {n}" for n in range(13))
        if self.kind == "cub":
            places = np.full((count, 14, 14, 9), np.nan, np.float16)
            places[:, 3, 4] = np.eye(9)[np.arange(count) % 9]
            concepts["spatial"], names["spatial"] = places, tuple(f"part {n}" for n in range(9))
        return DataSet(
            name="synthetic stand-in",
            modality="image",
            inputs=random.integers(0, 256, (count, 3, size, size)).astype(np.uint8),
            labels=np.arange(count) % 4,
            subjects=None,
            class_names=tuple("abcd"),
            channel_names=("red", "green", "blue"),
            synthetic=True,
            concepts=concepts,
            concept_names=names,
        )
