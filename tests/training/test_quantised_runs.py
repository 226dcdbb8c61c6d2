"""Stages with ``quantise: int8`` in whole experiments of seconds: records, resume, start, refusals."""

import pytest
import torch

from tests.recipe.test_mistakes import examine
from tests.training.small import recipe
from tests.training.test_runs import execute, read, runs_of
from tutelage.errors import UserError
from tutelage.models import Network, On, Quantised, SeparableNet
from tutelage.recipe.networks import load_network
from tutelage.runs.writer import RunFolder
from tutelage.training.student import start_from


class Cut(BaseException):
    """The power is gone."""


def on(network: Network) -> On:
    return On("signal", network, [0.0] * 2, [1.0] * 2)


def simulated(content):
    content["modalities"] = {}
    content["network"] = {"type": "SeparableNet", "width": 4}
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    network = {
        "type": "Quantised",
        "network": {"type": "SeparableNet", "width": 4},
        "settle": 4,
    }
    content["stages"] = {
        "sig": {"seed": 0},
        "alone": {},
        "int8": {
            "teachers": ["sig"],
            "start_from": "alone",
            "network": network,
            "train": {"epochs": 4},
        },
    }


def by_key(content):
    simulated(content)
    content["stages"]["int8"] |= {"quantise": "int8", "network": None, "train": {"epochs": 1}}


def test_a_run_cut_between_epochs_goes_on_and_ends_bit_equal(tmp_path, monkeypatch):
    """Ranges, the count of batches and frozen statistics must all be in the checkpoint; it settles in between."""
    calm = runs_of(execute(tmp_path / "calm", recipe(simulated)))["int8", 0]
    last = RunFolder.last

    def cut_after(epochs):
        def cut(folder, state):
            last(folder, state)
            if folder.path.parent.name == "int8" and state.epoch == epochs:
                raise Cut

        return cut

    for epochs in (1, 3):
        monkeypatch.setattr(RunFolder, "last", cut_after(epochs))
        with pytest.raises(Cut):
            execute(tmp_path / "cut", recipe(simulated))
    monkeypatch.setattr(RunFolder, "last", last)
    resumed = runs_of(execute(tmp_path / "cut", recipe(simulated)))["int8", 0]
    assert resumed != calm
    for name in ("metrics.jsonl", "evaluation.json", "best.safetensors", "last.safetensors"):
        assert (resumed / name).read_bytes() == (calm / name).read_bytes(), name


def test_the_key_of_a_stage_is_recorded_and_read_back(tmp_path):
    run = runs_of(execute(tmp_path, recipe(by_key)))["int8", 0]
    record = read(run / "run.json")
    assert record["config"]["network"] == {
        "type": "Quantised",
        "network": {"type": "SeparableNet", "width": 4},
    }
    network, _ = load_network(run / "best.safetensors")
    assert isinstance(network.network, Quantised) and network.network.ready
    logits = network.on_tensor(torch.randn(9, 2, 32)).logits
    coding = network.network.ranges[network.network.plan.logits].coding()
    assert torch.allclose(logits / coding.scale, torch.round(logits / coding.scale), atol=1e-3)


def test_it_starts_from_a_plain_network_and_from_one_that_is_simulated():
    torch.manual_seed(0)

    plain, other, more = (SeparableNet(2, 3, width=4) for _ in range(3))
    one, two = Quantised(network=other), Quantised(network=more)
    first = on(one)
    start_from(first, on(plain), "stages.int8", "alone")
    x = torch.randn(5, 2, 32)
    assert torch.allclose(one.eval()(x).logits, plain.eval()(x).logits, atol=1e-6)
    one.train()(x)
    start_from(on(two), first, "stages.more", "int8")
    assert torch.equal(two.eval()(x).logits, one.eval()(x).logits)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"quantise": "int4"}, r"stages\.int8\.quantise: found 'int4'"),
        (
            {"network": {"type": "ShuffleNetV2"}},
            r"stages\.int8\.network: ShuffleNetV2 uses cat, which is not simulated as int8 \(allowed",
        ),
        (
            {"train": {"epochs": 0}},
            r"stages\.int8\.quantise: nothing is trained, so no range .* \(allowed: train\.epochs of 1",
        ),
        (
            {"train": {"precision": "bf16-mixed"}},
            r"stages\.int8\.quantise: int8 is simulated in 32-true; found train\.precision bf16-mixed",
        ),
    ],
)
def test_what_cannot_be_simulated_is_one_sentence(tmp_path, change, sentence):
    def broken(content):
        by_key(content)
        content["stages"]["int8"] |= {"start_from": None} | change

    with pytest.raises(UserError, match=sentence):
        examine(recipe(broken), tmp_path)
