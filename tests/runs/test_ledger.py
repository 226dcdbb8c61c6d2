"""The ledger shows holes, refuses what contradicts itself, and never unpickles."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.report.fake import Fake, write
from tutelage.errors import UserError
from tutelage.runs.folder import read_record, write_record
from tutelage.runs.frames import classes_frame, curves_frame, runs_frame, subjects_frame
from tutelage.runs.ledger import read_experiment
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.comparison import best_student, compare

SMALL = {"windows": 20, "epochs": 3, "stages": ("sig", "alone", "base", "annsp")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole"), Fake(**SMALL))


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def change(path, *keys, to):
    """Overwrite one value of a JSON file, as a careless hand would."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to(inner[keys[-1]]) if callable(to) else to
    path.write_text(json.dumps(content))


def place(folder, stage="base", fold="fold-1", seed=0):
    return next(folder.glob(f"{fold}/{stage}/seed-{seed}-*"))


def accuracy(evaluation):
    return evaluation.accuracy


def test_everything_is_read(whole):
    found = read_experiment(whole)
    assert len(found.runs) == 24 and not found.holes and not found.findings
    assert found.students == ("alone", "base", "annsp") and found.teachers == ("sig",)
    assert set(found.values("base", accuracy)) == {(f, s) for f in found.folds for s in (0, 1, 2)}
    run = found.of("base")[0]
    raw = json.loads((run.folder / "evaluation.json").read_text())
    assert run.evaluations["test"].accuracy == raw["test"]["accuracy"]
    assert run.predictions().logits.shape == (100, 6) and len(run.curve()) == 3


def test_holes_are_visible_and_never_averaged(whole, tmp_path):
    fake = Fake(**SMALL, failed=(("base", "fold-1", 1),), missing=(("base", "fold-2", 2),),
                running=(("annsp", "fold-2", 0),))  # fmt: skip
    found = read_experiment(write(tmp_path / "holes", fake))
    kinds = {(hole.stage, hole.fold, hole.seed): hole.kind for hole in found.holes}
    assert kinds == {
        ("base", "fold-1", 1): "failed",
        ("base", "fold-2", 2): "missing",
        ("annsp", "fold-2", 0): "incomplete",
    }
    assert "non_finite (soft) in epoch 8: the loss is nan" in [hole.reason for hole in found.holes]
    complete = read_experiment(whole).values("base", accuracy)
    left = {
        key: value for key, value in complete.items() if key not in {("fold-1", 1), ("fold-2", 2)}
    }
    assert found.values("base", accuracy) == left
    one = np.mean([left["fold-1", 0], left["fold-1", 2]])
    two = np.mean([left["fold-2", 0], left["fold-2", 1]])
    assert mean_of_folds(found.values("base", accuracy)) == pytest.approx((one + two) / 2)
    assert next(c for c in compare(found) if c.student == "base").difference.pairs == 4


def test_a_run_that_says_complete_without_evaluation_is_a_hole(folder):
    (place(folder) / "evaluation.json").unlink()
    (hole,) = read_experiment(folder).holes
    assert (hole.kind, hole.stage) == ("incomplete", "base")


def test_a_missing_run_names_the_hole_it_needs(folder):
    content = json.loads((folder / "experiment.json").read_text())
    content["resolved"]["stages"]["base"]["teachers"] = ["sig"]
    (folder / "experiment.json").write_text(json.dumps(content))
    shutil.rmtree(place(folder))
    change(place(folder, "sig") / "run.json", "status", to="failed")
    reasons = {hole.stage: hole.reason for hole in read_experiment(folder).holes}
    assert reasons["base"] == "the folder does not exist; it needs sig, a hole itself"


def test_a_student_without_a_listed_run_is_a_hole(folder):
    change(
        folder / "experiment.json",
        "runs",
        to=lambda runs: [
            r for r in runs if (r["stage"], r["fold"], r["seed"]) != ("annsp", "fold-1", 2)
        ],
    )
    found = read_experiment(folder)
    assert [(hole.kind, hole.stage, hole.seed) for hole in found.holes] == [
        ("not planned", "annsp", 2)
    ]
    assert any("not listed in experiment.json" in text for text in found.findings)


@pytest.mark.parametrize(
    ("file", "keys", "to", "message"),
    [
        ("run.json", ("fingerprint",), "f" * 64, "the fingerprint is 'ffff"),
        ("run.json", ("seed",), 7, "the seed is 7"),
        ("run.json", ("stage",), "annsp", "the stage is 'annsp'"),
        ("run.json", ("fold",), "fold-2", "the fold is 'fold-2'"),
        ("evaluation.json", ("test", "accuracy"), 0.0, "accuracy is 0.0000, but confusion gives"),
        ("evaluation.json", ("test", "n"), 99, "counts 100 samples, but n is 99"),
        ("evaluation.json", ("test", "confusion"), [[1]], r"confusion matrix is \(1, 1\) for 6"),
        ("evaluation.json", ("test", "per_subject", "S01", "accuracy"), 0.0, "per_subject gives"),
    ],
)  # fmt: skip
def test_tampering_is_refused_in_one_sentence(folder, file, keys, to, message):
    change(place(folder) / file, *keys, to=to)
    with pytest.raises(UserError, match=message) as caught:
        read_experiment(folder)
    assert file in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "keys", "to", "message"),
    [
        ("run.json", ("schema",), 2, "schema: Input should be 1, found 2"),
        ("run.json", ("network", "parameters"), -1, "network.parameters"),
        ("run.json", ("network", "parameters"), "62118", "valid integer"),
        ("evaluation.json", ("test", "accuracy"), 1.99, "test.accuracy: Input should be less than"),
        ("evaluation.json", ("test", "accuracy"), -0.1, "greater than or equal to 0"),
        ("evaluation.json", ("test", "ece"), float("nan"), "test.ece"),
    ],
)
def test_a_wrong_field_costs_its_run_alone(folder, file, keys, to, message):
    change(place(folder) / file, *keys, to=to)
    one_hole(folder, file, message)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"test": 1}', '"text"', "[[[["])
@pytest.mark.parametrize("file", ["run.json", "evaluation.json"])
def test_an_empty_or_cut_file_costs_its_run_alone(folder, file, content):
    (place(folder) / file).write_text(content)
    one_hole(folder, file, "the file is empty" if not content else ".")


@pytest.mark.parametrize("file", ["predictions-test.npz", "predictions-validation.npz"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.95])
def test_cut_predictions_cost_their_run_alone(folder, file, part):
    path = place(folder) / file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    one_hole(folder, file, "not a file of predictions")


REQUIRED = ("stage", "fold", "seed", "fingerprint", "data", "network", "status")


@pytest.mark.parametrize("how", ["missing", "null", "text"])
@pytest.mark.parametrize(
    "key",
    [*REQUIRED, "schema", "teachers", "environment", "code", "seconds", "selected", "failure"],
)
def test_every_field_of_a_record_may_be_wrong(folder, key, how):
    path = place(folder) / "run.json"
    record = json.loads(path.read_text())
    if how == "missing":
        record.pop(key, None)
    else:
        record[key] = None if how == "null" else "text"
    path.write_text(json.dumps(record))
    may = (how == "missing" and key not in REQUIRED) or (
        how == "null" and key in ("seconds", "selected", "failure")
    )
    if may:  # as the first version wrote it
        assert not read_experiment(folder).holes
    elif how == "text" and key in ("stage", "fold", "fingerprint"):  # a contradiction, no damage
        with pytest.raises(UserError, match=r"run\.json"):
            read_experiment(folder)
    else:
        one_hole(folder, "run.json", key)


def test_keys_of_a_later_version_are_named_and_kept(folder):
    path = place(folder) / "run.json"
    change(path, "colour", to="green")
    found = read_experiment(folder)
    assert not found.holes
    assert any("'colour'" in text and "does not know" in text for text in found.findings)
    record = read_record(path.parent)
    write_record(path.parent, replace(record, seconds=1.5))
    again = json.loads(path.read_text())
    assert (again["colour"], again["seconds"]) == ("green", 1.5)


def one_hole(folder, file, message):
    found = read_experiment(folder)
    (hole,) = found.holes
    assert hole.kind == "unreadable" and (hole.stage, hole.fold, hole.seed) == ("base", "fold-1", 0)
    assert file in hole.reason and re.search(message, hole.reason) and "\n" not in hole.reason
    assert len(found.runs) == len(found.record.runs) - 1


def test_the_folder_name_must_carry_the_fingerprint(folder):
    here = place(folder)
    here.rename(here.with_name("seed-0-0123456789"))
    change(folder / "experiment.json", "runs", to=lambda runs: [
        {**r, "path": "fold-1/base/seed-0-0123456789"} if r["path"] == str(here.relative_to(folder)) else r
        for r in runs
    ])  # fmt: skip
    with pytest.raises(
        UserError, match="its folder is 'fold-1/base/seed-0-0123456789', not 'seed-0-"
    ):
        read_experiment(folder)


def test_swapped_predictions_are_refused(folder):
    mine, other = place(folder), place(folder, fold="fold-2")
    for name in ("predictions-test.npz", "predictions-validation.npz", "evaluation.json"):
        shutil.copy(other / name, mine / name)
    with pytest.raises(UserError, match="other test samples or labels than"):
        read_experiment(folder)


def test_predictions_must_give_the_stated_accuracy(folder):
    path = place(folder) / "predictions-test.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "logits": -arrays["logits"]})
    with pytest.raises(UserError, match="but predictions gives"):
        read_experiment(folder)


def test_nothing_is_unpickled(folder):
    path = place(folder) / "predictions-test.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "subjects": arrays["subjects"].astype(object)})
    one_hole(folder, "predictions-test.npz", "not a file of predictions")


def test_repeated_and_ambiguous_entries(folder):
    runs = json.loads((folder / "experiment.json").read_text())["runs"]
    change(folder / "experiment.json", "runs", to=[*runs, runs[0]])
    found = read_experiment(folder)
    assert len(found.runs) == 24
    assert found.findings == ("sig, fold fold-1, seed 0 is listed 2 times; it is counted once.",)
    twin = {**runs[0], "fingerprint": "0" * 64, "path": f"fold-1/sig/seed-0-{'0' * 10}"}
    change(folder / "experiment.json", "runs", to=[*runs, twin])
    found = read_experiment(folder)
    assert [hole.kind for hole in found.holes] == ["ambiguous"]
    assert ("fold-1", 0) not in found.values("sig", accuracy)


def test_stages_that_ask_for_the_same_network_share_a_run(folder):
    runs = json.loads((folder / "experiment.json").read_text())["runs"]
    alone = {(r["fold"], r["seed"]): r for r in runs if r["stage"] == "alone"}
    shared = [
        {**r, **{k: alone[r["fold"], r["seed"]][k] for k in ("path", "fingerprint")}}
        if r["stage"] == "sig" else r
        for r in runs
    ]  # fmt: skip
    change(folder / "experiment.json", "runs", to=shared)
    found = read_experiment(folder)
    assert found.values("sig", accuracy) == found.values("alone", accuracy)
    assert {run.stage for run in found.of("sig")} == {"sig"}
    assert "alone and sig ask for the same network and share its runs." in found.findings


def test_a_run_given_by_the_recipe_keeps_its_own_fingerprint(folder):
    content = json.loads((folder / "experiment.json").read_text())
    content["resolved"]["stages"]["sig"]["run"] = "somewhere"
    for entry in content["runs"]:
        if entry["stage"] == "sig":
            entry["fingerprint"] = "a" * 64
    (folder / "experiment.json").write_text(json.dumps(content))
    assert len(read_experiment(folder).of("sig")) == 6


def test_copied_results_and_constant_students_are_found(folder):
    a, b = place(folder, seed=0), place(folder, seed=1)
    for name in ("predictions-test.npz", "evaluation.json", "predictions-validation.npz"):
        shutil.copy(a / name, b / name)
    assert any("identical to the last bit" in text for text in read_experiment(folder).findings)


def test_wrong_experiments_are_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r"experiment.json is missing"):
        read_experiment(tmp_path)
    change(folder / "experiment.json", "baseline", to="alnoe")
    with pytest.raises(UserError, match="unknown stage 'alnoe'; did you mean 'alone'"):
        read_experiment(folder)
    (folder / "experiment.json").write_text("{")
    with pytest.raises(UserError, match="Invalid JSON"):
        read_experiment(folder)


def test_an_absolute_path_is_refused(folder):
    change(folder / "experiment.json", "runs", 0, "path", to="/etc/seed-0-0")
    with pytest.raises(UserError, match="is not relative"):
        read_experiment(folder)


def test_data_without_subjects_have_no_subject_interval(folder):
    for path in folder.glob("*/*/*/evaluation.json"):
        for split in ("validation", "test"):
            change(path, split, "per_subject", to={})
        for side in ("train", "validation", "test"):
            change(path.with_name("run.json"), "data", f"{side}_subjects", to=None)
    assert all(one.subjects is None for one in compare(read_experiment(folder)))


def test_the_best_student_is_chosen_on_validation(tmp_path):
    fake = Fake(**SMALL, validation_skill={"base": 3.0})
    found = read_experiment(write(tmp_path, fake))
    on_test = {name: mean_of_folds(found.values(name, accuracy)) for name in ("base", "annsp")}
    assert on_test["annsp"] > on_test["base"]
    assert best_student(found) == "base"


def test_comparison_equals_a_loop_over_files(whole):
    found = read_experiment(whole)
    one = next(c for c in compare(found) if c.student == "annsp")

    def read(stage, fold, seed):
        text = (place(whole, stage, fold, seed) / "evaluation.json").read_text()
        return json.loads(text)["test"]["accuracy"]

    keys = [(fold, seed) for fold in ("fold-1", "fold-2") for seed in (0, 1, 2)]
    slow = [read("annsp", *key) - read("alone", *key) for key in keys]
    assert one.difference.mean == pytest.approx(np.mean(slow))
    assert one.subjects.mean == pytest.approx(np.mean(slow))
    assert one.difference.pairs == 6 and one.subjects.subjects == 10
    folds = np.mean(np.reshape(slow, (2, 3)), axis=1)  # what is independent
    low, high = stats.ttest_1samp(folds, 0).confidence_interval(0.95)
    assert (one.difference.interval.low, one.difference.interval.high) == pytest.approx((low, high))
    assert one.verdict == "not distinguishable"  # two folds alone claim nothing


def test_frames_show_holes_without_numbers(tmp_path):
    fake = Fake(**SMALL, failed=(("base", "fold-1", 1),))
    found = read_experiment(write(tmp_path / "frames", fake))
    frame = runs_frame(found)
    assert len(frame) == 24 and frame["accuracy"].isna().sum() == 1
    assert frame[frame["status"] == "failed"]["reason"].iloc[0].startswith("non_finite")
    assert len(curves_frame(found)["epoch"].unique()) == 3
    assert set(classes_frame(found)["class"]) == set(found.class_names)
    assert subjects_frame(found)["n"].sum() == 23 * 100
