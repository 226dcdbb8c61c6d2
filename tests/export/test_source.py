"""Runs that lie in folders, shipped from there: the folder of runs that the first version left."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tutelage.cli.root import app
from tutelage.errors import UserError
from tutelage.export import load_model
from tutelage.export.choosing import find_source, of_experiment
from tutelage.export.source import evidence_of, load_run
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.ledger import read_study

FIRST_HOUSE = Path(__file__).parents[1] / "fixtures" / "runs-of-the-first-house"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIRST_HOUSE, tmp_path / "runs"))


def test_the_run_of_a_method_that_is_best_on_validation_is_taken(runs: Path) -> None:
    source = find_source(runs / "first", "alone")
    best = max(source.siblings, key=lambda run: run.evaluations["validation"].accuracy)
    assert source.run is best
    named = find_source(source.run.folder)
    assert (named.run.fingerprint, named.chosen, named.picked) == (source.run.fingerprint, "", "")
    assert source.picked == ""
    more = replace(source.experiment, runs=(*source.experiment.runs, replace(source.run, seed=1)))
    assert of_experiment(more, "alone").picked == (
        "fold 0, seed 0 has the best validation accuracy of its 2 runs"
    )


def test_a_study_gives_the_best_cell_and_names_it(runs: Path) -> None:
    study = read_study(runs / "study")
    levels = {}
    for cell in study.cells:
        for stage in study.compared(cell):
            found = cell.experiment.values(
                stage, lambda evaluation: evaluation.accuracy, "validation"
            )
            levels[cell.name, stage] = mean_of_folds(found)
    cell, stage = max(levels, key=lambda key: levels[key])
    source = find_source(runs / "study")
    assert (source.experiment.record.name, source.run.stage) == (cell, stage)
    assert source.chosen.startswith(f"cell {cell} has the best validation accuracy of 2 cells")
    assert source.chosen.count(stage) or len(study.compared(study.cells[0])) == 1
    named = find_source(runs / "study", stage)
    assert (named.experiment.record.name, named.run.stage) == (cell, stage)
    assert find_source(runs / "study", "half/base").run.stage == "base"
    with pytest.raises(UserError, match=r"unknown cell or stage 'hal'; did you mean 'half'"):
        find_source(runs / "study", "hal")
    with pytest.raises(UserError, match=r"unknown method 'alon'; did you mean 'alone'"):
        find_source(runs / "first", "alon")


def test_what_a_file_is_held_against_is_what_the_run_stored(runs: Path, tmp_path: Path) -> None:
    source = find_source(runs / "first", "alone")
    network, facts, evidence = evidence_of(source, tmp_path)
    model = load_run(source, tmp_path)
    assert model.facts == facts
    assert np.abs(model.logits(evidence.windows) - evidence.logits).max() < 1e-4
    stored = source.run.predictions("test")
    assert np.array_equal(evidence.labels, stored.labels)
    tested = {str(name) for name in stored.subjects}
    assert set(evidence.subjects) == tested
    assert facts.shape == tuple(evidence.windows.shape[1:])
    assert not network.training


def test_calibration_windows_are_training_windows(runs: Path, tmp_path: Path) -> None:
    source = find_source(runs / "first", "alone")
    _, _, evidence = evidence_of(source, tmp_path)
    tested = {window.tobytes() for window in evidence.windows}
    assert len(evidence.shown)
    assert not tested & {window.tobytes() for window in evidence.shown}


def test_a_network_that_reads_an_image_of_the_signal_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="reads 'pi', which is made from the signal; a device has the signal alone"
    ):
        evidence_of(find_source(runs / "first", "pi"), tmp_path)


def test_other_data_are_refused(runs: Path, tmp_path: Path) -> None:
    path = runs / "first" / "experiment.json"
    record = json.loads(path.read_text())
    record["resolved"]["data"]["noise"] = 0.9
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"was trained on .*; the data that are there now are"):
        evidence_of(find_source(runs / "first", "alone"), tmp_path)


def test_nothing_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder of a run, an experiment or a study"):
        find_source(tmp_path)


def test_ship_and_predict_on_the_command_line(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    out, data = tmp_path / "out", ["--data", str(tmp_path)]
    words = ["ship", runs / "first", "--method", "alone", "--to", out, "--formats", "onnx", *data]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "100.00 % of" in done.output
    assert sorted(path.name for path in out.iterdir()) == [
        "card.md",
        "model.json",
        "model.onnx",
        "parity.json",
    ]
    card = (out / "card.md").read_text()
    assert card.startswith("# alone: ")
    assert "Real data: it was trained on generated data." in card
    assert "| model.onnx |" in card

    facts = load_model(out / "model.onnx").facts
    np.save(tmp_path / "w.npy", np.zeros((3, *facts.shape), np.float32))
    texts = []
    for model in (out / "model.onnx", find_source(runs / "first", "alone").run.folder):
        said = CliRunner().invoke(app, ["predict", str(model), str(tmp_path / "w.npy"), *data])
        assert said.exit_code == 0, said.output
        texts.append([line.rpartition(",")[0] for line in said.output.splitlines()])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 4

    again = CliRunner().invoke(app, [str(word) for word in words])
    assert again.exit_code != 0
    assert "is there already" in again.output
    bad = CliRunner().invoke(app, ["ship", str(runs / "first"), "--formats", "onx"])
    assert "did you mean 'onnx'" in bad.output
