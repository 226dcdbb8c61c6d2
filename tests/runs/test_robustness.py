"""What is known of damaged inputs: kept, merged, and read back only where it is of this run and complete."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.report.damaged import asked, described, write_damage
from tests.report.fake import Fake, write
from tutelage.errors import UserError
from tutelage.runs.ledger import read_experiment
from tutelage.runs.robustness import (
    DamagedScore,
    Robustness,
    RobustnessRecord,
    key_of,
    known_robustness,
    merged,
    read_robustness,
    write_asked,
    write_robustness,
)

SMALL = Fake(stages=("sig", "alone", "base"), windows=20, epochs=1, seeds=(0, 1))


def score(severity, draw, accuracy=0.5):
    return DamagedScore(severity, draw, accuracy, 0.5, 1.0, 0.5, 0.1, 0.1)


def test_scores_are_merged_and_kept_apart_by_what_decides_them(tmp_path):
    record = merged(
        RobustnessRecord(1, "r", "w", 9), described("Noise"), (score(2, 0), score(1, 0))
    )
    record = merged(record, described("Noise"), (score(1, 1), score(2, 0, 0.7)))
    record = merged(record, described("Noise") | {"levels": [0.5]}, (score(1, 0),))
    assert len(record.corruptions) == 2
    cells = record.corruptions[key_of(described("Noise"))].by_cell
    assert list(cells) == [(1, 0), (1, 1), (2, 0)]
    assert cells[2, 0].accuracy == 0.7  # the later one
    write_robustness(tmp_path, record)
    assert known_robustness(tmp_path, "r", "w", 9) == record
    # of another run, network or test side: begun anew
    for other in (("x", "w", 9), ("r", "x", 9), ("r", "w", 8)):
        assert known_robustness(tmp_path, *other) == RobustnessRecord(1, *other)
    (tmp_path / "robustness.json").write_text("{")
    assert known_robustness(tmp_path, "r", "w", 9).corruptions == {}


def test_the_mean_is_over_draws_then_over_severities_and_kinds():
    known = Robustness({("a", 1): (0.5, 0.7), ("a", 2): (0.3,), ("b", 1): (0.9, 0.9)})
    assert known.names == ("a", "b")
    assert known.mean() == pytest.approx(np.mean([0.6, 0.3, 0.9]))
    assert known.mean("a") == pytest.approx(0.45)
    assert known.mean("a", 1) == pytest.approx(0.6)
    assert known.mean(severity=1) == pytest.approx(0.75)
    assert known.mean("c") is None


def test_an_experiment_reads_what_it_asks_for(tmp_path):
    folder = write(tmp_path / "x", SMALL)
    assert read_experiment(folder).asked is None
    wanted = write_damage(folder, asked(("alone", "base")))
    experiment = read_experiment(folder)
    assert experiment.asked == wanted
    for run in experiment.runs:
        if run.stage == "sig":
            assert run.robustness is None
            continue
        clean = run.evaluations["test"].accuracy
        found = run.robustness.accuracy["Drift", 3]
        assert found == pytest.approx((clean * (1 - 0.18), clean * (1 - 0.18) - 0.01), abs=1e-5)
    # part of what is there may be asked, too
    write_asked(folder, asked(("alone",), ("Drift",), (2,), 1))
    few = {run.stage: run.robustness for run in read_experiment(folder).runs}
    assert few["base"] is None
    assert list(few["alone"].accuracy) == [("Drift", 2)]
    write_asked(folder, None)
    assert not (folder / "corruptions.json").exists()


def test_what_is_missing_or_damaged_is_a_finding_and_no_hole(tmp_path):
    folder = write(tmp_path / "x", SMALL)
    lost = ("base", "fold-1", 0)
    wanted = write_damage(folder, asked(("alone", "base")), left_out=(lost,))
    experiment = read_experiment(folder)
    assert not experiment.holes
    told = [finding for finding in experiment.findings if "robustness.json" in finding]
    assert len(told) == 1
    assert "run the recipe again" in told[0]
    run = next(run for run in experiment.runs if run.robustness is not None)
    more = replace(wanted, draws=3)
    with pytest.raises(UserError, match="has no Noise of severity 1, draw 3"):
        read_robustness(run.folder, run.fingerprint, run.evaluations["test"].n, more)
    with pytest.raises(UserError, match="is of another run"):
        read_robustness(run.folder, "x", run.evaluations["test"].n, wanted)
    content = json.loads((run.folder / "robustness.json").read_text())
    next(iter(content["corruptions"].values()))["scores"][0]["accuracy"] = 1.7
    (run.folder / "robustness.json").write_text(json.dumps(content))
    assert any("1.7" in finding for finding in read_experiment(folder).findings)
    (folder / "corruptions.json").write_text("[]")
    experiment = read_experiment(folder)
    assert experiment.asked is None
    assert any("nothing is said of damaged inputs" in finding for finding in experiment.findings)
