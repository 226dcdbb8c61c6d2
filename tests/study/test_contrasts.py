"""Differences inside a study equal plain loops; what they need and what choosing on test adds is said."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.study.studied import LADDER, write_study
from tutelage.audit.audit import audit_study
from tutelage.errors import UserError
from tutelage.report.verdicts import contrast_sentence
from tutelage.runs.ledger import read_experiment
from tutelage.study.comparison import compare
from tutelage.study.contrasts import compare_study
from tutelage.study.ledger import read_study
from tutelage.study.optimism import optimism

KEYS = [(fold, seed) for fold in ("fold-1", "fold-2") for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    folder = write_study(
        tmp_path_factory.mktemp("contrasts"),
        axes={"protocol": ("honest", "legacy"), "weight": ("low", "high")},
        cells={
            "honest_high": {"missing": (("annsp", "fold-2", 2),)},
            "legacy_low": {"protocol": "legacy"},
            "legacy_high": {"protocol": "legacy"},
        },
        base=replace(LADDER, stages=("alone", "base", "annsp")),
    )
    return read_study(folder)


def accuracies(ledger, cell, stage, split="test"):
    experiment = next(one.experiment for one in ledger.cells if one.name == cell)
    return experiment.values(stage, lambda e: e.accuracy, split)


def test_differences_in_each_cell(ledger):
    found = compare_study(ledger)
    assert found.against == "alone" and len(found.single) == 8
    one = next(c for c in found.single if c.a == "base" and c.where == "honest_low")
    a, b = (accuracies(ledger, "honest_low", stage) for stage in ("base", "alone"))
    slow = np.array([a[key] - b[key] for key in KEYS])
    assert one.mean == pytest.approx(slow.mean()) and one.n == 6 and one.folds == 2
    folds = slow.reshape(2, 3).mean(axis=1)
    low, high = stats.ttest_1samp(folds, 0).confidence_interval(0.95)
    assert one.interval.about == "new people" and one.again.about == "these folds"
    assert (one.interval.low, one.interval.high) == pytest.approx((low, high))
    assert one.verdict == "not distinguishable" and one.adjusted_p == 1.0  # two folds
    short = next(c for c in found.single if c.a == "annsp" and c.where == "honest_high")
    assert short.n == 5 and ("fold-2", 2) not in short.values


def test_the_mean_over_cells_does_not_count_cells_as_pairs(ledger):
    found = compare_study(ledger)
    one = next(c for c in found.over_cells if c.a == "base")
    assert one.n == 6 and one.where == "mean of 4"
    cells = [cell.name for cell in ledger.cells]
    slow = [
        np.mean([accuracies(ledger, cell, "base")[key] - accuracies(ledger, cell, "alone")[key]
                 for cell in cells])
        for key in KEYS
    ]  # fmt: skip
    assert one.mean == pytest.approx(np.mean(slow))
    assert one.oriented.sd == pytest.approx(np.std(np.reshape(slow, (2, 3)).mean(axis=1), ddof=1))
    assert next(c for c in found.over_cells if c.a == "annsp").n == 5


def test_differences_along_an_axis_leave_shared_runs_out(ledger):
    found = compare_study(ledger, {"weight": "low"})
    assert {one.stage for one in found.single} == {"base", "annsp"}
    one = next(c for c in found.single if (c.stage, c.where) == ("base", "honest"))
    a, b = (accuracies(ledger, f"honest_{weight}", "base") for weight in ("high", "low"))
    assert one.mean == pytest.approx(np.mean([a[key] - b[key] for key in KEYS]))
    assert (one.a, one.b) == ("weight high", "weight low")
    assert {(one.stage, one.where) for one in found.over_cells} == {
        ("base", "mean of 2"), ("annsp", "mean of 2"),
    }  # fmt: skip


def test_less_loss_is_better(tmp_path):
    base = replace(LADDER, stages=("alone", "annsp"), folds=("fold-1", "fold-2", "fold-3", "fold-4"),
                   skill={"annsp": 3.0})  # fmt: skip
    ledger = read_study(write_study(tmp_path, axes={"w": ("a",)}, base=base))
    (one,), (same,) = (compare_study(ledger, metric=name).single for name in ("nll", "accuracy"))
    assert one.mean < 0 < same.mean and one.verdict == same.verdict == "better"
    assert one.interval.low < one.interval.high < 0
    assert "annsp is better than alone by" in contrast_sentence(one, 1.0, "nats")


def test_runs_that_were_tested_on_other_samples_are_not_paired(tmp_path):
    folder = write_study(tmp_path, axes={"window": ("500", "1000")},
                         cells={"1000": {"windows": 15, "variant": "1000", "shared": ()}},
                         base=replace(LADDER, stages=("alone", "base")))  # fmt: skip
    found = compare_study(read_study(folder), {"window": "500"})
    assert [one.n for one in found.single] == [0, 0]
    said = contrast_sentence(found.single[0], 100, "points")
    assert "fold fold-1 has 75 samples of one and 100 of the other" in said
    assert not found.over_cells


def test_with_three_pairs_it_says_so(tmp_path):
    base = replace(LADDER, stages=("alone", "base"), folds=("fold-1",), skill={"base": 1.0})
    found = compare_study(read_study(write_study(tmp_path, axes={"w": ("a",)}, base=base)))
    one = found.single[0]
    assert one.verdict == "not distinguishable" and one.interval.about == "this split"
    assert "not distinguishable with n = 3 pairs" in contrast_sentence(one, 100, "points")


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ({"stage": "alnoe"}, "unknown stage 'alnoe'; did you mean 'alone'"),
        ({"weight": "mid"}, "unknown value of weight 'mid'"),
        ({"wieght": "low"}, "unknown axis 'wieght'"),
        ({"weight": "low", "protocol": "honest"}, "several things"),
    ],
)
def test_unknown_sides_are_refused(ledger, against, message):
    with pytest.raises(UserError, match=message):
        compare_study(ledger, against)


def test_one_experiment_and_a_study_decide_alike(tmp_path):
    base = replace(LADDER, stages=("alone", "base", "annsp"), folds=("fold-1", "fold-2", "fold-3"))
    folder = write_study(tmp_path, axes={"w": ("a",)}, base=base)
    found = compare_study(read_study(folder)).single
    single = compare(read_experiment(folder / "a"))
    assert [one.a for one in found] == [one.student for one in single] == ["base", "annsp"]
    for mine, other in zip(found, single, strict=True):
        assert mine.oriented == other.difference and mine.verdict == other.verdict
        assert mine.oriented.compared == 2 and mine.adjusted_p >= mine.oriented.p_value


def resolved(folder, stages, cells=None):
    """Let records say what the recipe says of its stages."""
    path = folder / "study.json"
    content = json.loads(path.read_text())
    content["resolved"] = {"recipe": {"stages": stages}}
    path.write_text(json.dumps(content))
    for cell, changed in (cells or {}).items():
        path = folder / cell / "experiment.json"
        content = json.loads(path.read_text())
        content["resolved"]["stages"] = stages | changed
        content |= {"students": ["alone", "base", "sig"], "teachers": []}
        path.write_text(json.dumps(content))


def test_teachers_that_a_cell_does_not_use_are_not_compared(tmp_path):
    base = replace(LADDER, stages=("sig", "alone", "base"), folds=("fold-1", "fold-2", "fold-3"),
                   missing=(("sig", "fold-1", 1), ("sig", "fold-2", 1)))  # fmt: skip
    folder = write_study(tmp_path, axes={"w": ("a",)}, base=base)
    stages = {"sig": {"teachers": []}, "alone": {"teachers": []}, "base": {"teachers": ["sig"]}}
    resolved(folder, stages, {"a": {"base": {"teachers": ["pi"]}}})
    entries = json.loads((folder / "a" / "experiment.json").read_text())
    entries["runs"] = [one for one in entries["runs"] if one["stage"] != "sig" or one["seed"] == 0]
    (folder / "a" / "experiment.json").write_text(json.dumps(entries))
    ledger = read_study(folder)
    assert ledger.students == ("alone", "base") and ledger.teachers == ("sig",)
    (one,) = compare_study(ledger).single
    assert one.a == "base" and one.oriented.compared == 1
    assert not ledger.missing  # seeds that nobody asked of a teacher are no holes
    assert "missing_runs" not in {finding.defect for finding in audit_study(folder).findings}


def test_a_teacher_with_a_seed_of_its_own_is_none_of_the_students(tmp_path):
    folder = write_study(
        tmp_path, axes={"w": ("a",)}, base=replace(LADDER, stages=("sig", "alone", "base"))
    )
    path = folder / "a" / "experiment.json"
    content = json.loads(path.read_text())
    content["resolved"]["stages"] = {"sig": {"seed": 0}, "alone": {}, "base": {"teachers": ["pi"]}}
    content |= {"students": ["sig", "alone", "base"], "teachers": []}
    content["runs"] = [one for one in content["runs"] if one["stage"] != "sig" or one["seed"] == 0]
    path.write_text(json.dumps(content))
    found = read_experiment(folder / "a")
    assert found.students == ("alone", "base") and found.teachers == ("sig",) and not found.holes


def test_another_method_in_each_cell_is_not_averaged(tmp_path):
    folder = write_study(
        tmp_path,
        axes={"method": ("kd", "dkd", "sp")},
        base=replace(LADDER, stages=("alone", "base")),
    )
    for cell, kind in (("kd", "SoftTargets"), ("dkd", "DecoupledTargets"), ("sp", "SoftTargets")):
        for path in folder.glob(f"{cell}/*/base/*/run.json"):
            record = json.loads(path.read_text())
            record["config"]["distiller"] = {"soft": {"type": kind, "coefficient": len(cell)}}
            path.write_text(json.dumps(record))
    found = compare_study(read_study(folder))
    assert len(found.single) == 3
    assert [one.where for one in found.over_cells] == ["mean of 2: kd; sp"]  # the two of one method


def test_optimism_from_every_source(ledger):
    found = optimism(ledger)
    by_source = {}
    for one in found:
        by_source.setdefault(one.source, []).append(one)
    assert set(by_source) == {"evaluations", "cells", "curves"}
    one = next(o for o in by_source["evaluations"] if (o.cell, o.stage) == ("legacy_low", "base"))
    honest = accuracies(ledger, "legacy_low", "base")
    legacy = accuracies(ledger, "legacy_low", "base", "test_legacy")
    assert one.gain.mean == pytest.approx(np.mean([legacy[k] - honest[k] for k in KEYS]))
    assert one.legacy - one.honest == pytest.approx(one.gain.mean)
    twins = {one.cell for one in by_source["cells"]}
    assert twins == {"honest_low, legacy_low", "honest_high, legacy_high"}
    twin = next(
        o for o in by_source["cells"] if (o.cell, o.stage) == ("honest_low, legacy_low", "base")
    )
    mine = accuracies(ledger, "honest_low", "base")
    assert twin.gain.mean == pytest.approx(np.mean([legacy[k] - mine[k] for k in KEYS]))


def test_optimism_of_curves_is_that_of_the_chosen_epochs(tmp_path):
    base = replace(LADDER, stages=("alone",), protocol="legacy", seeds=(0,), folds=("fold-1",))
    folder = write_study(tmp_path, axes={"w": ("a",)}, base=base)
    path = next(folder.rglob("metrics.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line, validation, test in zip(lines, (0.5, 0.9, 0.7), (0.6, 0.65, 0.8), strict=True):
        line["validation"]["accuracy"], line["test"]["accuracy"] = validation, test
    path.write_text("\n".join(json.dumps(line) for line in lines))
    one = next(o for o in optimism(read_study(folder)) if o.source == "curves")
    assert (one.honest, one.legacy) == (0.65, 0.8)
