"""Representations on disk: found again, remade when damaged, never half there."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tutelage import files, seals
from tutelage.errors import UserError
from tutelage.modalities import (
    GramianField,
    PersistenceImage,
    Scaled,
    TransitionField,
    cache,
    represent,
)
from tutelage.modalities.cache import is_represented

RNG = np.random.default_rng(0)
SIGNALS = np.cumsum(RNG.normal(size=(50, 2, 40)), axis=2)
TRAIN = np.arange(30)


def image(**parameters):
    return PersistenceImage(resolution=8, **parameters)


def make(folder, modality=None, array=SIGNALS, train=TRAIN, source="a", **more):
    modality = modality or image()
    return represent(modality, array, source=source, train=train, folder=folder, **more)


@pytest.fixture
def calls(monkeypatch):
    """Count fits and transforms."""
    seen = []
    for name in ("fit_chunks", "transform"):
        inner = getattr(PersistenceImage, name)

        def counted(self, *a, _inner=inner, _name=name, **k):
            seen.append(_name)
            return _inner(self, *a, **k)

        monkeypatch.setattr(PersistenceImage, name, counted)
    return seen


def test_equals_fit_then_transform(tmp_path):
    found = make(tmp_path, chunk=7)
    assert isinstance(found, np.memmap) and not found.flags.writeable
    expected = image().fit(SIGNALS[TRAIN]).transform(SIGNALS)
    assert np.array_equal(found, expected)
    about = dict(cache.describe(found))
    assert about["fitted"]["birth_range_"] == list(image().fit(SIGNALS[TRAIN]).birth_range_)
    assert about["output"]["shape"] == [50, 2, 8, 8] and about["output"]["dtype"] == "float32"
    assert {"seconds", "parameters", "diagnostics", "source"} <= set(about)
    assert not list(tmp_path.glob(".*"))


def test_second_call_computes_nothing_and_leaves_a_fitted_modality(tmp_path, calls):
    first = make(tmp_path, chunk=20)
    assert calls.count("fit_chunks") == 1 and calls.count("transform") == 3
    calls.clear()
    modality, steps = image(), []
    second = make(tmp_path, modality, progress=lambda *a: steps.append(a))
    assert calls == [] and steps == [(50, 50)]
    assert np.array_equal(first, second) and first.filename == second.filename
    assert np.array_equal(modality.transform(SIGNALS), first)


def test_progress_and_memory_map_input(tmp_path):
    np.save(tmp_path / "x.npy", SIGNALS)
    array = np.load(tmp_path / "x.npy", mmap_mode="r")
    steps = []
    found = make(tmp_path / "out", array=array, chunk=20, progress=lambda *a: steps.append(a))
    assert steps == [(20, 50), (40, 50), (50, 50)]
    assert np.array_equal(found, image().fit(SIGNALS[TRAIN]).transform(SIGNALS))


def test_what_changes_the_content_changes_the_file(tmp_path, monkeypatch):
    names = {make(tmp_path).filename}
    for modality in (image(sigma=0.5), image(dtype="uint8"), GramianField(size=8)):
        names.add(make(tmp_path, modality).filename)
    names.add(make(tmp_path, source="b").filename)
    names.add(make(tmp_path, train=np.arange(20)).filename)
    names.add(make(tmp_path, array=SIGNALS.astype(np.float32)).filename)
    monkeypatch.setattr(PersistenceImage, "version", PersistenceImage.version + 1)
    names.add(make(tmp_path).filename)
    assert len(names) == 8


def test_what_does_not_change_the_content_shares_the_file(tmp_path):
    fixed = {"birth_range": (-5, 5), "persistence_range": (0, 5)}
    first = make(tmp_path, image(**fixed)).filename
    assert make(tmp_path, image(**fixed, n_jobs=2)).filename == first
    assert make(tmp_path, image(**fixed), train=np.arange(30, 50)).filename == first
    mask = np.zeros(50, bool)
    mask[TRAIN] = True
    assert make(tmp_path, train=mask).filename == make(tmp_path, train=TRAIN[::-1]).filename
    assert make(tmp_path, train=None).filename == make(tmp_path, train=np.arange(50)).filename


def test_test_samples_do_not_reach_the_fit(tmp_path):
    other = SIGNALS.copy()
    other[30:] *= 10
    one, two = image(), image()
    make(tmp_path, one)
    make(tmp_path, two, array=other, source="b")
    assert one.fitted() == two.fitted()


def test_the_files_of_earlier_versions_are_found(tmp_path):
    """Whoever has these files keeps them; the name of a class changes with its ``version`` only."""
    x = np.arange(240.0).reshape(6, 2, 20) % 7
    for modality in (
        image().set_params(resolution=4),
        Scaled(GramianField(size=4, limits=(0, 1)), width=2.0),
        TransitionField(size=5),
    ):
        represent(modality, x, source="s", train=np.arange(4), folder=tmp_path)
    names = {path.name for path in tmp_path.iterdir() if path.suffix != ".seal"}
    assert names == {
        "PersistenceImage-6ccf2b84b1acad0bd624.fit.json",
        "PersistenceImage-cf043f4473fe177a6eab.json",
        "PersistenceImage-cf043f4473fe177a6eab.npy",
        "Scaled-468a75fff5742d053cd6.fit.json",
        "Scaled-38a21b88623829284b0f.json",
        "Scaled-38a21b88623829284b0f.npy",
        "TransitionField-86733f4a2b8066097ce5.fit.json",
        "TransitionField-0d2079efe6e4009856ed.json",
        "TransitionField-0d2079efe6e4009856ed.npy",
    }


def test_entries_without_checksums_are_accepted(tmp_path, calls):
    expected = np.array(make(tmp_path))
    for path in tmp_path.glob("*.seal"):
        path.unlink()
    seals._checked.clear()  # as in a new process
    calls.clear()
    assert np.array_equal(make(tmp_path), expected) and calls == []
    assert len(list(tmp_path.glob("*.seal"))) == 2


@pytest.mark.parametrize("position", [200, -1])
def test_one_changed_byte_is_noticed_and_the_file_is_made_again(tmp_path, caplog, position):
    expected = np.array(make(tmp_path))
    (path,) = tmp_path.glob("*.npy")
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert not is_represented(image(), SIGNALS, source="a", train=TRAIN, folder=tmp_path)
    again = make(tmp_path)
    assert np.array_equal(again, expected)
    assert [r.getMessage() for r in caplog.records] == [f"{path}: is damaged, and is made again"]
    assert is_represented(image(), SIGNALS, source="a", train=TRAIN, folder=tmp_path)


@pytest.mark.parametrize("damage", ["cut", "longer", "header", "sidecar", "fit", "gone"])
def test_damaged_files_are_made_again(tmp_path, damage):
    expected = np.array(make(tmp_path))
    (path,) = tmp_path.glob("*.npy")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"\0")
    elif damage == "header":
        path.write_bytes(b"\0" * path.stat().st_size)
    elif damage == "sidecar":
        path.with_suffix(".json").write_text('{"class": ')
    elif damage == "fit":
        next(tmp_path.glob("*.fit.json")).write_text("")
    else:
        path.unlink()
    again = make(tmp_path)
    assert np.array_equal(again, expected)
    assert (
        json.loads(path.with_suffix(".json").read_text())["output"]["bytes"] == path.stat().st_size
    )


def test_interruption_leaves_nothing_that_could_be_taken_for_a_result(tmp_path):
    def stop(done, _total):
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, chunk=10, progress=stop)
    assert not list(tmp_path.glob("*.npy")) and not list(tmp_path.glob(".*"))


def test_files_of_dead_processes_are_removed(tmp_path):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    )
    begins = f"{files.UNFINISHED}01234567"
    dead = tmp_path / f"{begins}-{files._host()}-{gone.stdout.strip()}-0.npy"
    alive = tmp_path / f"{begins}-{files._host()}-{os.getpid()}-0.npy"
    elsewhere = tmp_path / f"{begins}-another-1-0.npy"
    for path in (dead, alive, elsewhere):
        path.write_bytes(b"")
    make(tmp_path)
    assert not dead.exists() and alive.exists() and elsewhere.exists()


def test_concurrent_callers_get_the_same_content(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: make(tmp_path, chunk=5), range(4)))
    assert all(np.array_equal(found[0], other) for other in found)
    assert len(list(tmp_path.glob("*.npy"))) == 1 and not list(tmp_path.glob(".*"))


def test_full_disk_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
    with pytest.raises(UserError, match=r"67\.1 MB are needed and 1\.0 MB are free"):
        make(tmp_path)
    assert not list(tmp_path.glob("*.npy"))


@pytest.mark.parametrize("train", [np.array([], int), np.array([50]), np.array([-1])])
def test_training_samples_must_exist(tmp_path, train):
    with pytest.raises(UserError, match=r"represent\.train"):
        make(tmp_path, train=train)
