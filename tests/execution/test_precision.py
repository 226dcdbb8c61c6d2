"""``precision: auto``: measured once, the same for all that is compared, and kept by an experiment that began."""

import copy
import json

import pytest
import torch

from tests.training.small import recipe
from tutelage.execution import precision, run
from tutelage.execution.workers import RunConfig
from tutelage.models import On, WideResNet
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.resolve import resolve


def auto(content):
    content["train"] |= {"precision": "auto", "epochs": 1}
    content["stages"] = {key: content["stages"][key] for key in ("sig", "pi", "alone", "base")}
    content["stages"]["base"]["teachers"] = ["sig", "pi"]
    content["stages"]["pi"]["network"] = {"type": "WideResNet", "depth": 16}
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}


@pytest.fixture
def seconds(monkeypatch):
    """What is measured of each network: bf16 helps networks of 16 layers, and hurts the others."""
    asked = []

    def told(network, batch, spec, number_format, accelerator):
        asked.append((spec.stage, number_format, len(batch.labels)))
        deep = spec.network["depth"] == 16
        return {"32-true": 2.0, "bf16-mixed": 1.0 if deep else 3.0}[number_format]

    monkeypatch.setattr(precision, "seconds_of", told)
    return asked


def planned(tmp_path, change=auto):
    config = RunConfig(tmp_path / "runs", tmp_path, "cpu", 1)
    return run.make_plan({"it": parse(Recipe, recipe(change), "")}, config, run.Quiet())


def formats(plan):
    return {spec.stage: spec.train.precision for spec in plan.experiments[0].specs}


def test_teachers_have_their_own_and_what_is_compared_has_one(tmp_path, seconds):
    plan = planned(tmp_path)
    wanted = {"sig": "32-true", "pi": "bf16-mixed", "alone": "32-true", "base": "32-true"}
    assert formats(plan) == wanted
    said = plan.experiments[0].record.resolved["stages"]
    assert {name: stage["train"]["precision"] for name, stage in said.items()} == wanted
    # of each network of a batch once; sig and alone are alike
    assert seconds == [("sig", f, 16) for f in precision.FORMATS] + [
        ("pi", f, 16) for f in precision.FORMATS
    ]
    planned(tmp_path)
    assert len(seconds) == 4, "it is remembered"


def test_the_fingerprint_is_that_of_the_format_written_out(tmp_path, seconds):
    def written(content):
        auto(content)
        content["train"]["precision"] = "32-true"
        content["stages"]["pi"]["train"] = {"precision": "bf16-mixed"}

    keys = [spec.fingerprint for spec in planned(tmp_path).experiments[0].specs]
    assert keys == [spec.fingerprint for spec in planned(tmp_path, written).experiments[0].specs]


def test_an_experiment_goes_on_as_it_began_on_a_machine_that_measures_otherwise(
    tmp_path, seconds, monkeypatch
):
    began = planned(tmp_path)
    folder = began.experiments[0].folder
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps(began.experiments[0].record.content))
    for path in (tmp_path / "runs" / ".cache" / "precision").iterdir():
        path.unlink()
    monkeypatch.setattr(
        precision,
        "seconds_of",
        lambda n, b, s, told, a: 1.0 if told == "bf16-mixed" else 2.0,
    )
    assert formats(planned(tmp_path)) == formats(began)


def test_simulated_int8_stays_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(
        precision, "seconds_of", lambda n, b, s, told, a: 1.0 if told == "bf16-mixed" else 2.0
    )

    def change(content):
        auto(content)
        content["stages"]["int8"] = {"start_from": "alone", "quantise": "int8"}

    found = formats(planned(tmp_path, change))
    assert found["int8"] == "32-true"
    assert found["alone"] == found["base"] == "bf16-mixed"


@pytest.mark.parametrize("number_format", precision.FORMATS)
def test_measuring_takes_time_and_changes_nothing(tmp_path, number_format):
    plan = planned(tmp_path, lambda content: None)
    data = plan.kept.fold(plan.tasks[0].spec.data, 0)
    spec = next(s for s in resolve(parse(Recipe, recipe(), ""), 0, data) if s.stage == "alone")
    network = On("signal", WideResNet(2, 3, depth=10, dimensions=1), [0.0] * 2, [1.0] * 2)
    before = copy.deepcopy(network.state_dict())
    batch = data.samples(["signal"]).take(torch.arange(16))
    assert precision.seconds_of(network, batch, spec, number_format, "cpu") > 0
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(p.grad is None for p in network.parameters())


def test_a_run_is_trained_and_recorded_in_the_measured_format(tmp_path, seconds):
    content = recipe(auto)
    del content["stages"]["sig"]
    content["stages"]["base"]["teachers"] = ["pi"]
    config = RunConfig(tmp_path / "runs", tmp_path, "cpu", 1)
    folder = run.execute(parse(Recipe, content, ""), "it", config)
    told = {
        record["stage"]: record["environment"]["precision"]
        for record in (json.loads(path.read_text()) for path in folder.rglob("run.json"))
    }
    assert told == {"pi": "bf16-mixed", "alone": "32-true", "base": "32-true"}
