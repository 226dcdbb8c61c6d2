"""The protocols of prompt learning: base and novel classes, few shots, no labels, other data sets."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.named import Named
from tests.training.test_runs import execute, read, runs_of
from tutelage.data import SyntheticImages
from tutelage.data.leakage import refuse_leakage, scan
from tutelage.data.splits import FewShot, OfficialSplit, Split, Transductive
from tutelage.errors import UserError
from tutelage.evaluate import assess_groups, harmonic_mean
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec
from tutelage.recipe.fold import Fold
from tutelage.recipe.groups import groups_of
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import resolve
from tutelage.report import write_report
from tutelage.runs.ledger import read_experiment
from tutelage.training.check import check
from tutelage.training.subset import training_subset

NAMES = [f"synthetic pattern {number}" for number in range(1, 6)]
BASE, NOVEL = NAMES[:3], NAMES[3:]
NEAR = {"type": "FeatureDistance", "student_tap": "embedding", "teacher_tap": "embedding"}


def recipe(**changes):
    content = {
        "data": {"type": "SyntheticImages", "classes": 5, "samples": 24, "size": 8, "test": 0.25},
        "split": {"type": "OfficialSplit", "validation": 0.25},
        "groups": "base_novel",
        "network": {"type": "tests.training.named.Named"},
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 0.05},
        "distiller": {"soft": {"type": "PerTeacher", "term": {"type": "SoftTargets", "temperature": 1}}},
        "stages": {
            "teacher": {"train_classes": "base", "shots": 8},
            "student": {"teachers": ["teacher"], "unlabelled": True, "published": {"base": 83.69}},
        },
        "baseline": "teacher",
    }  # fmt: skip
    return content | changes


def fold_of(content, tmp_path):
    loaded = parse(Recipe, content, "")
    dataset = SyntheticImages(5, 24, 8, 0.25).load()
    return loaded, Fold.of(DataSpec.of(loaded), dataset, 0, tmp_path)


def specs_of(content, tmp_path):
    loaded, fold = fold_of(content, tmp_path)
    return resolve(loaded, 0, fold), fold


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("protocols")
    other = {"type": "SyntheticImages", "classes": 4, "samples": 12, "size": 8, "seed": 3}
    return tmp_path, execute(tmp_path, recipe(transfer={"shifted": other}))


# groups of classes


def test_the_first_half_is_base_and_is_the_larger_one():
    loaded = parse(Recipe, recipe(), "")
    assert groups_of(loaded, NAMES) == {"base": tuple(BASE), "novel": tuple(NOVEL)}
    assert {len(names) for names in groups_of(loaded, NAMES[:4]).values()} == {2}
    base, novel = groups_of(loaded, [f"c{i}" for i in range(397)]).values()
    assert (len(base), len(novel), set(base) & set(novel)) == (199, 198, set())


def slow_groups(logits, labels, groups, names):
    """Each sample of a group by itself, with a loop over the classes that may be predicted."""
    found = {}
    for group, kinds in groups.items():
        hits, total = 0, 0
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
            if names[label] in kinds:
                best = max(kinds, key=lambda kind: row[names.index(kind)])
                hits += best == names[label]
                total += 1
        if total:
            found[group] = (total, hits / total)
    return found


def test_groups_are_evaluated_among_their_own_classes():
    torch.manual_seed(0)
    logits, labels = torch.randn(40, 5), torch.arange(40) % 5
    groups = {"novel": NOVEL, "base": BASE, "mixed": [NAMES[4], NAMES[0]]}
    found = assess_groups(logits, labels, NAMES, groups)
    told = {name: (one["n"], one["accuracy"]) for name, one in found["groups"].items()}
    assert told == slow_groups(logits, labels, groups, NAMES)
    scores = [one["accuracy"] for one in found["groups"].values()]
    assert found["harmonic_mean"] == pytest.approx(3 / sum(1 / score for score in scores))
    # other classes' scores change nothing
    louder = logits + torch.tensor([0, 0, 0, 50.0, 50.0])
    assert assess_groups(louder, labels, NAMES, {"base": BASE}) == assess_groups(
        logits, labels, NAMES, {"base": BASE}
    )
    assert assess_groups(logits, labels, NAMES, {}) == {}
    some = assess_groups(logits[labels < 3], labels[labels < 3], NAMES, groups | {"novel": NOVEL})
    assert list(some["groups"]) == ["base", "mixed"]
    assert some["harmonic_mean"] is None


def test_the_harmonic_mean():
    assert harmonic_mean([0.4, 0.4]) == pytest.approx(0.4)
    assert harmonic_mean([0.7, 0.0]) == 0.0
    assert harmonic_mean([0.9, 0.5]) <= 0.7
    # PromptKD, averages over eleven sets
    assert harmonic_mean([0.8696, 0.8073]) == pytest.approx(0.8373, abs=5e-5)


def test_a_run_keeps_its_groups_and_the_report_shows_them(finished):
    _, folder = finished
    for path in runs_of(folder).values():
        record, evaluation = read(path / "run.json"), read(path / "evaluation.json")
        assert record["data"]["groups"] == {"base": BASE, "novel": NOVEL}
        for split in ("validation", "test"):
            with np.load(path / f"predictions-{split}.npz") as stored:
                logits, labels = (torch.from_numpy(stored[n]) for n in ("logits", "labels"))
            wanted = slow_groups(logits, labels, record["data"]["groups"], NAMES)
            told = evaluation[split]["groups"]
            assert {n: (g["n"], g["accuracy"]) for n, g in told.items()} == wanted
    page = write_report(folder).read_text()
    tables = folder / "report" / "tables"
    rows = (tables / "groups.csv").read_text().splitlines()
    assert rows[0].startswith("method,n,base,novel,harmonic_mean")
    assert [row.split(",")[0] for row in rows[1:]] == ["teacher", "student"]
    assert "Groups of classes" in page
    (target,) = (tables / "published.csv").read_text().splitlines()[1:]
    assert target.startswith("student,base,83.69,")


def test_a_changed_group_score_is_refused(finished, tmp_path):
    import shutil

    _, folder = finished
    copy = tmp_path / "runs" / "it"
    shutil.copytree(folder, copy)
    path = runs_of(copy)["student", 0] / "evaluation.json"
    content = read(path)
    for change, sentence in (
        (lambda one: one["groups"]["base"].update(accuracy=0.011), r"groups.base: accuracy is 0.011"),
        (lambda one: one["groups"]["base"].update(n=5), r"groups.base counts 5 samples"),
        (lambda one: one.update(harmonic_mean=0.999), "harmonic_mean is 0.9990"),
        (lambda one: one["groups"].update(other=one["groups"]["base"]), "groups names 'other'"),
    ):  # fmt: skip
        changed = json.loads(json.dumps(content))
        change(changed["test"])
        path.write_text(json.dumps(changed))
        with pytest.raises(UserError, match=sentence):
            read_experiment(copy)
    path.write_text(json.dumps(content))
    assert read_experiment(copy).runs


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"groups": {"some": ["dog"]}}, r"groups.some: unknown class 'dog'"),
        ({"groups": {"some": []}}, r"groups.some: found no classes"),
        ({"stages": {"one": {"train_classes": "bass"}}},
         r"one.train_classes: unknown group 'bass'; did you mean 'base'"),
        ({"stages": {"one": {"published": {"nobel": 1.0}}}}, r"one.published: unknown quantity 'nobel'"),
        ({"stages": {"one": {"train_classes": ["dog"]}}}, r"one.train_classes: unknown class 'dog'"),
        ({"stages": {"one": {"train_classes": "base", "classes": BASE}}}, "found classes as well"),
        ({"stages": {"one": {"run": "x", "shots": 3, "unlabelled": True}}}, "remove shots, unlabelled"),
        ({"stages": {"one": {"shots": 15}}}, r"stages.one.shots: found 15, but class .* has 14 training samples"),
        ({"transfer": {"a/b": {"type": "SyntheticImages"}}}, r"transfer: found the name .a/b.; allowed: at most"),
        ({"transfer": {"a": {"type": "SyntheticImage"}}}, r"transfer.a.type: unknown data set"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(tmp_path, change, sentence):
    content = recipe(baseline=None) | change
    with pytest.raises(UserError, match=sentence):
        check(*specs_of(content, tmp_path), gradients=False)


# few shots, some classes


def test_every_stage_of_a_seed_gets_the_same_few_samples(tmp_path):
    content = recipe(
        stages={
            "one": {"shots": 4},
            "two": {"shots": 4, "network": {"type": "WideResNet", "depth": 10}, "unlabelled": True},
            "base": {"shots": 4, "train_classes": "base"},
            "fewer": {"shots": 2},
        },
        baseline="one",
    )
    loaded, fold = fold_of(content, tmp_path)
    samples = fold.samples(["image"])
    sides = {name: torch.from_numpy(side) for name, side in fold.split.sides().items()}

    specs = {spec.stage: spec for spec in resolve(loaded, 0, fold)}

    def drawn(name, seed, number):
        spec = replace(specs[name], seed=seed, fold=number)
        return set(training_subset(spec, samples, sides).index.tolist())

    assert len(drawn("one", 0, 0)) == 20
    assert drawn("one", 0, 0) == drawn("two", 0, 0)
    assert drawn("fewer", 0, 0) < drawn("one", 0, 0)
    assert drawn("base", 0, 0) == {i for i in drawn("one", 0, 0) if samples.labels[i] < 3}
    assert drawn("one", 1, 0) != drawn("one", 0, 0) != drawn("one", 0, 1)
    split = FewShot(OfficialSplit(0.25), 4, seed=7).split(fold.dataset)
    assert drawn("one", 7, 0) == set(split.train.tolist())


def test_a_stage_is_taught_and_chosen_on_its_classes_and_tested_on_all(finished):
    _, folder = finished
    found = runs_of(folder)
    teacher, student = (read(found[name, 0] / "run.json") for name in ("teacher", "student"))
    assert teacher["data"]["n_taught"] == 24
    assert teacher["data"]["n_train"] == student["data"]["n_taught"] == 70
    assert teacher["config"]["train_classes"] == "base"
    assert read(found["teacher", 0] / "evaluation.json")["test"]["n"] == 30
    # The dry run tells every network which classes its few samples have; training, the teacher alone.
    assert tuple(BASE) in {tuple(names) for names in Named.taught}


def test_other_classes_do_not_compete_in_training(tmp_path):
    torch.manual_seed(0)
    network = Named(3, NAMES).train()
    network.restrict_classes(BASE)
    x, labels = torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    loss = torch.nn.functional.cross_entropy(network(x).logits, labels)
    small = Named(3, BASE).train()
    small.load_state_dict(network.state_dict())
    assert float(loss.detach()) == pytest.approx(
        float(torch.nn.functional.cross_entropy(small(x).logits, labels).detach()), abs=1e-6
    )


# hidden labels


def test_labels_change_nothing_where_they_are_hidden(finished, tmp_path, monkeypatch):
    """The same run on data whose training labels were dealt anew gives the same weights."""
    _, folder = finished
    before = load_file(runs_of(folder)["student", 0] / "last.safetensors")
    stages = recipe()["stages"]
    stages["teacher"] = {"run": str(runs_of(folder)["teacher", 0]), "trust": True}
    load = SyntheticImages.load

    def dealt(self, *args, **kwargs):
        dataset = load(self, *args, **kwargs)
        train = OfficialSplit(validation=0.25).split(dataset).train
        dataset.labels[train] = np.random.default_rng(5).permutation(dataset.labels[train])
        return dataset

    split = OfficialSplit(validation=0.25).split(SyntheticImages(5, 24, 8, 0.25).load())
    monkeypatch.setattr(SyntheticImages, "load", dealt)
    monkeypatch.setattr(OfficialSplit, "split", lambda *_: split)
    again = execute(tmp_path, recipe(stages=stages, baseline="student"))
    after = load_file(runs_of(again)["student", 0] / "last.safetensors")
    weights = [key for key in before if key.startswith("student") or "layer" in key]
    assert weights
    for key in weights:
        assert torch.equal(before[key], after[key])


def test_a_run_without_labels_says_nothing_about_training_accuracy(finished):
    _, folder = finished
    rows = (runs_of(folder)["student", 0] / "metrics.jsonl").read_text().splitlines()
    assert all("accuracy" not in json.loads(row)["train"] for row in rows)
    assert all("accuracy" in json.loads(row)["validation"] for row in rows)


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ({"distiller": {"labels": {"type": "Labels"}}},
         r"student.distiller.labels: reads labels, which are hidden"),
        ({"train": {"sampler": "class_aware"}}, r"student.train.sampler: class_aware reads labels"),
        ({"distiller": {"soft": {"type": "PerTeacher", "term": {"type": "DecoupledTargets"}}}},
         r"student.distiller.soft: reads labels"),
        ({"distiller": {"near": {"type": "PerTeacher", "term": NEAR}}}, None),
    ],
)  # fmt: skip
def test_objectives_that_read_labels_are_refused(tmp_path, stage, sentence):
    content = recipe()
    content["stages"]["student"] |= stage
    if sentence is None:
        check(*specs_of(content, tmp_path), gradients=False)
        return
    with pytest.raises(UserError, match=sentence):
        check(*specs_of(content, tmp_path), gradients=False)


def test_a_split_may_train_on_test_inputs_if_labels_are_hidden(tmp_path):
    dataset = SyntheticImages(5, 24, 8, 0.25).load()
    split = Transductive().split(dataset)
    np.testing.assert_array_equal(split.train, np.flatnonzero(dataset.official_test))
    np.testing.assert_array_equal(split.train, split.test)
    assert len(split.validation) == 0
    refuse_leakage(dataset, split)
    assert {
        one.kind for one in scan(dataset, Split("x", split.train, split.validation, split.test))
    }
    every = Transductive().split(SyntheticImages(5, 4, 8, 0).load())
    assert len(every.train) == 20
    content = recipe(split={"type": "Transductive"}, train=recipe()["train"] | {"select": "last"})
    del content["stages"]["teacher"]["shots"]
    with pytest.raises(
        UserError, match=r"stages.teacher.unlabelled: found false, but split 'transductive'"
    ):
        check(*specs_of(content, tmp_path), gradients=False)
    content["train"]["select"] = "best"
    with pytest.raises(UserError, match="which chooses nothing"):
        fold_of(content, tmp_path)


def test_a_transductive_experiment_runs_and_is_reported(finished, tmp_path):
    _, folder = finished
    teacher = {"run": str(runs_of(folder)["teacher", 0]), "trust": True}
    stages = {"teacher": teacher, "student": {"teachers": ["teacher"], "unlabelled": True}}
    content = recipe(
        data={"type": "SyntheticImages", "classes": 4, "samples": 12, "size": 8, "test": 0, "seed": 3},
        split={"type": "Transductive"},
        stages=stages,
        baseline="student",
        groups={},
        train=recipe()["train"] | {"select": "last"},
    )  # fmt: skip
    Named.asked.clear()
    found = execute(tmp_path, content)
    assert tuple(NAMES[:4]) in Named.asked  # the teacher of five classes was asked for these four
    path = runs_of(found)["student", 0]
    assert set(read(path / "evaluation.json")) == {"test"}
    assert read(path / "evaluation.json")["test"]["n"] == 48
    assert read(path / "run.json")["selected"]["on"] == "last"
    page = write_report(found).read_text()
    assert "its numbers are those of another task" in page
    # the student imitates what the teacher says of these images
    loaded, _ = load_network(path / "best.safetensors")
    assert loaded.network.class_names == tuple(NAMES[:4])


# other data sets


def test_networks_are_evaluated_on_other_data_sets(finished):
    _, folder = finished
    record = read(folder / "experiment.json")["transfer"]["shifted"]
    assert record["data"]["class_names"] == NAMES[:4]
    assert record["data"]["n"] == 8
    dataset = SyntheticImages(4, 12, 8, seed=3).load()
    index = np.flatnonzero(dataset.official_test)
    for visit in record["runs"]:
        place = folder / visit["path"]
        network, _ = load_network(runs_of(folder)[visit["stage"], 0] / "best.safetensors")
        network.network.ask(NAMES[:4])
        with torch.no_grad():
            logits = network.on_tensor(torch.from_numpy(dataset.inputs[index])).logits
        with np.load(place / "predictions.npz") as stored:
            np.testing.assert_allclose(stored["logits"], logits, atol=1e-5)
            np.testing.assert_array_equal(stored["labels"], dataset.labels[index])
        hits = (logits.argmax(1).numpy() == dataset.labels[index]).mean()
        assert read(place / "evaluation.json")["test"]["accuracy"] == pytest.approx(hits)
    (transfer,) = read_experiment(folder).transfers
    assert set(transfer.evaluations) == {"teacher", "student"}
    write_report(folder)
    rows = (folder / "report" / "tables" / "transfer.csv").read_text().splitlines()
    assert rows[0].startswith("method,n,shifted,mean")
    assert len(rows) == 3


def test_an_evaluation_elsewhere_is_not_repeated(finished, monkeypatch):
    tmp_path, folder = finished
    before = {p: p.stat().st_mtime_ns for p in (folder / "transfer").rglob("*.json")}
    other = {"type": "SyntheticImages", "classes": 4, "samples": 12, "size": 8, "seed": 3}
    execute(tmp_path, recipe(transfer={"shifted": other}))
    assert {p: p.stat().st_mtime_ns for p in before} == before
    changed = other | {"seed": 4}
    execute(tmp_path, recipe(transfer={"shifted": changed}))
    assert all(p.stat().st_mtime_ns != time for p, time in before.items())
    execute(tmp_path, recipe(transfer={"shifted": other}))


def test_an_evaluation_of_other_weights_is_refused(finished, tmp_path):
    import shutil

    _, folder = finished
    copy = tmp_path / "runs" / "it"
    shutil.copytree(folder, copy)
    (path,) = (copy / "transfer").rglob("*student*/*/evaluation.json")
    content = read(path)
    for change, sentence in (
        ({"run": "0" * 64}, "is of another run"),
        ({"data": "0" * 64}, "is of another data set"),
        (
            {"test": content["test"] | {"accuracy": (content["test"]["accuracy"] + 0.5) % 1}},
            "accuracy is 0",
        ),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(UserError, match=sentence):
            read_experiment(copy)
    path.unlink()
    with pytest.raises(UserError, match="is missing; run the recipe again"):
        read_experiment(copy)


def test_a_network_with_classes_of_its_own_is_confined_to_those_of_the_other_set(tmp_path):
    content = recipe(
        network={"type": "WideResNet", "depth": 10},
        stages={"alone": {}},
        baseline="alone",
        transfer={"four": {"type": "SyntheticImages", "classes": 4, "samples": 8, "size": 8}},
    )
    folder = execute(tmp_path, content)
    (visit,) = read(folder / "experiment.json")["transfer"]["four"]["runs"]
    with np.load(folder / visit["path"] / "predictions.npz") as stored:
        assert stored["logits"].shape[1] == 4
    content["transfer"] = {
        "six": {"type": "SyntheticImages", "classes": 6, "samples": 8, "size": 8}
    }
    with pytest.raises(UserError) as told:
        execute(tmp_path, content)
    assert str(told.value) == (
        "transfer.six: stage 'alone' knows no class 'synthetic pattern 6' (allowed: classes it was trained on, or "
        "a network that knows classes by their names)"
    )
    content["transfer"] = {
        "large": {"type": "SyntheticImages", "classes": 4, "samples": 8, "size": 12}
    }
    with pytest.raises(
        UserError,
        match=re.escape("was trained on inputs of [3, 8, 8], 'synthetic-images' has [3, 12, 12]"),
    ):
        execute(tmp_path, content)
    content["transfer"] = {"signals": {"type": "SyntheticWearable"}}
    with pytest.raises(
        UserError, match=r"transfer.signals: holds signals, the data set of the recipe images"
    ):
        execute(tmp_path, content)


# words of a recipe that spare repetition


def test_an_encoder_has_a_name_and_a_network_is_laid_over_the_common_one():
    large = {"type": "OpenClip", "model": "ViT-L-14-quickgelu", "weights": "openai"}
    content = recipe(
        encoders={"large": large, "small": large | {"model": "ViT-B-16-quickgelu"}},
        network={"type": "PromptedClip", "encoder": "small", "tokens": 4},
        stages={
            "zero-shot": {"network": {"vision_depth": 0, "text_depth": 0}},
            "teacher": {"network": {"encoder": "large"}},
            "other": {"network": {"type": "Named"}},
        },
        baseline="zero-shot",
    )
    loaded = parse(Recipe, content, "")
    assert loaded.network_description("teacher") == {
        "type": "PromptedClip",
        "encoder": large,
        "tokens": 4,
    }
    zero = loaded.network_description("zero-shot")
    assert (zero["encoder"]["model"], zero["text_depth"]) == ("ViT-B-16-quickgelu", 0)
    assert loaded.network_description("other") == {"type": "Named"}
    assert parse(Recipe, recipe(), "").network_description("student") == recipe()["network"]
