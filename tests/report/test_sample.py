"""One sample explained: its numbers are those of the run folders, its neighbours those of a plain search."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.training.small import recipe
from tutelage.cli.root import app
from tutelage.data import SyntheticWearable
from tutelage.errors import UserError
from tutelage.execution import run
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.networks import load_network
from tutelage.report.sample import explain_sample, sample_text, write_sample_page
from tutelage.runs.ledger import read_experiment
from tutelage.statistics.temperature import fitted_temperature, softened

NASTY = "<img src=x onerror=alert(1)>"


def smaller(content):
    content["train"]["epochs"] = 2
    content["stages"] = {key: content["stages"][key] for key in ("sig", "pi", "alone", "base")}
    content["stages"]["base"]["teachers"] = ["sig", "pi"]
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    content["folds"] = [0, 1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("sample")
    content = recipe(smaller)
    folder = run.execute(parse(Recipe, content, ""), "it", RunConfig(home / "runs", home, "cpu", 1))
    arguments = {key: value for key, value in content["data"].items() if key != "type"}
    return folder, SyntheticWearable(**arguments).load()


def stored(folder, stage, fold, split="test"):
    [mine] = [r for r in read_experiment(folder).of(stage) if r.fold == fold]
    return mine, mine.predictions(split)


def test_the_probabilities_are_those_of_the_stored_scores_at_the_fitted_temperature(made):
    folder, dataset = made
    for fold in ("0", "1"):
        mine, said = stored(folder, "base", fold)
        validation = mine.predictions("validation")
        temperature = fitted_temperature(validation.logits, validation.labels)
        place = 3
        found = explain_sample(folder, int(said.index[place]), "base", data=folder.parents[1])
        assert found.run.fold == fold and found.side == "test"
        np.testing.assert_allclose(
            found.opinion.probabilities, softened(said.logits, temperature)[place], atol=1e-5
        )
        assert found.truth == dataset.class_names[said.labels[place]]
        assert [one.stage for one in found.teachers] == ["sig", "pi"] and not found.silent
        for one in found.teachers:
            teacher, told = stored(folder, one.stage, fold)
            val = teacher.predictions("validation")
            softer = softened(told.logits, fitted_temperature(val.logits, val.labels))
            row = int(np.flatnonzero(told.index == said.index[place])[0])
            np.testing.assert_allclose(one.probabilities, softer[row], atol=1e-5)


def test_neighbours_are_the_nearest_training_samples_by_the_last_feature(made):
    folder, dataset = made
    mine, said = stored(folder, "alone", "0")
    sample = int(said.index[0])
    found = explain_sample(folder, sample, "alone", data=folder.parents[1])
    network, _ = load_network(mine.folder / "best.safetensors")
    with torch.no_grad():
        features = network.eval().on_tensor(torch.from_numpy(np.array(dataset.inputs)))
    embedding = features.features["embedding"]
    held_out = set(mine.record.data.test_subjects) | set(mine.record.data.validation_subjects)
    train = [i for i in range(len(dataset)) if str(dataset.subjects[i]) not in held_out]
    distances = (embedding[train] - embedding[sample]).norm(dim=1)
    expected = [train[i] for i in distances.argsort()[:5].tolist()]
    assert [one.sample for one in found.neighbours] == expected
    assert [one.subject for one in found.neighbours] == [str(dataset.subjects[i]) for i in expected]


def test_an_input_from_a_file_is_told_as_the_sample_it_is(made, tmp_path):
    folder, dataset = made
    _, said = stored(folder, "base", "0")
    sample = int(said.index[1])
    known = explain_sample(folder, sample, "base", fold=0, data=folder.parents[1])
    np.save(tmp_path / "it.npy", dataset.inputs[sample])
    other = explain_sample(folder, tmp_path / "it.npy", "base", fold=0, data=folder.parents[1])
    assert other.truth == "" and other.side == "" and "it.npy" in other.of
    for left, right in zip(
        (known.opinion, *known.teachers), (other.opinion, *other.teachers), strict=True
    ):
        np.testing.assert_allclose(left.probabilities, right.probabilities, atol=1e-6)
    np.testing.assert_allclose(known.evidence, other.evidence, atol=1e-6)
    assert other.evidence.shape == (dataset.inputs.shape[2],) and other.evidence.min() >= 0


def test_page_and_text_say_the_same_and_names_are_never_markup(made, tmp_path):
    folder, _ = made
    found = explain_sample(folder, 0, data=folder.parents[1])
    object.__setattr__(found, "of", NASTY)
    html = write_sample_page(found, tmp_path / "page.html").read_text()
    assert NASTY not in html and NASTY not in found._repr_html_() and 'src="http' not in html
    text = sample_text(found)
    assert found.class_names[found.answer] in text and found.class_names[found.answer] in html
    for one in found.neighbours:
        assert str(one.sample) in text


@pytest.mark.parametrize(
    ("sample", "stage", "sentence"),
    [
        (10**6, None, r"sample: found 1000000; allowed: 0 to "),
        (-1, None, r"sample: found -1; allowed: 0 to "),
        (0, "bas", r"unknown stage 'bas'; did you mean 'base'"),
        (np.zeros((3, 32)), None, r"found an input of \[3, 32\]; allowed: \[2, 32\]"),
        (np.full((2, 32), np.nan), None, r"no finite number"),
    ],
)
def test_what_cannot_be_explained_is_said_in_one_sentence(made, sample, stage, sentence):
    folder, _ = made
    with pytest.raises(UserError, match=sentence):
        explain_sample(folder, sample, stage, data=folder.parents[1])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "found no array of numbers; allowed: an .npy file"),
        (b"x,y\n1,2\n", "found no array of numbers; allowed: an .npy file"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_array_is_said_without_advice_to_unpickle(
    made, tmp_path, content, sentence
):
    folder, _ = made
    path = tmp_path / "window.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as told:
        explain_sample(folder, path, data=folder.parents[1])
    assert "pickle" not in str(told.value)


def test_a_number_of_numpy_is_a_sample_too(made):
    folder, _ = made
    found, same = (explain_sample(folder, n, data=folder.parents[1]) for n in (np.int64(5), 5))
    assert found.of == same.of
    np.testing.assert_array_equal(found.opinion.probabilities, same.opinion.probabilities)


def test_the_command_writes_the_page(made, tmp_path):
    folder, _ = made
    command = [
        "explain",
        str(folder),
        "0",
        "--to",
        str(tmp_path / "it.html"),
        "--data",
        str(folder.parents[1]),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "Grad-CAM of stage3" in result.output and (tmp_path / "it.html").is_file()


def scenes(content):
    content["data"] = {
        "type": "SyntheticScenes", "samples": 16, "size": 16, "grid": 4, "scope": "both", "test": 0.25
    }  # fmt: skip
    content["split"] = {"type": "OfficialSplit", "validation": 0.34}
    del content["folds"], content["modalities"]
    plain = {"type": "WideResNet", "depth": 10, "width": 1}
    network = {"type": "ConceptTransformer", "network": plain, "places": [8, 8]}
    both = {"labels": {"type": "Labels"}, "annotated": {"type": "ConceptExplanation"}}
    content["distiller"] = {"labels": {"type": "Labels"}}
    content["stages"] = {"plain": {}, "cct": {"network": network, "distiller": both}}
    content["baseline"] = "plain"


def test_concepts_of_an_image_add_up_to_the_score(tmp_path):
    settings = RunConfig(tmp_path / "runs", tmp_path, "cpu", 1)
    folder = run.execute(parse(Recipe, recipe(scenes), ""), "it", settings)
    [mine] = read_experiment(folder).of("cct")
    said = mine.predictions()
    found = explain_sample(folder, int(said.index[0]), "cct", data=tmp_path)
    score = float(said.logits[0, found.answer])
    assert sum(one.amount for one in found.contributions) + found.rest == pytest.approx(
        score, abs=1e-4
    )
    strongest = [abs(one.amount) for one in found.contributions]
    assert strongest == sorted(strongest, reverse=True)
    network, _ = load_network(mine.folder / "best.safetensors")
    first = found.contributions[0]
    x = network.standardise(torch.from_numpy(found.values)[None])
    with torch.no_grad():
        told = network.eval().network.explain(x)
        [(stream, number)] = [
            (name, part.names.index(first.concept))
            for name, part in told.streams.items()
            if first.concept in part.names
        ][:1]
        left = network.network.without(x, stream, number).numpy()
    expected = softened(left, found.opinion.temperature)[0, found.answer]
    assert first.without == pytest.approx(expected, abs=1e-5)
    assert found.evidence.shape == (16, 16)
    html = write_sample_page(found, tmp_path / "page.html").read_text()
    assert first.concept in html and "without it" in html
