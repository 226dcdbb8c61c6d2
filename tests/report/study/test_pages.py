"""Five formats say the same, every number opens to its runs, and what is missing is seen."""

import csv
import io
from dataclasses import replace
from types import SimpleNamespace

import openpyxl
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.report.test_page import Page
from tests.study.studied import share, write_study
from tutelage.cli.root import app
from tutelage.report.study.comparison_figure import contrast_figure
from tutelage.report.study.pages import write_comparison, write_table
from tutelage.report.study.table import TableNumber, study_table
from tutelage.statistics.spreads import mean_of_folds, spread
from tutelage.study.contrasts import compare_study
from tutelage.study.layout import table_spec
from tutelage.study.ledger import read_study
from tutelage.study.optimism import optimism

TABLE = {
    "title": "Teachers & students", "columns": "teachers", "against": "alone",
    "rows": [
        {"stage": "sig", "name": "=Sig", "group": "single", "at": {"weight": "low"}},
        {"stage": "alone", "group": "student", "at": {"weight": "low"}},
        {"stage": ["base", "annsp"], "name": "Base / Annsp", "group": "three", "at": {"weight": "low"}},
        {"stage": "base", "group": "three", "name": "Base, high", "at": {"weight": "high"}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = write_study(
        tmp_path_factory.mktemp("tables"),
        cells={"16-1_high": {"failed": (("base", "fold-1", 1),), "protocol": "legacy"}},
        started=("16-1_low", "16-1_high", "16-3_low"), table=TABLE,
    )  # fmt: skip
    share(path, "16-1_high", "16-1_low", "alone")
    return path


@pytest.fixture(scope="module")
def made(folder):
    ledger = read_study(folder)
    table = study_table(ledger, table_spec(ledger.declared))
    write_table(table, folder / "tables")
    return ledger, table, folder / "tables"


def test_numbers_are_those_of_the_ledger(made):
    ledger, _, out = made
    lines = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    assert len(lines) == 10
    for line in lines:
        cell = next(one for one in ledger.cells if one.name == line["cell"])
        if cell.experiment is None:
            assert line["mean"] == "" and line["n"] == "0"
            continue
        values = cell.experiment.values(line["stage"], lambda e: e.accuracy)
        assert float(line["mean"]) == pytest.approx(mean_of_folds(values))
        assert float(line["spread"]) == pytest.approx(spread(values, "pooled").value)
        assert line["spread_name"] == "pooled seed SD" and int(line["n"]) == len(values)
    high = next(line for line in lines if line["row"] == "Base, high")
    assert (high["n"], high["planned"]) == ("5", "6")


def test_markdown_and_latex_show_groups_holes_and_n(made):
    _, table, out = made
    text, tex = (out / "table.md").read_text(), (out / "table.tex").read_text()
    sig = next(number for row, _, number in table.numbers if row.name == "=Sig")
    shown = f"{100 * sig.made.mean:.2f} ± {100 * sig.made.spread.value:.2f}"
    assert shown in text and shown.replace("±", r"$\pm$") in tex
    assert "(n = 5 of 6)" in text and "16-3_high: cell, not started" in text
    assert "n is not the same everywhere" in text and "± is the pooled seed SD" in text
    line = next(line for line in text.splitlines() if "Base, high" in line)
    assert line.rstrip(" |").endswith("–") and not line.startswith("| three")
    assert tex.count(r"\midrule") == 3
    assert all(row.count("&") == 3 for row in tex.splitlines() if row.endswith(r"\\"))
    assert r"$\approx$" in tex and r"$\uparrow$" not in tex  # of two folds nothing is claimed


@pytest.mark.parametrize(
    ("verdict", "mark"), [("better", "↑"), ("worse", "↓"), ("not distinguishable", "≈")]
)
def test_a_mark_says_the_verdict(verdict, mark):
    contrast = SimpleNamespace(compared=True, verdict=verdict)
    assert TableNumber(None, None, contrast).mark == mark
    assert not TableNumber(None, None, SimpleNamespace(compared=False, verdict=verdict)).mark
    assert not TableNumber(None, None, None).mark


def test_the_spreadsheet_computes_and_links_to_runs(made):
    _, table, out = made
    book = openpyxl.load_workbook(out / "table.xlsx")
    assert book.sheetnames == ["table", "runs", "missing"]
    sheet, runs = book["table"], book["runs"]
    assert [cell.value for cell in sheet[3]] == ["group", "method", "16-1", "16-3"]
    assert sheet["B4"].value == "=Sig" and sheet["B4"].data_type == "s"
    sig = next(number for row, _, number in table.numbers if row.name == "=Sig")
    assert sheet["C4"].value == pytest.approx(100 * sig.made.mean)
    assert sheet["C4"].number_format == f'0.00" {sig.mark} ± {100 * sig.made.spread.value:.2f}"'
    first = int(sheet["C4"].hyperlink.location.rpartition("A")[2])
    values = [runs.cell(first + at, 8).value for at in range(6)]
    assert sum(values) / 6 == pytest.approx(sheet["C4"].value)
    folder = out / runs.cell(first, 12).hyperlink.target
    assert (folder / "run.json").is_file()
    assert "/" in sheet["C6"].value and sheet["D7"].value == "–"
    assert [row[0].value for row in book["missing"].iter_rows(min_row=2)] == [
        "16-3_high",
        "16-1_high",
    ]


def test_every_cell_of_the_page_opens_to_its_runs(made):
    _, table, out = made
    html = (out / "table.html").read_text()
    page = Page(html)
    assert not page.wrong and not page.open and len(set(page.ids)) == len(page.ids)
    assert set(page.used) <= set(page.ids) and len(page.used) == 8
    for _, _, number in table.numbers:
        for run in number.part.runs:
            assert run.path in html
    links = [link for link in page.links if link.endswith(run.folder.name)]
    assert links and (out / links[0] / "run.json").is_file()
    assert "not started" in html and "Teachers &amp; students" in html


def test_the_comparison_is_written_with_both_protocols(made):
    ledger, _, out = made
    found = compare_study(ledger)
    write_comparison(ledger, found, optimism(ledger), 0.5, out)
    lines = list(csv.DictReader((out / "comparison.csv").open()))
    one = next(c for c in found.single if (c.a, c.where) == ("annsp", "16-1_low"))
    line = next(x for x in lines if (x["comparison"], x["cell"]) == ("annsp − alone", "16-1_low"))
    assert float(line["difference"]) == pytest.approx(100 * one.mean)
    assert float(line["interval_low"]) == pytest.approx(100 * one.interval.low)
    assert "not distinguishable with n = " in (out / "comparison.md").read_text()
    assert "+" in (out / "protocols.md").read_text()
    page = Page((out / "comparison.html").read_text())
    assert not page.wrong and set(page.used) <= set(page.ids)


def test_the_picture_shows_every_difference_its_pairs_and_intervals(made, tmp_path):
    ledger, _, out = made
    found = compare_study(ledger)
    drawing = contrast_figure(found, "points", tmp_path / "one.png")
    assert Image.open(tmp_path / "one.png").size[0] > 1500
    write_comparison(ledger, found, optimism(ledger), 0.5, out)
    assert (out / "comparison.png").is_file()
    lines = list(csv.DictReader(io.StringIO(drawing.data)))
    shown = [one for one in (*found.single, *found.over_cells) if one.n and not one.same]
    assert len([line for line in lines if line["what"] == "difference"]) == len(shown)
    for one in shown:
        mine = [
            x for x in lines if (x["comparison"], x["cell"]) == (f"{one.a} - {one.b}", one.where)
        ]
        told = {line["what"]: float(line["low_or_value"]) for line in mine}
        assert told["difference"] == pytest.approx(100 * one.mean)
        assert told["decides interval"] == pytest.approx(100 * one.interval.low)
        assert told["again interval"] == pytest.approx(100 * one.again.low)
        pairs = [value for what, value in told.items() if what.startswith("fold ")]
        gains = {key: a - b for key, (a, b) in one.values.items()}
        assert len(pairs) == one.n and sum(pairs) == pytest.approx(100 * sum(gains.values()))
        assert 100 * mean_of_folds(gains) == pytest.approx(100 * one.mean)
    assert contrast_figure(replace(found, single=(), over_cells=()), "points") is None


def test_best_of_n_and_fewer_folds_are_said(folder):
    ledger = read_study(folder)
    spec = {"at": {"weight": "low", "teachers": "16-1"}, "runs": {"best": 2, "on": "test"}}
    table = study_table(ledger, table_spec(spec))
    assert "only the 2 best seeds by accuracy on test count" in table.caption
    assert "Every number is of n = 4 runs." in table.caption
    single = study_table(ledger, table_spec({**spec, "runs": {"best": 1, "on": "test"}}))
    assert "A number without ± has too few runs for one." in single.caption
    note = table.table().rows[0].cells[1]
    assert any("not counted" in one.value for one in note.evidence)


def test_no_text_of_a_sheet_is_a_formula(folder, tmp_path):
    ledger = read_study(folder)
    spec = table_spec({**TABLE, "title": "=1+1\x00"})
    write_table(study_table(ledger, spec), tmp_path)
    book = openpyxl.load_workbook(tmp_path / "table.xlsx")
    assert book["table"]["A1"].value == "=1+1\\x00"
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    live = [cell for cell in cells if isinstance(cell.value, str) and cell.value.startswith("=")]
    assert live and all(cell.quotePrefix for cell in live)
    assert any(isinstance(cell.value, float) for cell in cells)
    html = (tmp_path / "table.html").read_text()
    assert "\x00" not in html and "<h1>=1+1\\x00</h1>" in html


def test_other_options_do_not_overwrite_the_files_of_the_first(folder, tmp_path):
    run = CliRunner()

    def files(*options):
        told = run.invoke(
            app, ["study", *options[:1], str(folder), *options[1:], "--out", str(tmp_path)]
        )
        assert told.exit_code == 0, told.output
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    before = files("table")
    for options in (("table", "--metric", "macro_f1"), ("compare",), ("compare", "--against", "base"),
                    ("compare", "--metric", "nll"), ("compare", "--resolution", "2")):  # fmt: skip
        after = files(*options)
        assert {name: after[name] for name in before} == before
        assert len(after) > len(before)
        before = after
    assert {"comparison.md", "comparison-against-base.md", "table-metric-macro_f1.xlsx"} < set(
        before
    )
    assert files("compare", "--against", "base").keys() == before.keys()


def test_the_commands(folder, tmp_path):
    run = CliRunner()
    told = run.invoke(app, ["study", "table", str(folder), "--rows", "stage", "--columns",
                            "teachers,weight", "--spread", "none", "--name", "wide",
                            "--out", str(tmp_path / "other")])  # fmt: skip
    assert told.exit_code == 0 and "no spread is shown" in told.output, told.output
    assert (tmp_path / "other" / "wide.xlsx").is_file()
    shown = run.invoke(app, ["study", "table", str(folder), "--out", str(tmp_path / "plain")])
    assert shown.exit_code == 0, shown.output
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {f"table.{kind}" for kind in
                                                          ("md", "tex", "csv", "xlsx", "html")}  # fmt: skip
    compared = run.invoke(app, ["study", "compare", str(folder), "--against", "weight=low",
                                "--resolution", "3", "--out", str(tmp_path)])  # fmt: skip
    assert compared.exit_code == 0, compared.output
    assert "weight high and weight low are not distinguishable" in compared.output
    wrong = run.invoke(app, ["study", "compare", str(folder), "--against", "alnoe"])
    assert wrong.exit_code == 2 and "did you mean 'alone'" in wrong.output
