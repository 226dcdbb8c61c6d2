"""Checkpoints of somebody else: their words are checked, and nothing they name is imported."""

import sys

import pytest
import torch

from tutelage import checkpoint
from tutelage.errors import UserError
from tutelage.recipe.networks import load_network, make_network, save_network

NETWORK = {"type": "WideResNet", "depth": 10, "width": 1}
SPEC = {"network": NETWORK, "modality": "signal", "input_shape": [2, 32], "class_names": ["a", "b"]}


def written(path, state=None, **change):
    spec = {key: value for key, value in (SPEC | change).items() if value != "gone"}
    checkpoint.write(path, {"spec": spec, "state": {} if state is None else state})
    return path


def test_a_sound_checkpoint_is_read_wherever_it_comes_from(tmp_path):
    statistics = torch.zeros(2), torch.ones(2)
    network = make_network(
        NETWORK, place="it", modality="signal", input_shape=[2, 32], class_names=["a", "b"],
        statistics=statistics, seed=0,
    )  # fmt: skip
    save_network(tmp_path / "best.safetensors", network, SPEC)
    read, spec = load_network(tmp_path / "best.safetensors", foreign=False)
    assert spec["class_names"] == ["a", "b"]
    for name, value in network.state_dict().items():
        assert torch.equal(read.state_dict()[name], value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network": "gone"}, r"describes no network: network"),
        ({"network": ["WideResNet"]}, r"describes no network: network"),
        ({"network": {}}, r"'type' is missing"),
        ({"network": {"type": ""}}, r"unknown network ''"),
        ({"network": {"type": ".."}}, r"allowed: a name, or package.module.Class"),
        ({"input_shape": "gone"}, r"describes no network: input_shape"),
        ({"input_shape": [4_000_000_000_000]}, r"describes no network: input_shape.0"),
        ({"input_shape": []}, r"describes no network: input_shape"),
        ({"class_names": []}, r"describes no network: class_names"),
        ({"crop": -1}, r"describes no network: crop"),
        ({"modality": None}, r"describes no network: modality"),
        ({}, r"the tensors do not fit"),
    ],
)
def test_wrong_words_are_sentences(tmp_path, change, sentence):
    path = written(tmp_path / "best.safetensors", **change)
    with pytest.raises(UserError, match=sentence):
        load_network(path)


def test_a_checkpoint_that_is_a_list_is_a_sentence(tmp_path):
    path = tmp_path / "best.safetensors"
    checkpoint.write(path, {"spec": [1], "state": {}})
    with pytest.raises(UserError, match="describes no network"):
        load_network(path)


@pytest.mark.parametrize(
    "network",
    [
        {"type": "planted.Network"},
        {"type": "Tapped", "module": {"type": "planted.Network"}, "taps": {}},
        {"type": "Tapped", "module": "planted.Network", "taps": {}},
        {"type": "LatentWorkspace", "network": {"type": "planted.Network"}},
    ],
)
def test_nothing_that_a_foreign_checkpoint_names_is_imported(tmp_path, monkeypatch, network):
    (tmp_path / "planted.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = written(tmp_path / "best.safetensors", network=network)
    with pytest.raises(UserError, match="a class of another package, which would be imported"):
        load_network(path, foreign=False)
    assert "planted" not in sys.modules
