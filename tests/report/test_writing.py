"""Files have a name for each set of options; what cannot be written is one sentence, and leaves nothing behind."""

import errno
import os

import pytest

from tests.report.fake import Fake
from tests.report.fake import write as write_runs
from tutelage.errors import UserError, system_sentence
from tutelage.report import table, write_report
from tutelage.report.writing import LONGEST, name_of, write, writing

SMALL = {"stages": ("sig", "alone", "base"), "seeds": (0,), "windows": 12, "epochs": 2}


def test_other_options_have_another_name():
    names = {
        name_of("table", options)
        for options in (
            {}, {"metric": "macro_f1"}, {"metric": "nll"}, {"rows": ["stage"]}, {"rows": ["stage", "fold"]},
            {"against": {"weight": "low"}}, {"against": "weight low"}, {"against": "weight/low"},
            {"against": "../../escape"}, {"against": "a" * 300}, {"against": "a" * 301},
        )
    }  # fmt: skip
    assert len(names) == 11 and {"table", "table-metric-macro_f1"} < names
    for name in names:
        assert "/" not in name and len(name) <= LONGEST + 9 and not name.startswith(".")
    assert name_of("table", {"metric": "nll"}) == name_of("table", {"metric": "nll"})


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = write(tmp_path / "deep" / "a.csv", b"1")
    assert write(path, b"2") == path and path.read_bytes() == b"2"
    assert [one.name for one in path.parent.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_is_one_sentence(number, tmp_path, monkeypatch):
    folder = write_runs(tmp_path / "run", Fake(**SMALL))
    page = write_report(folder)
    before = page.read_bytes()

    def refuse(path, content):
        with writing(tmp_path):
            raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(table, "write", refuse)
    with pytest.raises(UserError) as caught:
        write_report(folder)
    said = system_sentence(OSError(number, os.strerror(number)))
    assert str(caught.value).startswith(f"{tmp_path}: not written; ") and said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert page.read_bytes() == before
    assert not [path for path in (folder / "report").rglob("*") if path.name.startswith(".")]


def test_a_file_in_the_way_is_one_sentence(tmp_path):
    folder = write_runs(tmp_path / "run", Fake(**SMALL))
    (folder / "report").write_text("mine")
    with pytest.raises(UserError, match="report: not written; "):
        write_report(folder)
    assert (folder / "report").read_text() == "mine"
