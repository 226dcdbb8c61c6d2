"""Files of a cache: what was changed is noticed, whoever changed it, and made again."""

import json
import logging
import os
import zlib

import pytest

from tutelage import seals


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "values.bin"
    path.write_bytes(bytes(range(256)) * 8192)  # two blocks
    seals.seal(path)
    seals._checked.clear()  # as in a new process
    return path


def replace_byte(path, position):
    """Change one byte and hide that: same size, same time of change."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_checksum_is_the_crc_of_the_whole_file(file):
    sealed = json.loads((file.parent / "values.bin.seal").read_text())
    assert sealed["crc32"] == zlib.crc32(file.read_bytes())
    assert seals.intact(file)


@pytest.mark.parametrize("position", [0, 1 << 20, -1])
@pytest.mark.parametrize("largest", [seals.ALWAYS, 0])
@pytest.mark.parametrize("seen", [True, False])
def test_one_changed_byte_is_noticed(file, monkeypatch, position, largest, seen):
    monkeypatch.setattr(seals, "ALWAYS", largest)
    if seen:
        assert seals.intact(file)
    replace_byte(file, position)
    assert not seals.intact(file)


def test_a_file_is_read_once_per_process_and_a_large_one_only_when_touched(file, monkeypatch):
    reads = []
    checksum = seals._checksum
    monkeypatch.setattr(seals, "_checksum", lambda path: reads.append(path) or checksum(path))
    assert seals.intact(file) and seals.intact(file)
    assert len(reads) == 1
    seals._checked.clear()
    monkeypatch.setattr(seals, "ALWAYS", 0)
    assert seals.intact(file) and len(reads) == 1
    copy = file.with_name("copy.bin")
    copy.write_bytes(file.read_bytes())
    copy.with_name("copy.bin.seal").write_text(file.with_name("values.bin.seal").read_text())
    assert seals.intact(copy) and len(reads) == 3  # once to compare, once for its new seal
    seals._checked.clear()
    assert seals.intact(copy) and len(reads) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"crc32": null, "stamp": 1}'])
def test_a_damaged_seal_is_damage(file, content):
    file.with_name("values.bin.seal").write_text(content)
    assert not seals.intact(file)


def test_a_file_of_an_earlier_version_is_accepted_and_sealed(tmp_path):
    path = tmp_path / "old"
    path.write_text("1")
    assert seals.intact(path)
    path.write_text("2")
    assert not seals.intact(path)


def kept(path, value=7):
    return seals.kept(
        path, lambda p: int(p.read_text()), lambda: value, lambda p, v: p.write_text(str(v))
    )


@pytest.mark.parametrize("damage", ["changed", "empty", "seal", "both"])
def test_a_damaged_value_is_computed_again_with_one_line(tmp_path, caplog, damage):
    path = tmp_path / "value"
    assert kept(path) == 7 and kept(path, 8) == 7
    if damage in ("changed", "empty"):
        path.write_text({"changed": "6", "empty": ""}[damage])
    if damage in ("seal", "both"):
        path.with_name("value.seal").write_text("")
    if damage == "both":
        path.write_text("")
    seals._checked.clear()  # as in a new process
    with caplog.at_level(logging.WARNING):
        assert kept(path, 9) == 9
    assert [r.getMessage() for r in caplog.records] == [f"{path}: is damaged, and is made again"]
    assert kept(path, 10) == 9


def test_a_value_that_makes_no_sense_is_computed_again(tmp_path, caplog):
    path = tmp_path / "value"
    path.write_text("no number")  # of an earlier version: no seal
    assert kept(path) == 7 and path.read_text() == "7"
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert kept(tmp_path / "file" / "value") == 7
    assert "cannot be kept" in caplog.text
