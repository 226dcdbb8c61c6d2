"""Who helped whom: the counts are those of a loop over the stored predictions."""

import json

import numpy as np
import pytest

from tests.report.fake import Fake, write
from tests.report.panels.test_trust import section
from tutelage.report import write_report
from tutelage.report.panels.passed_on.data import passed_on
from tutelage.report.panels.passed_on.section import sentence, tables_of
from tutelage.runs.ledger import read_experiment

SMALL = {"windows": 20, "epochs": 2, "stages": ("sig", "pi", "gaf", "alone", "base", "ann")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("passed"), Fake(**SMALL))


def looped(experiment, stage, teacher, keep):
    """Count one sample after the other."""
    counts = {"n": 0, "fixed": 0, "broken": 0, "good": 0, "bad": 0}
    runs = {(run.stage, *run.key): run.predictions("test") for run in experiment.runs}
    for (name, *key), taught in runs.items():
        if name != stage:
            continue
        alone, theirs = runs["alone", *key], runs[teacher, *key]
        for sample, label, who, logits in zip(
            taught.index, taught.labels, taught.subjects, taught.logits, strict=True
        ):
            if not keep(label, who):
                continue
            before = alone.logits[list(alone.index).index(sample)].argmax()
            said = theirs.logits[list(theirs.index).index(sample)].argmax()
            now = logits.argmax()
            counts["n"] += 1
            if before != label and now == label:
                counts["fixed"] += 1
                counts["good"] += said == label
            if before == label and now != label:
                counts["broken"] += 1
                counts["bad"] += said == now
    return counts


def same(moves, teacher, wanted):
    assert (moves.n, moves.fixed, moves.broken) == (wanted["n"], wanted["fixed"], wanted["broken"])
    assert moves.followed[teacher] == (wanted["good"], wanted["bad"])


def test_counts_are_those_of_a_loop(folder):
    experiment = read_experiment(folder)
    found = {each.stage: each for each in passed_on(experiment)}
    assert list(found) == ["base", "ann"] and found["ann"].teachers == ("sig", "pi", "gaf")
    base = found["base"]
    same(base.overall, "pi", looped(experiment, "base", "pi", lambda label, who: True))
    third = experiment.class_names[3]
    same(
        base.by_class[third],
        "sig",
        looped(experiment, "base", "sig", lambda label, who: label == 3),
    )
    person = sorted(base.by_subject)[1]
    same(
        base.by_subject[person],
        "gaf",
        looped(experiment, "base", "gaf", lambda _, who: who == person),
    )
    assert base.overall.fixed > 0 < base.overall.broken
    assert sum(moves.n for moves in base.by_class.values()) == base.overall.n
    gains = [
        run.evaluations["test"].accuracy - alone.evaluations["test"].accuracy
        for run in experiment.of("base")
        for alone in experiment.of("alone")
        if alone.key == run.key
    ]
    assert base.overall.net == pytest.approx(np.mean(gains))  # all folds are of one size here
    assert f"Of {base.overall.n:,} test samples {base.overall.fixed:,} are right" in sentence(base)


def test_the_page_says_it_and_tables_hold_the_numbers(folder, tmp_path):
    shown = section(write_report(folder, tmp_path).read_text(), "passed-on")
    assert "What came through from whom" in shown and "moved to pi" in shown
    [found] = [each for each in passed_on(read_experiment(folder)) if each.stage == "base"]
    by_class, by_subject = tables_of(found)
    assert (tmp_path / "tables" / f"{by_class.name}.csv").read_text() == by_class.csv()
    frame = by_class.to_frame()
    assert frame["pi"].tolist() == [
        100 * moves.from_teacher("pi") for moves in found.by_class.values()
    ]
    assert len(by_subject.rows) == len(found.by_subject)


def test_self_training_and_lost_teachers_are_left_out(folder, tmp_path):
    lost = write(tmp_path, Fake(**SMALL))
    for path in lost.glob("*/base/*/run.json"):
        record = json.loads(path.read_text())
        [alone] = [
            run
            for run in read_experiment(lost).of("alone")
            if run.key == (record["fold"], record["seed"])
        ]
        record["teachers"] = {"alone": {"path": alone.path, "fingerprint": alone.fingerprint}}
        path.write_text(json.dumps(record))
    for path in lost.glob("*/pi/*/predictions-test.npz"):
        path.unlink()
    assert passed_on(read_experiment(lost)) == ()
    assert not section(write_report(lost, tmp_path / "page").read_text(), "passed-on")
