"""A recipe's ``crop``: training and evaluation see the same part of a picture."""

import json

import pytest
import torch

from tests.training.test_runs import execute, runs_of
from tutelage.errors import UserError
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import resolve
from tutelage.training.check import check

RECIPE = {
    "data": {"type": "SyntheticImages", "classes": 3, "samples": 60, "size": 16, "noise": 5.0},
    "split": {"type": "OfficialSplit", "validation": 0.2},
    "network": {"type": "WideResNet", "depth": 10, "width": 1},
    "crop": 12,
    "train": {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.02,
        "augment": {"image": {"type": "RandomResizedCrop", "size": 12, "scale": [0.5, 1.0]}},
        "mix": {"type": "CutMix", "alpha": 0.1},
    },
    "distiller": {
        "labels": {"type": "Labels"},
        "soft": {"type": "PerTeacher", "term": {"type": "SoftTargets", "temperature": 4}},
    },
    "stages": {
        "whole": {"crop": 14, "train": {"augment": {}, "mix": None}},
        "student": {"teachers": ["whole"]},
    },
}


def fold_of(content, cache):
    recipe = parse(Recipe, content, "")
    return recipe, Fold.of(DataSpec.of(recipe), load_data(recipe.data, cache, None), 0, cache)


def test_the_crop_is_part_of_networks_costs_and_fingerprints(tmp_path):
    recipe, data = fold_of(RECIPE, tmp_path)
    specs = resolve(recipe, 0, data)
    assert {spec.stage: spec.crop for spec in specs} == {"student": 12, "whole": 14}
    costs = {one.stage: one.macs for one in check(specs, data)}
    assert costs["whole"] > 1.2 * costs["student"]
    prints = set()
    for crop in (None, 12, 13):
        recipe, data = fold_of({**RECIPE, "crop": crop}, tmp_path)
        prints |= {job.fingerprint for job in resolve(recipe, 0, data) if job.stage == "student"}
    assert len(prints) == 3
    with pytest.raises(UserError, match=r"crop: found 0"):
        parse(Recipe, {**RECIPE, "crop": 0}, "")


def test_a_run_with_a_crop_is_evaluated_with_it(tmp_path):
    folder = execute(tmp_path, RECIPE)
    for (stage, _), path in runs_of(folder).items():
        size = {"whole": 14, "student": 12}[stage]
        assert json.loads((path / "run.json").read_text())["data"]["input_shape"] == [3, size, size]
        network, spec = load_network(path / "best.safetensors")
        assert network.crop == spec["crop"] == size
        x = torch.rand(2, 3, 16, 16)
        centre = x[:, :, 1:-1, 1:-1] if size == 14 else x[:, :, 2:-2, 2:-2]
        with torch.no_grad():
            assert torch.equal(network.on_tensor(x).logits, network.on_tensor(centre).logits)
