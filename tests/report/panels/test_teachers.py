"""What the teachers know: the page says what the stored predictions say."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.report.fake import Fake, write
from tests.report.panels.test_trust import section
from tutelage.report import write_report
from tutelage.report.panels.teachers import data, words
from tutelage.report.panels.teachers.tables import tables
from tutelage.runs.ledger import read_experiment
from tutelage.statistics.paired import paired_difference

SMALL = {"windows": 20, "epochs": 2, "stages": ("sig", "pi", "gaf", "alone", "base", "ann")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("taught"), Fake(**SMALL))


def test_the_page_shows_one_survey_for_students_of_the_same_teachers(folder, tmp_path):
    html = write_report(folder, tmp_path).read_text()
    shown = section(html, "teachers")
    assert "gaf, pi and sig, for base and ann" in " ".join(shown.split())
    assert {p.name for p in (tmp_path / "tables").glob("*.csv")} >= {
        "teachers.csv", "rescues-class.csv", "rescues-subject.csv", "agreement.csv",
    }  # fmt: skip


def test_the_numbers_are_those_of_the_stored_predictions(folder):
    experiment = read_experiment(folder)
    [found] = data.surveys(experiment)
    rows = list(csv.DictReader(io.StringIO(tables(found)[0].csv())))
    by_name = {row["who"]: row for row in rows}
    right, rescued, errors = [], 0, 0
    for run in experiment.of("alone"):
        alone = run.predictions("validation")
        [pi] = [r for r in experiment.of("pi") if r.key == run.key]
        theirs = pi.predictions("validation").logits.argmax(1) == alone.labels
        wrong = alone.logits.argmax(1) != alone.labels
        right.append(theirs.mean())
        rescued += (wrong & theirs).sum()
        errors += wrong.sum()
    assert float(by_name["pi"]["accuracy"]) == pytest.approx(np.mean(right))
    assert float(by_name["pi"]["rescues"]) == pytest.approx(rescued / errors)
    assert float(by_name["oracle"]["accuracy"]) >= float(by_name["fitted weights"]["accuracy"])
    # Of three teachers each can be left out.
    assert sum(name.startswith("without ") for name in by_name) == 3


def test_no_section_without_teachers_or_without_what_they_said(folder, tmp_path):
    alone = write(tmp_path / "a", Fake(**SMALL | {"stages": ("alone",)}))
    assert data.surveys(read_experiment(alone)) == ()
    lost = write(tmp_path / "b", Fake(**SMALL | {"stages": ("sig", "pi", "gaf", "alone", "base")}))
    for path in lost.glob("*/sig/*/predictions-validation.npz"):
        path.unlink()
    assert data.surveys(read_experiment(lost)) == ()


def decided_as(found, gains):
    """The survey with other values of its best mixture: alone plus these gains, one per fold."""
    alone = {(str(fold), 0): 0.9 for fold in range(len(gains))}
    mixed = {(str(fold), 0): 0.9 + gain for fold, gain in enumerate(gains)}
    accuracy = {**dict.fromkeys(found.accuracy, alone), "fitted weights": mixed}
    return replace(found, accuracy=accuracy)


@pytest.mark.parametrize(
    ("gains", "begins"),
    [
        ((0.03, 0.032, 0.031, 0.03), "The best mixture (fitted weights) is 3.1 points above alone"),
        ((-0.01, -0.02, -0.01, -0.03), "No mixture is better than alone"),
        ((0.05, -0.04, 0.03, -0.02), "Whether soft targets can help is not decided here"),
    ],
)
def test_the_verdict_follows_the_rule_of_all_differences(folder, gains, begins):
    [found] = data.surveys(read_experiment(folder))
    made = decided_as(found, gains)
    if gains[0] < 0:  # all others are equal to the student alone, which is the best then
        others = {n: made.accuracy["fitted weights"] for n in made.candidates}
        made = replace(made, accuracy={**made.accuracy, **others})
    said = words.verdict(made)
    assert said.startswith(begins)
    best = made.accuracy[made.best]
    interval = paired_difference(best, made.accuracy["alone"]).interval
    low = re.search(r"95 % ([+−0-9.]+) to", said)[1].replace("−", "-")
    assert float(low) == pytest.approx(100 * interval.low, abs=0.051)
