"""Results that others left are read as they stand, with their settings and their places."""

import csv
import json

import pytest
from typer.testing import CliRunner

from tests.audit import sheets
from tutelage.audit.audit import audit_files
from tutelage.audit.imports import read_claims, write_claims
from tutelage.audit.imports.claim import Claim
from tutelage.cli.root import app
from tutelage.errors import UserError


def test_a_workbook_with_a_broken_style_index_is_read(tmp_path):
    import openpyxl

    whole = read_claims([sheets.write(tmp_path / "results.xlsx", sheets.book())])
    broken = sheets.break_styles(tmp_path / "results.xlsx")
    with pytest.raises(IndexError):
        openpyxl.load_workbook(broken)
    assert read_claims([broken]) == whole and len(whole) == 134
    assert audit_files([broken]).clean


def test_heads_of_two_lines_groups_and_settings(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "PAMAP2, T=4, lambda=0.99\nmethod;WRN16-1;;;note\n;seed 0;mean;SEM;\nPI + Sig;;;;\n"
        "Base;85,1;85,6;0,3;w500\nAnn (alpha=0.50);86,1;86,6;0,4;best of 3\n"
    )
    first, mean, run, best = read_claims([path])
    assert (first.table, first.row, first.column) == (
        "PAMAP2, T=4, lambda=0.99",
        "PI + Sig · Base",
        "WRN16-1",
    )
    assert first.is_run and first.value == 85.1 and first.place == "a.csv!B5"
    assert dict(first.settings) == {
        "temperature": "4",
        "lambda": "0.99",
        "window": "500",
        "seed": "0",
    }
    assert (mean.value, mean.spread, mean.spread_name) == (85.6, 0.3, "SD/√n") and not mean.is_run
    assert run.is_run and run.n is None
    assert (
        best.settings["alpha"] == "0.5"
        and best.n == 3
        and best.about == {"pi+sig", "ann", "wrn16-1"}
    )


def test_names_of_files(tmp_path):
    folder = tmp_path / "vgg"
    folder.mkdir()
    (folder / "vgg8_T4_alpha0.9_fold2_seed3_lr0.05_ep14_val69.5260_best.pth").touch()
    (folder / "notes.md").touch()
    (claim,) = read_claims([folder])
    assert (claim.table, claim.row, claim.column, claim.value) == (
        "vgg",
        "vgg8",
        "validation",
        69.526,
    )
    assert dict(claim.settings) == {
        "temperature": "4", "alpha": "0.9", "fold": "2", "seed": "3", "learning_rate": "0.05",
        "epoch": "14", "chosen": "best",
    }  # fmt: skip
    (finding,) = audit_files([folder]).findings
    assert finding.defect == "selected_on_test" and "no result of a test" in finding.sentence


def test_a_log_that_was_selected_on_test_or_diverged(tmp_path):
    path = tmp_path / "kd_seed1.log"
    path.write_text(
        "lr: 0.05 T=4\nEpoch 0: train loss 1.2, test acc = 50.1\nEpoch 1: train loss nan, test acc = 61.2\n"
        "Epoch 2: train loss nan, test acc = 60.0\nBest test acc: 61.2\n"
    )
    found = {claim.column: claim for claim in read_claims([path])}
    assert found["test"].value == 61.2 and found["test"].place == "kd_seed1.log:5"
    assert (
        found["test"].settings["selected"] == "test"
        and found["test"].settings["learning_rate"] == "0.05"
    )
    assert {one.defect for one in audit_files([path]).findings} == {
        "selected_on_test",
        "diverged_run",
    }
    path.write_text(
        "Epoch 0: val acc = 50.1, test acc = 52\nEpoch 1: val acc 49, test acc 55\nbest: test acc 52\n"
    )
    assert audit_files([path]).clean


def test_what_a_setting_means_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("method,alpha,accuracy\nBase,0.7,85.2\nAnn,0.3,86.1\n")
    assert "what alpha weighs" in audit_files([path]).notes[0]
    named = audit_files([path], {"alpha": "weight.sig"})
    assert not named.notes and "weight.sig 0.7" in named.findings[0].sentence


def test_the_flat_table_and_the_command(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "claims.csv"
    path.write_text("method,seed,accuracy\nBase,0,85.2\nBase,1,86.1\n")
    said = CliRunner().invoke(app, ["study", "import", str(path), "--out", str(out)])
    assert said.exit_code == 0 and "2 numbers" in said.output
    rows = list(csv.DictReader(out.open()))
    assert rows[1]["row"] == "Base" and rows[1]["seed"] == "1" and rows[1]["place"] == "a.csv!C3"
    write_claims(read_claims([path]), tmp_path / "claims.json")
    assert json.loads((tmp_path / "claims.json").read_text())[0]["value"] == 85.2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", "no workbook", "not readable as a spreadsheet"),
        ("a.csv", "only,text\nin,it\n", "found no result"),
        ("b.csv", None, "no such file"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        read_claims([tmp_path / name])


def test_no_cell_of_the_flat_table_is_live_and_numbers_stay_numbers(tmp_path):
    claim = Claim("=T", "+row", "acc\x07", -0.5, "a!b", "-0.5 ± .1", settings={"@s": "-3"})
    write_claims([claim], tmp_path / "claims.csv")
    with (tmp_path / "claims.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["table"] == "'=T" and row["row"] == "'+row" and row["column"] == r"acc\x07"
    assert row["value"] == "-0.5" and row["text"] == "'-0.5 ± .1" and row["n"] == ""
    assert row["'@s"] == "-3"
