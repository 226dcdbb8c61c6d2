"""Shares of the gradient on the page are those of the logs."""

import json

import pytest

from tests.report.fake import Fake, write
from tests.report.panels.test_trust import section
from tutelage.report import write_report
from tutelage.report.panels.learning import data, words
from tutelage.runs.ledger import read_experiment

SMALL = {"windows": 12, "epochs": 3, "stages": ("sig", "alone", "base"), "folds": ("0",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two of three epochs are measured; a share grows, and one objective pulls against the labels."""
    folder = write(tmp_path_factory.mktemp("pulled"), Fake(**SMALL))
    for number, path in enumerate(sorted(folder.glob("*/base/*/metrics.jsonl"))):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row, share in ((rows[0], 0.5), (rows[2], 0.96 + 0.01 * number)):
            row["gradients"] = {
                "labels": {"norm": 1.0, "share": 1 - share, "cosine": None},
                "soft": {"norm": 1.0, "share": share, "cosine": -0.25},
            }
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
        record = json.loads((path.parent / "run.json").read_text())
        record["coefficients"] = {"soft": 2.5 + number}
        (path.parent / "run.json").write_text(json.dumps(record))
    return folder


def test_courses_are_means_over_runs_of_the_epochs_that_were_measured(folder):
    [pull] = data.pulls(read_experiment(folder))
    by_name = {course.name: course for course in pull.shares}
    n = pull.runs
    assert by_name["soft"].epochs.tolist() == [1, 3]
    assert by_name["soft"].mean.tolist() == pytest.approx([0.5, 0.96 + 0.01 * (n - 1) / 2])
    assert by_name["soft"].high[-1] == pytest.approx(0.96 + 0.01 * (n - 1))
    assert [course.name for course in pull.cosines] == ["soft"]
    assert pull.settled == {"soft": tuple(2.5 + number for number in range(n))}


def test_words_name_what_drowns_the_labels_and_pulls_against_them(folder):
    said = words.sentence(data.pulls(read_experiment(folder))[0])
    assert "more than ten times as strong as the labels: soft" in said
    assert "against the labels: soft" in said
    assert "settled as a share of the gradient: soft 2.50 to" in said


def test_the_page_shows_it_where_it_was_measured(folder, tmp_path):
    assert section(write_report(folder, tmp_path / "a").read_text(), "learning")
    plain = write(tmp_path / "plain", Fake(**SMALL))
    assert not section(write_report(plain, tmp_path / "b").read_text(), "learning")
