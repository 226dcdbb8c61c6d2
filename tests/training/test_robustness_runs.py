"""Networks on damaged test inputs: evaluated afterwards, alike for all, refused where that cannot be."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.small import recipe
from tests.training.test_runs import execute
from tutelage.batches import Samples
from tutelage.corruptions import Noise
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.evaluation import facts_of
from tutelage.recipe.fold import Fold, tensor_of
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import resolve
from tutelage.runs.ledger import read_experiment
from tutelage.training.robustness import damaged_inputs

DAMAGE = {"corruptions": ["Noise", {"type": "LostSamples", "name": "gaps"}], "draws": 2,
          "severities": [5, 1], "stages": "all"}  # fmt: skip


def content(**evaluate):
    def change(whole):
        whole["stages"] = {name: whole["stages"][name] for name in ("sig", "pi", "alone")}
        whole["stages"]["alone"] = {"teachers": ["sig", "pi"]}
        whole["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
        whole["train"]["epochs"] = 1
        whole["baseline"] = "sig"
        if evaluate:
            whole["evaluate"] = evaluate

    return recipe(change)


def fold_of(whole, cache):
    loaded = parse(Recipe, whole, "")
    return loaded, Fold.of(DataSpec.of(loaded), load_data(loaded.data), 0, cache)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One experiment, first without damage, then with it; and when its networks were written."""
    tmp_path = tmp_path_factory.mktemp("damage")
    folder = execute(tmp_path, content())
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("best.safetensors")}
    assert execute(tmp_path, content(**DAMAGE)) == folder
    return tmp_path, folder, before


@pytest.mark.slow
def test_runs_get_it_afterwards_without_being_trained_again(finished):
    _, folder, before = finished
    assert len(before) == 3
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("best.safetensors")} == before
    for run in read_experiment(folder).runs:
        assert set(run.robustness.accuracy) == {
            ("Noise", 1),
            ("Noise", 5),
            ("gaps", 1),
            ("gaps", 5),
        }
        assert all(len(draws) == 2 for draws in run.robustness.accuracy.values())
        assert (run.folder / "robustness.json").is_file()


@pytest.mark.slow
def test_every_network_sees_the_same_damage_represented_anew(finished):
    """Step by step: noise on the raw signal, the image of the noisy signal, the network, the share right."""
    tmp_path, folder, _ = finished
    _, data = fold_of(content(**DAMAGE), tmp_path / "runs" / ".cache")
    facts = facts_of(data)
    [(at, damaged)] = damaged_inputs(Noise(), 5, 1, data, facts)
    train = np.asarray(data.dataset.inputs[data.split.train], np.float64)
    np.testing.assert_allclose(facts.std, train.std(axis=(0, 2)), rtol=1e-5)
    added = damaged - data.dataset.inputs[data.split.test]
    np.testing.assert_allclose(added.std(axis=(0, 2)), facts.std, rtol=0.1)
    image = data._modality("pi").fit(data.dataset.inputs[data.split.train]).transform(damaged)
    labels = torch.from_numpy(data.dataset.labels[data.split.test])
    samples = Samples(
        {"signal": tensor_of(damaged), "pi": tensor_of(image)}, labels, data.dataset.class_names
    )
    for run in read_experiment(folder).runs:
        network, _ = load_network(run.folder / "best.safetensors")
        said = predict(network, samples, torch.from_numpy(at)).argmax(dim=1)
        assert run.robustness.accuracy["Noise", 5][1] == float((said == labels).double().mean())


@pytest.mark.slow
def test_undamaged_inputs_give_the_stored_accuracy(finished):
    tmp_path, folder, _ = finished
    _, data = fold_of(content(**DAMAGE), tmp_path / "runs" / ".cache")
    [(at, same)] = damaged_inputs(Noise(), 0, 0, data, facts_of(data))
    np.testing.assert_array_equal(same, data.dataset.inputs[data.split.test])
    labels = torch.from_numpy(data.dataset.labels[data.split.test])
    samples = Samples({"signal": tensor_of(same)}, labels, data.dataset.class_names)
    for run in read_experiment(folder).runs:
        if run.stage != "pi":
            network, _ = load_network(run.folder / "best.safetensors")
            said = predict(network, samples, torch.from_numpy(at)).argmax(dim=1)
            assert run.evaluations["test"].accuracy == float((said == labels).double().mean())


@pytest.mark.slow
def test_only_what_is_missing_is_evaluated_and_another_network_is_refused(finished):
    tmp_path, folder, _ = finished
    run = next(run for run in read_experiment(folder).runs if run.stage == "alone")
    path = run.folder / "robustness.json"
    known = path.read_text()
    stamp = path.stat().st_mtime_ns
    execute(tmp_path, content(**DAMAGE))
    assert path.stat().st_mtime_ns == stamp
    path.unlink()
    execute(tmp_path, content(**DAMAGE))
    assert path.read_text() == known  # the same numbers, whatever else is evaluated beside it
    path.unlink()
    stated = run.folder / "evaluation.json"
    kept = stated.read_text()
    wrong = json.loads(kept)
    wrong["test"]["accuracy"] = 0.123
    stated.write_text(json.dumps(wrong))
    with pytest.raises(UserError, match="on undamaged test inputs is"):
        execute(tmp_path, content(**DAMAGE))
    stated.write_text(kept)


def test_draws_depend_on_kind_draw_fold_and_place_alone(tmp_path):
    _, data = fold_of(content(**DAMAGE), tmp_path)
    facts = facts_of(data)

    def drawn(severity=3, draw=0, fold=data):
        return np.concatenate(
            [values for _, values in damaged_inputs(Noise(), severity, draw, fold, facts)]
        )

    np.testing.assert_array_equal(drawn(), drawn())
    clean = data.dataset.inputs[data.split.test]
    np.testing.assert_allclose((drawn(5) - clean) * 0.25, drawn(3) - clean, atol=1e-5)
    assert not np.array_equal(drawn(), drawn(draw=1))
    other = replace(data, split=replace(data.split, name="another"))
    assert not np.array_equal(drawn(), drawn(fold=other))


def test_no_run_depends_on_what_is_evaluated(tmp_path):
    plain, damaged = (
        {(spec.stage, spec.fingerprint) for spec in resolve(loaded, 0, data)}
        for loaded, data in (fold_of(content(), tmp_path), fold_of(content(**DAMAGE), tmp_path))
    )
    assert plain == damaged
    assert parse(Recipe, content(**DAMAGE), "").untested == parse(Recipe, content(), "")


def _stored(whole):
    whole["modalities"]["pi"] = {"type": "Stored", "path": "pi.npy"}


def _blind(whole):
    whole["protocol"] = "blind"


def _given(whole):
    whole["evaluate"]["stages"] = ["sig"]
    whole["stages"]["sig"] = {"run": "somewhere"}


@pytest.mark.parametrize(
    ("evaluate", "change", "said"),
    [
        ({}, _stored, "stage 'pi' reads 'pi', which was computed elsewhere"),
        ({}, _blind, "protocol: blind leaves unread"),
        ({}, _given, "taken from an earlier run"),
        ({"corruptions": ["Noize"]}, None, "did you mean 'Noise'"),
        ({"corruptions": ["Fog"]}, None, "Fog damages images, and the data set holds signals"),
        ({"corruptions": ["RotatedSensor"]}, None, "no three channels are named x, y and z"),
        ({"corruptions": [{"type": "Noise", "levels": [0.2, 0.1]}]}, None, "numbers that grow"),
        ({"corruptions": ["Noise", {"type": "Noise", "levels": [1]}]}, None, "give each a name of its own"),
        ({"corruptions": [{"type": "Noise", "levels": [0.1]}]}, None, "allowed: 1 to 1, the levels of Noise"),
        ({"corruptions": [{"type": "Noise", "name": "a:b"}]}, None, "found the name 'a:b'"),
        ({"severities": [1, 1]}, None, "each severity is named once"),
        ({"severities": []}, None, "evaluate.severities"),
        ({"draws": 0}, None, "evaluate.draws"),
        ({"stages": ["alon"]}, None, "did you mean 'alone'"),
        ({"corruption": []}, None, "did you mean 'corruptions'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence_before_anything_is_trained(
    tmp_path, evaluate, change, said
):
    whole = content(**(DAMAGE | evaluate))
    if change:
        change(whole)
    with pytest.raises(UserError, match=said):
        loaded, data = fold_of(whole, tmp_path)
        resolve(loaded, 0, data)


def test_a_stage_that_cannot_be_damaged_may_be_left_out(tmp_path):
    whole = content(**(DAMAGE | {"stages": ["sig", "alone"]}))
    _stored(whole)
    loaded, data = fold_of(whole, tmp_path)
    assert resolve(loaded, 0, data)
