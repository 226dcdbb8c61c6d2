import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tutelage import seals
from tutelage.data import home, store
from tutelage.errors import UserError


@dataclass(frozen=True)
class Loader:
    window: int = 8


@dataclass(frozen=True)
class Other:
    window: int = 8


def test_a_new_argument_at_its_default_does_not_hide_stored_data():
    before = store.key(Loader(), ["a"]), store.key(Loader(9), ["a"])

    @dataclass(frozen=True)
    class Loader2:
        window: int = 8
        more: int = 0

    Loader2.__name__ = "Loader"
    assert (store.key(Loader2(), ["a"]), store.key(Loader2(9), ["a"])) == before
    assert store.key(Loader2(more=1), ["a"]) not in before


def test_home(monkeypatch):
    monkeypatch.setenv("TUTELAGE_DATA", "~/there")
    assert home() == Path.home() / "there"
    for empty in ("", None):
        if empty is None:
            monkeypatch.delenv("TUTELAGE_DATA")
        else:
            monkeypatch.setenv("TUTELAGE_DATA", empty)
        assert home() == Path.home() / ".cache" / "tutelage" / "data"


def test_a_data_set_comes_back_whole(build, tmp_path):
    full = build(
        recordings=np.zeros(6, np.int64), starts=np.arange(6), official_test=np.arange(6) > 3,
        source="me", name="synthetic x", synthetic=True, rate=100 / 3,
    )  # fmt: skip
    for number, one in enumerate((full, build(subjects=None))):
        store.save(one, tmp_path / str(number))
        back = store.open_saved(tmp_path / str(number))
        assert back.fingerprint == one.fingerprint
        assert back.source == one.source
        assert isinstance(back.inputs, np.memmap)
        assert not back.inputs.flags.writeable
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_units_come_back_and_what_was_stored_without_them_gets_its_loader_s(build, tmp_path):
    kept = build(units=("g", "rad/s"))
    store.save(kept, tmp_path / "x")
    assert store.open_saved(tmp_path / "x", ("V", "A")).units == ("g", "rad/s")
    path = tmp_path / "x" / "dataset.json"
    meta = json.loads(path.read_text())
    del meta["units"]
    path.write_text(json.dumps(meta))
    assert store.open_saved(tmp_path / "x", ("V", "A")).units == ("V", "A")
    assert store.open_saved(tmp_path / "x").units == ()
    assert store.open_saved(tmp_path / "x").fingerprint == kept.fingerprint


def test_saving_twice_keeps_the_first(build, tmp_path):
    store.save(build(source="first"), tmp_path / "x")
    store.save(build(source="second"), tmp_path / "x")
    assert store.open_saved(tmp_path / "x").source == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_failure_leaves_nothing_behind(build, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(store.np, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        store.save(build(), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["json", "short", "labels", "subjects", "pickle", "unknown"])
def test_damaged_copies_are_told(build, tmp_path, damage):
    place = tmp_path / "x"
    store.save(build(), place)
    if damage == "json":
        (place / "dataset.json").write_text("{")
    elif damage == "unknown":
        meta = json.loads((place / "dataset.json").read_text())
        (place / "dataset.json").write_text(json.dumps(meta | {"more": 1}))
    elif damage == "short":
        with (place / "inputs.npy").open("r+b") as file:
            file.truncate(200)
    elif damage in ("labels", "subjects"):
        (place / f"{damage}.npy").unlink()
    else:
        np.save(place / "labels.npy", np.array([{}] * 6), allow_pickle=True)
    with pytest.raises(UserError, match="delete this folder"):
        store.open_saved(place)


@pytest.mark.parametrize("file", ["dataset.json", "inputs.npy", "labels.npy"])
@pytest.mark.parametrize("damage", ["byte", "cut", "gone"])
def test_a_damaged_copy_is_made_again_with_one_line(build, tmp_path, caplog, file, damage):
    def load():
        return store.cached(tmp_path, Loader(), ["a"], lambda _: build())

    fingerprint = load().fingerprint
    (path,) = tmp_path.glob(f"loader-*/{file}")
    content = bytearray(path.read_bytes())
    content[-9] ^= 1  # same size, and still a file of its kind
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "byte" else content[: len(content) // 2])
    seals._checked.clear()  # as in a new process
    assert load().fingerprint == fingerprint
    (line,) = caplog.messages
    assert line == f"{path.parent}: is damaged, and is made again"
    caplog.clear()
    again = load()
    assert again.fingerprint == fingerprint and not caplog.messages
    np.testing.assert_array_equal(again.inputs, build().inputs)


def test_a_copy_of_an_earlier_version_is_accepted_and_sealed(build, tmp_path):
    calls = []

    def load():
        return store.cached(tmp_path, Loader(), ["a"], lambda _: calls.append(1) or build())

    load()
    for path in tmp_path.glob("loader-*/*.seal"):
        path.unlink()
    seals._checked.clear()
    load()
    assert len(calls) == 1 and len(list(tmp_path.glob("loader-*/*.seal"))) >= 3


@pytest.mark.parametrize("content", ["{", "[]", '{"more": 1}', ""])
def test_a_damaged_memory_of_hashes_is_made_again(tmp_path, content):
    file, memory = tmp_path / "raw", tmp_path / ".hashes.json"
    file.write_bytes(b"samples")
    (known,) = store.stamps([file], memory)
    memory.write_text(content)
    assert store.stamps([file], memory) == [known]
    assert seals.recall(memory).keys() == {str(file)}


def test_key_depends_on_class_arguments_content_and_format(monkeypatch):
    keys = [
        store.key(Loader(), ["a"]), store.key(Loader(9), ["a"]), store.key(Loader(), ["b"]),
        store.key(Other(), ["a"]),
    ]  # fmt: skip
    assert store.key(Loader(), ["a"]) == keys[0]
    assert store.key(Loader(8), ["a"]) == keys[0]
    monkeypatch.setattr(store, "_FORMAT", 99)
    assert len({*keys, store.key(Loader(), ["a"])}) == 5


def test_cached_builds_once(build, tmp_path):
    calls = []

    def make(_):
        calls.append(1)
        return build()

    first = store.cached(tmp_path, Loader(), ["a"], make)
    again = store.cached(tmp_path, Loader(), ["a"], make)
    assert first.fingerprint == again.fingerprint
    assert len(calls) == 1
    store.cached(tmp_path, Loader(), ["b"], make)
    assert len(calls) == 2


def test_stamps_read_a_file_again_only_when_it_changed(tmp_path, monkeypatch):
    a, b, memory = tmp_path / "a", tmp_path / "b", tmp_path / "m" / "memory.json"
    a.write_text("1")
    b.write_text("2")
    reads = []
    real = store.sha256
    monkeypatch.setattr(store, "sha256", lambda path: (reads.append(path.name), real(path))[1])
    first = store.stamps([b, a], memory)
    assert first == [real(b), real(a)]
    assert store.stamps([a, b], memory) == first[::-1]
    assert reads == ["b", "a"]
    a.write_text("3")
    os.utime(a, ns=(1, 1))
    assert store.stamps([a], memory) == [real(a)] != [first[1]]
    assert reads == ["b", "a", "a"]
    memory.write_text("nothing")
    assert store.stamps([a], memory) == [real(a)]


def test_a_full_disk_is_told_and_mistakes_pass_through(tmp_path):
    with (
        pytest.raises(UserError, match=r"data cache .*: it cannot be used"),
        store.usable(tmp_path),
    ):
        (tmp_path / "no" / "x").write_text("")
    with pytest.raises(UserError, match=r"^mine$"), store.usable(tmp_path):
        raise UserError("mine")
