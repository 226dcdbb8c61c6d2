"""Texts of others in CSV: never live, and read back as they were."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.inert import cell_text, csv_cell, csv_text, printable


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("-2.5", "-2.5"),
        (-2.5, -2.5),
        ("a\x07b", r"a\x07b"),
        ("\r=1", r"'\x0d=1"),
        (r"C:\runs\x64", r"C:\runs\x64"),
        (r"C:\x07", r"C:\x5cx07"),
        ("", ""),
        (None, None),
    ],
)
def test_a_cell_is_what_it_was_and_never_live(value, cell):
    assert csv_cell(value) == cell
    if isinstance(value, str):
        assert cell_text(cell) == value


@given(
    st.lists(st.text(st.sampled_from("=+-@'\t\n\r\\x0dc5bu a7＝\x00\x1b\u202e\ufffe")), min_size=1)
)
def test_every_text_reads_back(texts):
    written = csv_text(["k"] * len(texts), [texts])
    assert printable(written) == written
    (_, cells) = csv.reader(io.StringIO(written, newline=""))
    assert [cell_text(cell) for cell in cells] == texts
    for cell in cells:
        if cell[:1] and cell[0] in "=+-@\t\r＝＋－＠":
            float(cell)  # a number, and nothing else
