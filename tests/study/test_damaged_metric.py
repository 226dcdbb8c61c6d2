"""Accuracy on damaged inputs as a metric of tables and comparisons."""

import numpy as np
import pytest

from tests.report.damaged import write_damage
from tests.study.studied import LADDER, write_study
from tutelage.errors import UserError
from tutelage.report.study.table import study_table
from tutelage.study.contrasts import compare_study
from tutelage.study.layout import table_spec
from tutelage.study.ledger import read_study


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("damaged") / "s", base=LADDER)
    for cell in ("16-1_low", "16-1_high", "16-3_low", "16-3_high"):
        write_damage(folder / cell, gain=0.03)
    return read_study(folder)


def test_a_table_of_damaged_accuracy(ledger):
    spec = table_spec({"metric": "damaged:Noise:2", "at": {"teachers": "16-1", "weight": "low"}})
    made = study_table(ledger, spec)
    numbers = {row.name: number for row, _, number in made.numbers if row.group == "students"}
    runs = ledger.cells[0].of("base")
    folds = {}
    for run in runs:
        folds.setdefault(run.fold, []).append(np.mean(run.robustness.accuracy["Noise", 2]))
    wanted = np.mean([np.mean(values) for values in folds.values()])
    assert numbers["base"].made.mean == pytest.approx(wanted)
    said = "Accuracy on damaged inputs (Noise, severity 2, mean over draws), %; test split"
    assert spec.sentence().startswith(said)
    assert numbers["base"].made.n == len(runs)


def test_a_comparison_of_damaged_accuracy_is_the_paired_one(ledger):
    found = compare_study(ledger, {"stage": "alone"}, "damaged")
    single = next(one for one in found.single if one.a == "base")
    gains = {}
    for mine, other in single.runs:
        gains.setdefault(mine.fold, []).append(mine.robustness.mean() - other.robustness.mean())
    assert single.mean == pytest.approx(np.mean([np.mean(values) for values in gains.values()]))
    plain = next(one for one in compare_study(ledger, {"stage": "alone"}).single if one.a == "base")
    assert single.mean != pytest.approx(plain.mean)


def test_a_metric_that_nobody_evaluated_is_refused(ledger, tmp_path):
    for metric, said in (
        ("damaged:Noize", "did you mean 'Noise'"),
        ("damaged:Noise:9", "'9'"),
        ("damaged:Noise:mild", "damaged:<name>:<severity>"),
    ):
        with pytest.raises(UserError, match=said):
            compare_study(ledger, {"stage": "alone"}, metric)
    with pytest.raises(
        UserError, match=r"metric damaged is of damaged test inputs \(allowed: test\)"
    ):
        table_spec({"metric": "damaged", "split": "validation"})
    other = read_study(write_study(tmp_path / "s"))
    with pytest.raises(UserError, match="nothing is trained anew"):
        study_table(other, table_spec({"metric": "damaged"}))
    with pytest.raises(UserError, match="micro is not defined for damaged"):
        study_table(ledger, table_spec({"metric": "damaged", "average": "micro"}))
