"""Loss against accuracy: every dot is a run's own log and evaluation."""

import json

import numpy as np
import pytest
from scipy.stats import rankdata

from tests.report.fake import Fake, write
from tests.report.panels.test_trust import section
from tutelage.report import write_report
from tutelage.report.panels.curves.against import reached, sentence
from tutelage.runs.ledger import read_experiment

SMALL = {"windows": 12, "epochs": 3, "stages": ("sig", "alone", "base", "ann"), "folds": ("a", "b")}
TERMS = {"base": "AngularMargin", "ann": "AngularMargin", "alone": None}
KEPT = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two students learn from one objective; it is written down in every epoch, 10 times lower in the next."""
    folder = write(tmp_path_factory.mktemp("against"), Fake(**SMALL))
    for number, path in enumerate(sorted(folder.glob("*/*/*/run.json"))):
        record = json.loads(path.read_text())
        term = TERMS.get(record["stage"])
        objectives = {"labels": {"type": "Labels"}}
        if term:
            objectives["margin"] = {"type": "PerTeacher", "term": {"type": term}}
        record["config"]["distiller"] = objectives
        record["selected"] = {"epoch": KEPT, "on": "validation", "value": 0.5}
        path.write_text(json.dumps(record))
        log = path.parent / "metrics.jsonl"
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        for row in rows:
            row["train"]["margin" if term else "labels"] = (1 + number) * 10.0 ** -row["epoch"]
        log.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def test_dots_are_losses_of_the_kept_epoch_and_accuracies_of_the_test(folder):
    [found] = reached(read_experiment(folder))
    assert found.objective == "margin" and len(found.loss) == 2 * 2 * 3
    experiment = json.loads((folder / "experiment.json").read_text())
    places = {(run["stage"], run["fold"], run["seed"]): run["path"] for run in experiment["runs"]}
    for stage, key, loss, accuracy in zip(
        found.stages, found.keys, found.loss, found.accuracy, strict=True
    ):
        path = folder / places[stage, *key]
        row = json.loads((path / "metrics.jsonl").read_text().splitlines()[KEPT])
        assert loss == row["train"]["margin"]
        assert accuracy == json.loads((path / "evaluation.json").read_text())["test"]["accuracy"]
    ranks = rankdata(found.loss), rankdata(found.accuracy)
    assert found.correlation == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert "(12 runs)" in sentence((found,)) and "not what causes what" in sentence((found,))


def test_kinds_of_one_name_are_apart_and_few_runs_show_nothing(folder):
    for path in folder.glob("*/ann/*/run.json"):
        record = json.loads(path.read_text())
        record["config"]["distiller"]["margin"]["term"]["type"] = "SimilarityMap"
        path.write_text(json.dumps(record))
    found = reached(read_experiment(folder))
    assert [set(each.stages) for each in found] == [{"base"}, {"ann"}]
    for path in folder.glob("b/ann/*/run.json"):
        record = json.loads(path.read_text())
        record["config"]["distiller"] = {}
        path.write_text(json.dumps(record))
    assert [set(each.stages) for each in reached(read_experiment(folder))] == [{"base"}]


def test_the_page_draws_it_with_its_numbers(folder, tmp_path):
    shown = section(write_report(folder, tmp_path).read_text(), "curves")
    assert "Loss against accuracy" in shown and "rank correlation" in shown
