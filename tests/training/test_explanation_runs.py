"""Explanations of real, tiny runs: what the page claims is what the network says when it is asked again."""

import csv
import io
import json
import re
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from tests.recipe.test_mistakes import examine
from tests.training.small import recipe
from tests.training.test_runs import execute, runs_of
from tutelage.batches import Samples
from tutelage.data import SyntheticEvents, SyntheticImages
from tutelage.data.splits import Split
from tutelage.errors import UserError
from tutelage.models import ConceptBottleneck, ConceptTransformer, On, WideResNet
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.report import write_report
from tutelage.report.panels.explanations.data import explained_stages
from tutelage.runs.explanations import Explanations
from tutelage.runs.ledger import read_experiment
from tutelage.runs.predictions import Predictions
from tutelage.training.concept_survey import explain, explains_itself

PLAIN = {"type": "WideResNet", "depth": 10, "width": 1}


class Lying(ConceptTransformer):
    """Claims a little more for each concept than it does."""

    def explain(self, x, classes=None):
        told = super().explain(x, classes)
        for stream in told.streams.values():
            stream.contributions.add_(0.1)
        return told


def cpu():
    return Fabric(accelerator="cpu", devices=1)


def scenes(content):
    content["data"] = {
        "type": "SyntheticScenes", "samples": 16, "size": 16, "grid": 4, "scope": "both", "test": 0.25
    }  # fmt: skip
    content["split"] = {"type": "OfficialSplit", "validation": 0.34}
    del content["folds"], content["modalities"]
    network = {"type": "ConceptTransformer", "network": PLAIN, "places": [8, 8]}
    both = {"labels": {"type": "Labels"}, "annotated": {"type": "ConceptExplanation"}}
    content["distiller"] = {"labels": {"type": "Labels"}}
    drawn = network | {"source": "sampled", "sample_in_evaluation": True}
    content["stages"] = {
        "plain": {},
        "cct": {"network": network, "distiller": both},
        "drawn": {"network": drawn, "distiller": both},
    }
    content["baseline"] = "plain"


def windows(content):
    content["network"] = {
        "type": "ConceptTransformer", "network": PLAIN, "spatial_concepts": ["up", "down", "still"], "heads": 2
    }  # fmt: skip
    content["distiller"] = {"labels": {"type": "Labels"}}
    content["stages"] = {"alone": {}, "other": {"seed": 1}}
    content["seeds"] = [0]
    del content["modalities"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    content = recipe(scenes)
    folder = execute(root, content)
    return root, content, folder, write_report(folder).read_text()


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    root = tmp_path_factory.mktemp("windows")
    content = recipe(windows)
    folder = execute(root, content)
    return root, content, folder, write_report(folder).read_text()


def asked_again(root, content, folder, stage):
    """Return the network of a run, and every sample as it reads it."""
    network, spec = load_network(runs_of(folder)[stage, 0] / "best.safetensors")
    parsed = parse(Recipe, content, "")
    data = Fold.of(DataSpec.of(parsed), load_data(parsed.data, None, None), 0, root)
    samples = data.samples([spec["modality"]])
    return (
        network.network,
        network.standardise(network.cut(samples.inputs[spec["modality"]])),
        samples,
    )


def panels(html, stage, number):
    """Return sample id and the rows of the table of every panel of a stage."""
    chooser = html[html.index(f"{stage}: why, sample by sample") :]
    found = re.findall(
        r'<p class="eyebrow">Sample (\d+)</p>.*?'
        rf'download="concepts-{number}-\d+-parts.csv" href="data:text/csv;charset=utf-8,([^"]*)"',
        chooser,
        re.S,
    )
    return [(int(i), list(csv.DictReader(io.StringIO(unquote(link))))) for i, link in found]


@pytest.mark.parametrize("which", ["seen", "heard"])
def test_the_page_says_what_the_network_says(which, request):
    root, content, folder, html = request.getfixturevalue(which)
    stage = "cct" if which == "seen" else "alone"
    number = [one.name for one in explained_stages(read_experiment(folder))]
    best = re.search(r'<p class="title">([^<:]*): why', html).group(1)
    at = 1 + [best, *(name for name in number if name != best)].index(stage)
    network, x, samples = asked_again(root, content, folder, stage)
    shown = panels(html, stage, at)
    assert shown
    for sample, rows in shown[:12]:
        one = x[sample : sample + 1]
        with torch.no_grad():
            logits = network(one).logits[0]
            whole = network.explain(one)
            first = int(logits.argmax())
            others = logits.clone()
            others[first] = -torch.inf
            label = int(samples.labels[sample])
            rival = int(others.argmax()) if label == first else label
            parts = [
                row for row in rows if row["probability_without"] and row["concept"] != "score"
            ]
            for row in parts:
                name, _, scope = row["concept"].partition(" (")
                scope = scope.rstrip(")") or "spatial"
                stream = whole.streams[scope]
                concept = stream.names.index(name)
                added = stream.contributions[0, :, concept].sum(dim=0)
                assert float(row["to_prediction"]) == pytest.approx(float(added[first]), abs=1e-5)
                assert float(row["to_rival"]) == pytest.approx(float(added[rival]), abs=1e-5)
                left = network.without(one, scope, concept)[0]
                assert float(row["score_without"]) == pytest.approx(float(left[first]), abs=1e-5)
                after = float(torch.softmax(left, dim=0)[first])
                assert float(row["probability_without"]) == pytest.approx(after, abs=1e-5)
                assert row["then"] == samples.class_names[int(left.argmax())]
            (score,) = [row for row in rows if row["concept"] == "score"]
            assert float(score["to_prediction"]) == pytest.approx(float(logits[first]), abs=1e-5)
            assert float(score["to_rival"]) == pytest.approx(float(logits[rival]), abs=1e-5)
            summed = sum(float(row["to_prediction"]) for row in rows if row is not score)
            assert summed == pytest.approx(float(logits[first]), abs=1e-4)


def test_the_file_holds_what_it_should(seen):
    folder = seen[2]
    run = next(run for run in read_experiment(folder).runs if run.stage == "cct")
    found = run.explanations()
    assert set(found.streams) == {"global", "spatial"} and found.scored == 16
    assert found.streams["spatial"].space == (8, 8)
    # Annotated at 4 x 4 places, put onto 8 x 8; the whole picture has one annotation.
    assert found.streams["spatial"].annotated.shape == (
        *found.streams["spatial"].concepts.shape,
        64,
    )
    assert found.streams["global"].annotated.shape[2] == 1
    assert {image.shape for image in found.inputs.values()} == {(3, 16, 16)}
    assert found.measured["additivity_error"] < 1e-5 and found.measured["ablation_error"] < 1e-5
    assert set(found.measured["concept_accuracy"]) == {"global", "spatial"}
    assert not next(
        run for run in read_experiment(folder).runs if run.stage == "plain"
    ).explanations()
    per_class = np.bincount(found.labels)
    assert per_class.max() <= 4 and len(found.index) <= 24


def test_what_is_kept_is_annotated_as_the_data_say(seen):
    root, content, folder, _ = seen
    run = next(run for run in read_experiment(folder).runs if run.stage == "cct")
    found = run.explanations()
    _, _, samples = asked_again(root, content, folder, "cct")
    for i, sample in enumerate(found.index.tolist()):
        given = samples.concepts["spatial"][sample].float()
        finer = given.repeat_interleave(2, 0).repeat_interleave(2, 1).flatten(0, 1)
        for k, concept in enumerate(found.streams["spatial"].concepts[i]):
            np.testing.assert_array_equal(
                found.streams["spatial"].annotated[i, k], finer[:, concept].numpy()
            )


def test_a_network_that_draws_explains_the_pass_it_is_asked_about(seen):
    run = next(run for run in read_experiment(seen[2]).runs if run.stage == "drawn")
    found = run.explanations()
    (one,) = [one for one in explained_stages(read_experiment(seen[2])) if one.name == "drawn"]
    assert max(account.gap for account in one.first.accounts) < 1e-4
    assert max(account.broken for account in one.first.accounts) < 1e-4
    assert found.measured["stability"]["logits"] > 1e-6


def test_nothing_else_of_a_run_changes(heard):
    record = json.loads((runs_of(heard[2])["alone", 0] / "run.json").read_text())
    assert record["status"] == "complete" and "explanations" not in record
    with np.load(runs_of(heard[2])["alone", 0] / "explanations.npz", allow_pickle=False) as stored:
        assert stored["inputs"].shape[1:] == (2, 32) and stored["spatial.heat"].ndim == 3


def test_a_network_that_lies_is_found_before_it_is_trained(tmp_path):
    def change(content):
        windows(content)
        content["network"]["type"] = f"{__name__}.Lying"

    with pytest.raises(
        UserError, match=r"stages\.alone\.network: what its concepts add is .* away from its scores"
    ):
        examine(recipe(change), tmp_path)


def test_a_check_leaves_the_network_as_it_was(tmp_path):
    content = recipe(windows)
    assert [one.stage for one in examine(content, tmp_path)] == ["alone", "other"]


def test_without_validation_nothing_is_explained(tmp_path):
    def change(content):
        windows(content)
        content["protocol"] = "legacy"
        content["split"]["validation"] = 0
        del content["stages"]["other"]

    folder = execute(tmp_path, recipe(change))
    assert not (runs_of(folder)["alone", 0] / "explanations.npz").exists()


def test_a_large_image_is_kept_small(tmp_path):
    def change(content):
        scenes(content)
        content["data"] |= {"size": 160, "samples": 12, "scope": "spatial"}
        network = content["stages"]["cct"]["network"] | {"places": [4, 4]}
        content["stages"] = {"cct": {"network": network}}
        content["distiller"] = {"labels": {"type": "Labels"}}
        content["baseline"] = "cct"
        content["train"]["epochs"] = 1

    folder = execute(tmp_path, recipe(change))
    with np.load(runs_of(folder)["cct", 0] / "explanations.npz") as stored:
        assert stored["inputs"].shape[1:] == (3, 128, 128) and stored["inputs"].dtype == np.uint8


def test_a_network_needs_both_methods():
    class Half(nn.Module):
        def explain(self, x, classes=None):
            raise NotImplementedError

    assert not explains_itself(On("signal", Half(), [0.0], [1.0]))
    whole = ConceptTransformer(
        (1, 32), 2, network=WideResNet(1, 2, depth=10, dimensions=1), spatial_concepts=2
    )
    assert explains_itself(On("signal", whole, [0.0], [1.0]))


def test_a_bottleneck_on_vectors_shows_the_image_they_were_made_from(tmp_path):
    dataset = SyntheticImages(classes=3, samples=8, size=16).load()
    names = dataset.class_names
    selected = {"round and red": [names[0]], "long": [names[1], names[2]], "dark": [names[2]]}
    bottleneck = ConceptBottleneck(8, names, selected=selected)
    made = torch.Generator().manual_seed(0)
    bottleneck.own(selected, torch.randn(3, 8, generator=made))
    ids = np.arange(len(dataset))
    data = Fold(dataset, Split("all", ids, ids, ids[:0]), {}, "global", tmp_path)
    vectors = torch.randn(len(dataset), 8, generator=made)
    samples = Samples({"clip": vectors}, torch.from_numpy(dataset.labels), names)
    network = On("clip", bottleneck, torch.zeros(8), torch.ones(8))
    explain(network, samples, data, torch.arange(len(dataset)), cpu()).save(
        tmp_path / "explanations.npz"
    )
    said = network.on_tensor(vectors).logits.detach().numpy()
    known = Predictions.of(np.arange(len(dataset)), dataset.labels, said, None)
    found = Explanations.load(tmp_path / "explanations.npz", 3, known)
    stream = found.streams["text"]
    assert stream.names == tuple(selected) and stream.space == (1,) and stream.heat is None
    sample, picture = next(iter(found.inputs.items()))
    np.testing.assert_array_equal(picture, dataset.inputs[sample])
    told = bottleneck.explain(vectors[found.index])
    for i, concepts in enumerate(stream.concepts):
        added = told.streams["text"].contributions[i, 0][concepts][:, found.classes[i]]
        np.testing.assert_allclose(stream.contributions[i, :, 0], added.detach(), rtol=1e-5)
    # Scores rank by similarity: the best of a gallery is the most similar sample.
    values = bottleneck.values(vectors).detach()
    for concept, row in zip(stream.shown, stream.gallery, strict=True):
        assert row[0] == int(values[:, concept].argmax())
    assert found.measured["samples"] == 24 and "deletion" not in found.measured


def test_use_and_classes_by_a_plain_loop(tmp_path):
    dataset = SyntheticEvents(samples=5, window=32, grid=8).load()
    names = {"spatial": dataset.concept_names["spatial"]}
    torch.manual_seed(0)
    inner = ConceptTransformer(
        (3, 32), 4, names, network=WideResNet(3, 4, depth=10, dimensions=1), places=[8]
    ).eval()
    ids = np.arange(len(dataset))
    data = Fold(dataset, Split("all", ids, ids, ids[:0]), {}, "global", tmp_path)
    samples = data.samples(["signal"])
    network = On("signal", inner, torch.zeros(3), torch.ones(3))
    explain(network, samples, data, torch.arange(len(dataset)), cpu()).save(
        tmp_path / "explanations.npz"
    )
    found = Explanations.load(tmp_path / "explanations.npz", 4, None)
    x = samples.inputs["signal"]
    with torch.no_grad():
        logits, told = inner(x).logits, inner.explain(x).streams["spatial"]
    moved = np.zeros((len(ids), 7))
    for i, label in enumerate(dataset.labels):
        scores = logits[i].clone()
        scores[label] = -torch.inf
        parts = told.contributions[i].sum(dim=0)
        moved[i] = (parts[:, label] - parts[:, int(scores.argmax())]).numpy()
    stream = found.streams["spatial"]
    np.testing.assert_allclose(stream.use, np.abs(moved).mean(axis=0), atol=1e-5)
    assert list(stream.shown) == list(np.argsort(-np.abs(moved).mean(axis=0)))
    for c in range(4):
        mean = moved[dataset.labels == c].mean(axis=0)
        np.testing.assert_allclose(stream.by_class[c], mean[stream.speaking[c]], atol=1e-5)
        assert abs(stream.by_class[c][0]) == pytest.approx(np.abs(mean).max(), abs=1e-5)
    for (row, column), sample in np.ndenumerate(stream.gallery):
        attention = told.attention[int(sample)]
        scaled = (attention - attention.min()) / (attention.max() - attention.min())
        wanted = scaled[:, stream.shown[row]].numpy()
        np.testing.assert_allclose(stream.heat[row, column], wanted, atol=1e-5)
    best = told.attention.sum(dim=1).argmax(dim=0)
    assert list(stream.gallery[:, 0]) == best[torch.from_numpy(stream.shown)].tolist()
