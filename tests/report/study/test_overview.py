"""The page of a study leads with what it found, takes it apart, and leads on to every cell."""

import csv
import os
from dataclasses import replace

import numpy as np
import pytest

from tests.report.test_page import Page
from tests.study.studied import LADDER, share, write_study
from tutelage.errors import UserError
from tutelage.report import write_study_report
from tutelage.report.study.answer import answer
from tutelage.report.study.budget import budgets, unequal
from tutelage.report.study.people import subject_gains
from tutelage.study.contrasts import compare_study
from tutelage.study.ledger import read_study

THREE = replace(LADDER, folds=("fold-1", "fold-2", "fold-3"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = write_study(tmp_path_factory.mktemp("study"), base=THREE,
                       cells={"16-3_high": {"failed": (("base", "fold-1", 1),)}})  # fmt: skip
    for cell in ("16-1_high", "16-3_low", "16-3_high"):
        share(path, cell, "16-1_low", "alone")
    return path


@pytest.fixture(scope="module")
def page(folder):
    return Page(write_study_report(folder).read_text())


def test_every_section_is_there_and_every_cell_can_be_reached(folder, page):
    assert not page.wrong and len(set(page.ids)) == len(page.ids)
    sections = ["answer", "differences", "table", "runs", "people", "cost", "cells", "holes"]
    assert [key for key in page.ids if key in sections] == sections
    ways = [link for link in page.links if link.endswith("report/index.html")]
    assert len(ways) == 4
    assert all((folder / "report" / way).resolve().is_file() for way in ways)
    tables = {path.name for path in (folder / "report" / "tables").iterdir()}
    assert {"comparison.csv", "table.md", "subjects.tex", "classes.csv", "cost.csv"} <= tables


def test_cells_are_written_again_only_when_something_is_newer(folder, page):
    reports = sorted(folder.glob("*/report/index.html"))
    before = [path.stat().st_mtime_ns for path in reports]
    write_study_report(folder)
    assert [path.stat().st_mtime_ns for path in reports] == before
    reports[0].write_text("old")
    record = folder / reports[0].parts[-3] / "experiment.json"
    later = reports[0].stat().st_mtime + 10
    os.utime(record, (later, later))
    write_study_report(folder)
    assert reports[0].read_text() != "old"
    assert [path.stat().st_mtime_ns for path in reports[1:]] == before[1:]


def test_the_answer_is_chosen_on_validation_where_all_have_one_baseline(folder):
    ledger = read_study(folder)
    comparison = compare_study(ledger)
    best = max(
        (one for one in comparison.single if one.n and not one.same),
        key=lambda one: np.mean([
            np.mean([run.evaluations["validation"].accuracy for run, _ in one.runs if run.fold == fold])
            for fold in {run.fold for run, _ in one.runs}
        ]),
    )  # fmt: skip
    said = answer(ledger, comparison)
    assert said.best == best.a
    assert said.sentence.startswith(
        f"{best.a} is" if best.verdict != "not distinguishable" else best.a
    )
    assert f"{best.a} (" in said.choice and best.where in said.choice
    assert said.warnings[0].startswith("1 of 117 runs have no number")


def test_with_baselines_of_their_own_the_answer_counts(tmp_path):
    ledger = read_study(write_study(tmp_path, base=replace(THREE, shared=())))
    comparison = compare_study(ledger)
    said = answer(ledger, comparison)
    verdicts = [one.verdict for one in comparison.single if one.n and not one.same]
    assert said.best is None and said.choice == ""
    assert said.sentence.startswith(f"Of {len(verdicts)} differences to alone")
    for verdict in ("better", "worse"):
        many = verdicts.count(verdict)
        assert (f"{many} {verdict} (" in said.sentence) == bool(many)


def test_subjects_gain_what_their_runs_gained(folder):
    one = next(one for one in compare_study(read_study(folder)).single if one.n and not one.same)
    gains = subject_gains(one)
    name = sorted(gains)[0]
    by_hand = [100 * (a.evaluations["test"].per_subject[name].accuracy
                      - b.evaluations["test"].per_subject[name].accuracy)
               for a, b in one.runs if name in a.evaluations["test"].per_subject]  # fmt: skip
    assert len(by_hand) == len(THREE.seeds)
    assert gains[name] == pytest.approx(np.mean(by_hand))


def test_tables_of_parts_have_the_numbers_of_the_evaluations(folder, page):
    with (folder / "report" / "tables" / "classes.csv").open() as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    one = next(one for one in compare_study(read_study(folder)).single
               if one.n and not one.same and one.a == "annsp")  # fmt: skip
    column = next(key for key in rows["walking"] if key.startswith("annsp"))
    folds: dict[str, list[float]] = {}
    for a, b in one.runs:
        f1 = [run.evaluations["test"].per_class["walking"].f1 for run in (a, b)]
        folds.setdefault(a.fold, []).append(100 * (f1[0] - f1[1]))
    assert float(rows["walking"][column]) == pytest.approx(
        np.mean([np.mean(x) for x in folds.values()])
    )


def test_longer_training_is_named(folder, page):
    ledger = read_study(folder)
    known = {(one.cell, one.stage): one for one in budgets(ledger)}
    assert known["16-1_low", "annsp"].before == THREE.epochs
    assert known["16-1_low", "annsp"].whole == 2 * THREE.epochs
    assert known["16-1_low", "alone"].whole == THREE.epochs
    assert not any(stage == "alone" and cell != "16-1_low" for cell, stage in known)
    said = f"of annsp have seen {2 * THREE.epochs} epochs"
    assert said in unequal(ledger, budgets(ledger))
    assert said in (folder / "report" / "index.html").read_text()


def test_a_blind_study_has_no_page(tmp_path):
    write_study(tmp_path, base=replace(THREE, protocol="blind"))
    with pytest.raises(UserError, match="blind"):
        write_study_report(tmp_path)
