"""Tables that somebody handed over: far cells, formulas, stars, blanks, too much of everything."""

import re
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from tutelage.audit.audit import audit_files
from tutelage.audit.imports import read_claims, reading
from tutelage.audit.imports.cells import number_in
from tutelage.errors import UserError


def workbook(path: Path, *cells: tuple[str, object]) -> Path:
    book = openpyxl.Workbook()
    for row in (["method", "accuracy"], ["A", 81.25], ["B", 84.5], ["C", 86.75]):
        book.active.append(row)
    for place, value in cells:
        book.active[place] = value
    book.save(path)
    return path


def test_a_value_in_the_last_corner_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = workbook(tmp_path / "far.xlsx", ("XFD1048576", 1))
    with pytest.raises(
        UserError, match=r"sheet 1 reaches to XFD1048576, a table of 17,179,869,184 cells"
    ):
        read_claims([path])


def test_the_same_corner_of_an_open_document_is_refused(tmp_path: Path) -> None:
    table = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"
    office = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
    content = (
        f'<office:document-content xmlns:office="{office}" xmlns:table="{table}"><table:table table:name="a">'
        '<table:table-row table:number-rows-repeated="1048575"><table:table-cell/></table:table-row>'
        '<table:table-row><table:table-cell table:number-columns-repeated="16383"/>'
        "<table:table-cell><x/></table:table-cell></table:table-row></table:table></office:document-content>"
    )
    path = tmp_path / "far.ods"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr("content.xml", content)
    with pytest.raises(UserError, match="reaches to XFD1048576"):
        read_claims([path])


def test_a_sheet_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.audit.imports.workbooks.MOST_BYTES", 600)
    with pytest.raises(UserError, match=r"sheet1\.xml unpacks to [\d,]+ bytes; allowed: 600"):
        read_claims([workbook(tmp_path / "a.xlsx")])


def test_a_formula_without_its_value_is_said(tmp_path: Path) -> None:
    path = workbook(tmp_path / "formula.xlsx", ("B4", "=AVERAGE(B2:B3)"))
    [finding] = audit_files([path]).findings
    assert (finding.defect, finding.place) == ("unread_cell", "formula.xlsx!Sheet!B4")
    assert "'=AVERAGE(B2:B3)', a formula whose value was never stored" in finding.sentence


def test_stars_are_mentioned_with_their_places(tmp_path: Path) -> None:
    path = workbook(tmp_path / "stars.xlsx", ("B2", "81.25*"), ("B4", "86.75 *"), ("B3", "84.5†"))
    audit = audit_files([path])
    assert audit.clean
    assert [note.split(":")[0] for note in audit.notes] == [
        "2 numbers marked * (stars.xlsx!Sheet!B2 and stars.xlsx!Sheet!B4)",
        "1 number marked † (stars.xlsx!Sheet!B3)",
    ]


@pytest.mark.parametrize("name", ["FPS", "samples per second", "throughput", "images/s"])
def test_speeds_are_no_shares(tmp_path: Path, name: str) -> None:
    path = tmp_path / "speed.csv"
    path.write_text(f"method,accuracy,{name}\nA,81.2,1500\nB,82.3,900\nC,84.9,1100\n")
    assert audit_files([path]).clean


@pytest.mark.parametrize(
    "text", [" " * 30_000, "82" + " " * 30_000 + "x", "8" * 30_000, "(" * 30_000]
)
def test_long_cells_are_no_numbers(text: str) -> None:
    assert number_in(text) is None


def test_blanks_inside_a_number_are_one(tmp_path: Path) -> None:
    number = number_in("85.27" + " " * 3_000 + "±  2.5 %")
    assert number is not None
    assert (number.value, number.spread) == (85.27, 2.5)


def test_a_log_line_of_a_megabyte_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "kd_seed1.log"
    path.write_text("epoch 1: test acc 81.2\n" + "test 3 " * 150_000 + "\nepoch 2: test acc 82.5\n")
    assert [claim.value for claim in read_claims([path])] == [82.5]


def test_data_is_no_table_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_CLAIMS", 3)
    path = tmp_path / "data.csv"
    pd.DataFrame({"method": list("ABCDE"), "accuracy": [81.2, 82.3, 83.4, 84.5, 85.6]}).to_csv(path)
    with pytest.raises(UserError, match=re.escape("exceeds 3, which is data, no table")):
        read_claims([path])


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"no zip at all"])
def test_a_damaged_workbook_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cut.xlsx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cut\.xlsx: not readable as a spreadsheet"):
        read_claims([path])
