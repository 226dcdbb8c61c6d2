"""The panel of damaged inputs: its numbers by hand, its verdicts by the one rule."""

import csv
import io

import numpy as np
import pytest
from scipy import stats

from tests.report.damaged import accuracy, asked, write_damage
from tests.report.fake import Fake, write
from tutelage.report.context import ReportContext
from tutelage.report.panels.robustness.data import curve, differences_by_kind, gain_curve
from tutelage.report.panels.robustness.section import section
from tutelage.runs.ledger import read_experiment

FAKE = Fake(
    stages=("sig", "alone", "base", "annsp"),
    windows=20,
    epochs=1,
    seeds=(0, 1),
    folds=("a", "b", "c"),
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("damaged") / "x", FAKE)
    write_damage(folder, gain=0.04)
    return read_experiment(folder)


def by_hand(experiment, stage, kind, severity):
    """Fold -> mean over seeds of the mean over draws."""
    folds = {}
    for run in experiment.of(stage):
        draws = run.robustness.accuracy[kind, severity]
        folds.setdefault(run.fold, []).append(np.mean(draws))
    return {fold: np.mean(seeds) for fold, seeds in folds.items()}


def test_points_are_means_of_folds_with_t_intervals(experiment):
    points = curve(experiment, "alone", "Noise")
    assert [point.severity for point in points] == [0, 1, 2, 3]
    units = np.array(list(by_hand(experiment, "alone", "Noise", 2).values()))
    assert points[2].mean == pytest.approx(units.mean())
    half = stats.t.ppf(0.975, 2) * units.std(ddof=1) / np.sqrt(3)
    assert points[2].interval.low == pytest.approx(units.mean() - half)
    assert (points[2].interval.about, points[2].runs) == ("new people", 6)
    clean = [run.evaluations["test"].accuracy for run in experiment.of("alone")]
    assert points[0].mean == pytest.approx(np.mean(clean))
    assert points[1].mean == pytest.approx(np.mean(clean) * 0.88 - 0.005, abs=1e-5)
    assert accuracy(1.0, "alone", "Noise", 1, 0) == 0.88


def test_gains_are_paired(experiment):
    point = gain_curve(experiment, "base", "Noise")[3]
    mine, other = (by_hand(experiment, stage, "Noise", 3) for stage in ("base", "alone"))
    units = np.array([mine[fold] - other[fold] for fold in mine])
    half = stats.t.ppf(0.975, 2) * units.std(ddof=1) / np.sqrt(3)
    assert point.mean == pytest.approx(units.mean())
    assert point.interval.high == pytest.approx(units.mean() + half)


def test_kinds_are_decided_together(experiment):
    found = differences_by_kind(experiment)
    assert [(one.kind, one.contrast.a) for one in found] == [
        ("Noise", "base"), ("Noise", "annsp"), ("Drift", "base"), ("Drift", "annsp"),
    ]  # fmt: skip
    assert {one.contrast.oriented.compared for one in found} == {4}
    alone = [one.contrast.oriented.p_value for one in found]
    assert min(one.contrast.adjusted_p for one in found) == pytest.approx(4 * min(alone))


def test_the_section_draws_and_says_what_the_numbers_are(experiment):
    made = section(ReportContext(experiment))
    assert [table.name for table in made.tables] == [
        "robustness", "robustness-differences", "robustness-severities",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(made.figures[0].drawing.data)))
    assert len(rows) == 3 * 2 * 4  # stages, kinds, undamaged and three severities
    third = next(
        r for r in rows if (r["stage"], r["corruption"], r["severity"]) == ("annsp", "Drift", "3")
    )
    assert float(third["mean"]) == pytest.approx(100 * curve(experiment, "annsp", "Drift")[3].mean)
    assert third["amount"] == "0.3"
    gains = list(csv.DictReader(io.StringIO(made.figures[1].drawing.data)))
    assert {row["stage"] for row in gains} == {"base", "annsp"}
    assert "2 kinds of damage, severities 1, 2 and 3, 2 draws each" in made.intro
    assert any(note.startswith("Over all damage: base") for note in made.notes)
    told = made.tables[0].csv().splitlines()
    assert told[0].startswith("method,n,clean")
    assert len(told) == 4  # the teacher was not asked


def test_without_damage_there_is_no_section_and_without_numbers_a_sentence(tmp_path):
    folder = write(tmp_path / "x", FAKE)
    assert section(ReportContext(read_experiment(folder))) is None
    everybody = [
        (stage, fold, seed) for stage in FAKE.stages for fold in FAKE.folds for seed in FAKE.seeds
    ]
    write_damage(folder, asked(), left_out=everybody)
    made = section(ReportContext(read_experiment(folder)))
    assert "does it without training" in made.empty
