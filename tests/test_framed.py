"""What is a table: rows as a frame, and in a notebook, where names from files are never markup."""

import json

import pytest

import tutelage
from tests.training.small import recipe
from tutelage.execution import run
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse
from tutelage.report.table import Row, Table, TableCell, counted, left, stated
from tutelage.study.contrasts import compare_study
from tutelage.study.ledger import study_of

NASTY = "<script>alert(1)</script>"


def smaller(content):
    content["train"]["epochs"] = 1
    content["title"] = NASTY
    content["stages"] = {key: content["stages"][key] for key in ("sig", "alone", "base")}
    content["stages"]["base"]["teachers"] = ["sig"]
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    content["folds"] = [0, 1]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    home = tmp_path_factory.mktemp("framed")
    content = parse(Recipe, recipe(smaller), "")
    return tutelage.read_experiment(
        run.execute(content, "it", RunConfig(home / "runs", home, "cpu", 1))
    )


def test_an_experiment_has_a_row_of_each_run_with_the_numbers_of_its_files(experiment):
    frame = experiment.to_frame()
    assert len(frame) == len(experiment.runs) == 6
    for row in frame.itertuples():
        written = json.loads((experiment.folder / row.path / "evaluation.json").read_text())
        assert row.accuracy == written["test"]["accuracy"]
    shown = experiment._repr_html_()
    assert NASTY not in shown and "&lt;script&gt;" in shown
    assert shown.count("<tr") == 1 + 6


def test_a_study_has_the_rows_of_its_cells(experiment):
    frame = study_of(experiment).to_frame()
    assert len(frame) == 6 and "cell" in frame.columns
    assert frame["accuracy"].tolist() == experiment.to_frame()["accuracy"].tolist()


def test_comparisons_are_a_tuple_that_prints_as_a_table(experiment):
    compared = tutelage.compare(experiment)
    assert isinstance(compared, tuple) and [one.student for one in compared] == ["base"]
    [row] = compared.to_frame().to_dict("records")
    accuracy = {(*run.key, run.stage): run.evaluations["test"].accuracy for run in experiment.runs}
    pairs = [accuracy[fold, 0, "base"] - accuracy[fold, 0, "alone"] for fold in experiment.folds]
    assert row["difference"] == pytest.approx(sum(pairs) / 2)
    assert row["verdict"] == compared[0].verdict and row["pairs"] == 2
    assert "base" in str(compared) and "accuracy minus that of alone" in str(compared)
    assert "<table" in compared._repr_html_()
    whole = compare_study(study_of(experiment), {"stage": "alone"})
    assert whole.to_frame()["difference"].tolist() == [row["difference"]]


def test_a_study_is_compared_as_an_experiment_is_and_other_things_are_refused(experiment):
    whole = tutelage.compare(study_of(experiment))
    [row] = tutelage.compare(experiment).to_frame().to_dict("records")
    assert whole.to_frame()["difference"].tolist() == [row["difference"]]
    assert "base" in str(whole) and "minus alone" in str(whole)
    other = tutelage.compare(study_of(experiment), baseline="base").to_frame()
    assert other.loc[other["a"] == "alone", "difference"].tolist() == [-row["difference"]]
    with pytest.raises(tutelage.UserError, match=r"found a PosixPath; allowed: .*read_study"):
        tutelage.compare(experiment.folder)


def test_a_table_has_the_columns_of_its_csv():
    cells = (stated(NASTY), TableCell("3.1", 3.14159, interval=(1.0, 5.0)), counted(4))
    columns = (left("name"), left("value"), left("n"))
    table = Table("t", "what it is", columns, (Row(cells),))
    frame = table.to_frame()
    assert frame.columns.tolist() == table.csv().splitlines()[0].split(",")
    assert frame.loc[0].tolist() == [NASTY, 3.14159, 1.0, 5.0, 4]
    assert NASTY not in table._repr_html_() and "what it is" in table._repr_html_()
