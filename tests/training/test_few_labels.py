"""Training with few labels: what is hidden stays hidden, what is refused, and what the report says."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.recipe.test_labelled import SOFT, STAGES, few
from tests.training.test_runs import execute, read, runs_of
from tutelage.data import SyntheticWearable
from tutelage.errors import UserError
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve
from tutelage.report import write_report
from tutelage.training.check import check
from tutelage.training.student import sides_of
from tutelage.training.subset import training_subset


def resolved(content, tmp_path):
    loaded = parse(Recipe, content, "")
    fold = Fold.of(DataSpec.of(loaded), load_data(loaded.data), 0, tmp_path)
    return {spec.stage: spec for spec in resolve(loaded, 0, fold)}, fold


def subset_of(spec, fold):
    samples = fold.samples(["signal"])
    return training_subset(spec, samples, sides_of(spec, fold, samples)), samples


def test_labels_of_unlabelled_samples_are_no_class_for_anybody(tmp_path):
    specs, fold = resolved(few({"per_class": 2}), tmp_path)
    taught, samples = subset_of(specs["taught"], fold)
    alone, _ = subset_of(specs["alone"], fold)
    train = set(fold.split.train.tolist())
    assert set(taught.index.tolist()) == train
    assert set(alone.index.tolist()) == set(taught.known.tolist()) < train
    assert len(alone.index) == 6
    known = torch.isin(torch.arange(len(samples)), taught.known)
    hidden = torch.isin(torch.arange(len(samples)), taught.index) & ~known
    assert bool((taught.samples.labels[hidden] == -1).all())
    assert torch.equal(taught.samples.labels[~hidden], samples.labels[~hidden])
    assert (taught.labelled, alone.labelled) == (False, True)


CAREFUL = {"type": "Confidence", "without_label": "uniform"}
BANK = {"type": "PerTeacher", "term": {"type": "ContrastiveRepresentation", "negatives": 4}}


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ({}, None),
        ({"distiller": {"soft": {"term": "PseudoLabels"}}}, None),
        ({"distiller": {"soft": {"term": "DecoupledTargets"}}}, "taught.distiller.soft: reads labels, which"),
        ({"distiller": {"soft": {"weighting": "Confidence"}}}, "taught.distiller.soft: reads labels"),
        ({"distiller": {"soft": {"weighting": CAREFUL}}}, None),
        ({"distiller": {"bank": BANK}}, "taught.distiller.bank: reads labels"),
        ({"train": {"sampler": "class_aware"}}, "taught.train.sampler: class_aware reads labels, which"),
        ({"train": {"sampler": "class_aware"}, "shown": "labelled"}, None),
    ],
)  # fmt: skip
def test_what_cannot_do_without_labels_is_refused(tmp_path, stage, sentence):
    stages = {"alone": {}, "taught": {"teachers": ["alone"], **stage}}
    specs, fold = resolved(few({"per_class": 2}, stages), tmp_path)
    if sentence is None:
        check(list(specs.values()), fold, gradients=False)
        return
    with pytest.raises(UserError, match=sentence):
        check(list(specs.values()), fold, gradients=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("few")
    return tmp_path, execute(tmp_path, few({"per_class": 2}))


@pytest.mark.slow
def test_hidden_labels_change_nothing(finished, tmp_path, monkeypatch):
    """The same runs on data whose other training labels were dealt anew give the same weights."""
    _, folder = finished
    content = few({"per_class": 2})
    specs, fold = resolved(content, tmp_path)
    kept, _ = subset_of(specs["taught"], fold)
    hidden = np.setdiff1d(kept.index.numpy(), kept.known.numpy())
    load, split, known = SyntheticWearable.load, fold.split, kept.known

    def dealt(self, *args, **kwargs):
        dataset = load(self, *args, **kwargs)
        dataset.labels[hidden] = np.random.default_rng(5).permutation(dataset.labels[hidden])
        return dataset

    monkeypatch.setattr(SyntheticWearable, "load", dealt)
    monkeypatch.setattr("tutelage.recipe.data_spec.split_labelled", lambda *_: split)
    monkeypatch.setattr("tutelage.training.subset.labelled_ids", lambda *_: known.numpy())
    again = execute(tmp_path, content)
    for stage in ("alone", "taught"):
        before = load_file(runs_of(folder)[stage, 0] / "last.safetensors")
        after = load_file(runs_of(again)[stage, 0] / "last.safetensors")
        weights = [key for key in before if "student" in key]
        assert weights
        assert all(torch.equal(before[key], after[key]) for key in weights)


@pytest.mark.slow
def test_the_report_says_how_many_labels_there_were(finished):
    _, folder = finished
    found = runs_of(folder)
    data = {name: read(found[name, 0] / "run.json")["data"] for name in STAGES}
    wanted = ("n_labelled", "n_taught", "n_train")
    counts = {name: [said[key] for key in wanted] for name, said in data.items()}
    assert counts == {"alone": [6, 6, 108], "taught": [6, 108, 108]}
    page = write_report(folder).read_text()
    assert "With labels for 6 of 108 training windows:" in page
    assert "6 labelled of 108" in page
    rows = (found["taught", 0] / "metrics.jsonl").read_text().splitlines()
    assert all("accuracy" not in json.loads(row)["train"] for row in rows)


@pytest.mark.slow
def test_own_recordings_without_labels_are_trained_on_by_those_with_teachers(tmp_path):
    source = SyntheticWearable(subjects=6, windows=12, window=32, channels=2, classes=3).load()
    labels = source.labels.copy()
    labels[::3] = -1
    for name, values in {"X": source.inputs, "y": labels, "subjects": source.subjects}.items():
        np.save(tmp_path / f"{name}.npy", values)
    content = few(None) | {"data": {"type": "Arrays", "folder": str(tmp_path)}, "stages": STAGES}
    content["distiller"] = SOFT
    found = runs_of(execute(tmp_path, content))
    data = {name: read(found[name, 0] / "run.json")["data"] for name in STAGES}
    assert data["alone"]["n_taught"] == data["alone"]["n_labelled"] == data["taught"]["n_labelled"]
    assert data["taught"]["n_taught"] == data["taught"]["n_train"] > data["alone"]["n_taught"]
