import os
from pathlib import Path

import pytest

from tutelage.files import UNFINISHED, is_file, is_folder, replacing, replacing_folder


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    with replacing(path) as part:
        part.write_text("new")
        assert not path.exists()
        assert part.suffix == ".json"
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("written", [True, False])
def test_a_block_that_raises_leaves_what_was_there(tmp_path: Path, written: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        if written:
            part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_files_have_the_permissions_that_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a") as part:
            part.touch(mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_folder_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    path.mkdir()
    (path / "old").touch()
    with replacing_folder(path) as part:
        assert part.name.startswith(UNFINISHED)
        (part / "sub").mkdir()
        (part / "sub" / "new").write_text("1")
    assert sorted(p.name for p in path.rglob("*")) == ["new", "sub"]
    with pytest.raises(ZeroDivisionError), replacing_folder(path):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["entry"]


def test_what_a_killed_process_left_of_a_folder_is_removed_by_the_next_one_that_is_alone(tmp_path):
    path, other = tmp_path / "entry", tmp_path / "other"
    with replacing_folder(path) as left:
        killed = tmp_path / (
            left.name[:-12] + "0" * 12
        )  # the name that another process would have taken
        killed.mkdir()
        with replacing_folder(other, alone=True):
            assert killed.exists() and left.exists()
    with replacing_folder(path, alone=True) as part:
        assert list(tmp_path.glob(f"{UNFINISHED}*")) == [part]


def test_a_name_that_no_file_can_have_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert is_file(tmp_path / "a") and is_folder(tmp_path)
    for name in ("é" * 300, "x" * 10_000, "a\0b", "none"):
        assert not is_file(tmp_path / name) and not is_folder(tmp_path / name)
