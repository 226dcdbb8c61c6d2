"""Teachers that were asked elsewhere: their answers in files teach as they would themselves."""

import json

import numpy as np
import pytest
import torch

from tests.recipe.test_mistakes import examine
from tests.training.small import recipe
from tests.training.test_runs import execute, runs_of
from tutelage.checkpoint import read
from tutelage.errors import UserError
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import resolve
from tutelage.report import write_report

SAMPLES = 6 * 12 * 3


def taught(tmp_path, **stages):
    def change(content):
        content["distiller"]["soft"]["weighting"] = "Uniform"
        content["distiller"]["near"] = {
            "type": "PerTeacher",
            "term": {"type": "DiscriminativeConsistent", "width": 8},
            "coefficient": 1,
        }
        content["stages"] = stages

    return recipe(change)


def said(path, tmp_path):
    """Write what a trained teacher says of every sample; return logits and embeddings."""
    network, _ = load_network(path / "best.safetensors")
    dataset = load_data(recipe()["data"], tmp_path, None)
    logits, embeddings = [], []
    with torch.no_grad():
        output = network.on_tensor(torch.from_numpy(np.array(dataset.inputs)))
    logits, embeddings = output.logits.numpy(), output.features["embedding"].numpy()
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "embedding.npy", embeddings)
    return logits, embeddings


def stored(tmp_path, **more):
    return {"logits": str(tmp_path / "logits.npy"), **more}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Train a teacher and its student, and a student of what the teacher said."""
    tmp_path = tmp_path_factory.mktemp("stored")
    # Rounding depends on how many samples are asked together: live, teacher and file would differ in last bits.
    alive = taught(tmp_path, sig={"seed": 0}, alone={}, base={"teachers": ["sig"]})
    first = runs_of(execute(tmp_path, alive, "alive"))
    said(first["sig", 0], tmp_path)
    exact_answers(tmp_path)
    other = {"stored": stored(tmp_path, embedding=str(tmp_path / "embedding.npy"))}
    written = taught(tmp_path, sig=other, alone={}, base={"teachers": ["sig"]})
    return tmp_path, first, runs_of(execute(tmp_path, written, "written"))


def exact_answers(tmp_path):
    """Put what the teacher cache holds of the training samples into the files, bit by bit."""
    (entry,) = (p.parent for p in tmp_path.rglob("complete.json"))
    rows = np.load(entry / "rows.npy")
    for name, kept in (("logits", "logits"), ("embedding", "feature-embedding")):
        values, cached = np.load(tmp_path / f"{name}.npy"), np.load(entry / f"{kept}.npy")
        np.testing.assert_allclose(values[rows >= 0], cached[rows[rows >= 0]], atol=1e-4)
        values[rows >= 0] = cached[rows[rows >= 0]]
        np.save(tmp_path / f"{name}.npy", values)


def test_a_student_of_stored_answers_is_the_student_of_the_teacher_bit_for_bit(both):
    _, alive, written = both
    one, two = (read(runs["base", 0] / "last.safetensors")["student"] for runs in (alive, written))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    alone = read(written["alone", 0] / "last.safetensors")["student"]
    assert not torch.equal(alone["network.head.weight"], one["network.head.weight"])
    rows = [(runs["base", 0] / "metrics.jsonl").read_bytes() for runs in (alive, written)]
    assert rows[0] == rows[1]


def test_stored_answers_are_evaluated_as_any_stage(both):
    _, alive, written = both
    for side in ("validation", "test"):
        one, two = (
            json.loads((runs["sig", 0] / "evaluation.json").read_text())[side]
            for runs in (alive, written)
        )
        assert one["accuracy"] == two["accuracy"]
        assert one["nll"] == pytest.approx(two["nll"], rel=1e-4)


def test_without_test_rows_nothing_is_said_of_test_and_students_are_taught_all_the_same(both):
    tmp_path, _, written = both
    content = taught(tmp_path)
    parsed = parse(Recipe, content | {"stages": {"alone": {}}}, "")
    dataset = load_data(parsed.data, tmp_path, None)
    test = Fold.of(DataSpec.of(parsed), dataset, 0, tmp_path).split.test
    for name in ("logits", "embedding"):
        values = np.load(tmp_path / f"{name}.npy")
        values[test[1:]] = np.nan  # one row of the side is not enough for a number
        np.save(tmp_path / f"part-{name}.npy", values)
    part = {
        "logits": str(tmp_path / "part-logits.npy"),
        "embedding": str(tmp_path / "part-embedding.npy"),
    }
    stages = {"sig": {"stored": part}, "alone": {}, "base": {"teachers": ["sig"]}}
    runs = runs_of(execute(tmp_path, taught(tmp_path, **stages), "part"))
    assert set(json.loads((runs["sig", 0] / "evaluation.json").read_text())) == {"validation"}
    one, two = (read(r["base", 0] / "last.safetensors")["student"] for r in (written, runs))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert "sig" in write_report(tmp_path / "runs" / "part").read_text()


def test_probabilities_become_logits_whose_softmax_they_are(tmp_path):
    p = np.random.default_rng(0).dirichlet([1, 1, 1], SAMPLES)
    np.save(tmp_path / "logits.npy", p)
    content = taught(tmp_path, a={"stored": stored(tmp_path, scale="probabilities")})
    del content["distiller"]["near"], content["baseline"]
    runs = runs_of(execute(tmp_path, content))
    with np.load(runs["a", 0] / "predictions-test.npz") as found:
        e = np.exp(found["logits"])
        np.testing.assert_allclose(e / e.sum(1, keepdims=True), p[found["index"]], atol=1e-6)


def prints(content, tmp_path):
    parsed = parse(Recipe, content, "")
    dataset = load_data(parsed.data, tmp_path, None)
    data = Fold.of(DataSpec.of(parsed), dataset, 0, tmp_path)
    return {spec.stage: spec.fingerprint for spec in resolve(parsed, 0, data)}


def test_other_answers_in_the_same_file_are_another_teacher(tmp_path):
    values = np.random.default_rng(0).normal(size=(SAMPLES, 3)).astype(np.float32)
    np.save(tmp_path / "logits.npy", values)
    path = str(tmp_path / "logits.npy")
    content = taught(tmp_path, a={"stored": path}, alone={}, base={"teachers": ["a"]})
    before = prints(content, tmp_path)
    assert prints(content, tmp_path) == before
    np.save(tmp_path / "logits.npy", values + np.eye(SAMPLES, 3, dtype=np.float32))
    after = prints(content, tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"a", "base"}


MISTAKES = {
    "columns": (np.ones((SAMPLES, 4)), {}, {}, r"stages\.a\.stored: .*4 columns \(allowed: 3"),
    "rows": (np.eye(3)[:2] * 9, {}, {}, r"stages\.a\.stored: .*2 samples, but .* 216 windows"),
    "shape": (np.ones(SAMPLES), {}, {}, r"stages\.a\.stored: .*\[216\] float64"),
    "infinite": (np.diag([np.inf] * SAMPLES)[:, :3], {}, {}, "not finite at sample 0"),
    "unasked": (np.full((SAMPLES, 3), np.nan), {}, {}, "no answer for .* training samples"),
    "a missing file": (None, {}, {}, r"stages\.a\.stored: .*logits\.npy does not exist"),
    "logits, not stated": (np.full((SAMPLES, 3), 1 / 3), {}, {}, r"stored\.scale: logits, but"),
    "no probabilities": (
        np.ones((SAMPLES, 3)), {"scale": "probabilities"}, {}, r"stored\.scale: probabilities, but sample 0",
    ),
    "live": (np.ones((SAMPLES, 3)), {}, {"teachers": "live"}, r"train\.teachers: live, but teacher 'a'"),
    "augmented": (
        np.ones((SAMPLES, 3)), {}, {"augment_teachers": True, "mix": {"type": "Mixup", "alpha": 0.2}},
        r"augment_teachers: true, but teacher 'a'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_does_not_fit_is_one_sentence_before_anything_is_trained(name, tmp_path):
    values, how, train, sentence = MISTAKES[name]
    if values is not None:
        np.save(tmp_path / "logits.npy", values)
    stages = {"a": {"stored": stored(tmp_path, **how)}, "alone": {}, "base": {"teachers": ["a"]}}
    content = taught(tmp_path, **stages)
    del content["distiller"]["near"]
    content["train"] |= train
    with pytest.raises(UserError, match=sentence):
        examine(content, tmp_path)


def test_nothing_else_is_said_of_a_stage_with_answers(tmp_path):
    content = taught(tmp_path, a={"stored": "x.npy", "train": {"epochs": 3}}, alone={})
    with pytest.raises(UserError, match=r"stages\.a\.stored: .*remove train"):
        parse(Recipe, content, "")
    content = taught(tmp_path, pi={"stored": "x.npy"}, alone={})
    with pytest.raises(UserError, match=r"'pi' is the name of a modality"):
        parse(Recipe, content, "")
    content = taught(tmp_path, a={"stored": {"logit": "x.npy"}}, alone={})
    with pytest.raises(UserError, match=r"stages\.a\.stored"):
        parse(Recipe, content, "")


def test_answers_to_damaged_inputs_are_not_made_up(tmp_path):
    np.save(tmp_path / "logits.npy", np.ones((SAMPLES, 3)))
    stages = {"a": {"stored": stored(tmp_path)}, "alone": {}, "base": {"teachers": ["a"]}}
    content = taught(tmp_path, **stages) | {"evaluate": {"corruptions": ["Noise"], "stages": "all"}}
    del content["distiller"]["near"]
    with pytest.raises(UserError, match=r"stage 'a' reads 'a', which was computed elsewhere"):
        examine(content, tmp_path)
    examine(content | {"evaluate": {"corruptions": ["Noise"]}}, tmp_path)
