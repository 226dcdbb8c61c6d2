import math
import re
import zipfile

import numpy as np
import pytest

from tutelage.data import Pamap2, pamap2
from tutelage.errors import UserError

NAMES = {
    24: "rope jumping", 1: "lying", 2: "sitting", 3: "standing", 4: "walking", 5: "running",
    6: "cycling", 7: "Nordic walking", 12: "ascending stairs", 13: "descending stairs",
    16: "vacuum cleaning", 17: "ironing",
}  # fmt: skip
ORIENTATION = {14, 15, 16, 17, 31, 32, 33, 34, 48, 49, 50, 51}


def slow_windows(path, window, stride):
    """Follow the published steps one number at a time."""
    rows, labels = [], []
    for line in path.read_text().splitlines():
        numbers = [float(text) for text in line.split(" ")]
        if int(numbers[1]) in (0, 8, 9, 10, 11, 18, 19, 20):
            continue
        data = numbers[2:]
        rows.append([data[i] for i in range(52) if i not in ORIENTATION])
        labels.append(NAMES[int(numbers[1])])
    rate = math.nan
    for row in rows:
        if math.isnan(row[0]):
            row[0] = rate
        rate = row[0]
        for channel in range(40):
            low, high = pamap2.MINIMUM[channel], pamap2.MAXIMUM[channel]
            value = 0.0 if math.isnan(row[channel]) else row[channel]
            value = (value - low) / (high - low)
            row[channel] = 0.99 if value > 1 else 0.0 if value < 0 else value
    rows, labels = rows[::3], labels[::3]
    found, start = [], stride
    while start < len(rows) - window:
        if labels[start] == labels[start + window - 1]:
            found.append((start, labels[start], rows[start : start + window]))
        start += stride
    return found


@pytest.mark.parametrize(("window", "stride"), [(100, 22), (40, 7), (25, 60)])
def test_windows_equal_the_slow_recipe(write_pamap2, tmp_path, window, stride):
    write_pamap2(tmp_path / "pamap2" / "Protocol", [101, 103, 109])
    found = Pamap2(window=window, stride=stride).load(tmp_path)
    wanted = [
        (str(subject), *one)
        for subject in (101, 103, 109)
        for one in slow_windows(
            tmp_path / "pamap2" / "Protocol" / f"subject{subject}.dat", window, stride
        )
    ]
    assert len(found) == len(wanted) > 10
    assert found.subjects.tolist() == [subject for subject, *_ in wanted]
    assert found.starts.tolist() == [start for _, start, *_ in wanted]
    assert [found.class_names[label] for label in found.labels] == [one[2] for one in wanted]
    values = np.array([one[3] for one in wanted]).transpose(0, 2, 1).astype(np.float32)
    np.testing.assert_array_equal(found.inputs, values)
    assert found.recordings.tolist() == [int(subject) for subject, *_ in wanted]
    assert found.rate == pytest.approx(33.333, abs=1e-3)


def test_published_order_of_classes_and_channels():
    assert len(set(pamap2.CHANNELS)) == len(pamap2.MAXIMUM) == len(pamap2.MINIMUM) == 40
    assert {pamap2.CLASSES[new]: old for old, new in pamap2.LABELS.items()} == {
        name: old for old, name in NAMES.items()
    }
    assert not set(pamap2.LABELS) & set(pamap2.DELETED)
    assert [pamap2.CHANNELS[i] for i in (0, 1, 2, 5, 8, 11, 14, 27, 39)] == [
        "heart rate", "hand temperature", "hand acc16-x", "hand acc6-x", "hand gyro-x",
        "hand mag-x", "chest temperature", "ankle temperature", "ankle mag-z",
    ]  # fmt: skip
    chest_gyro_z, ankle_mag_z = pamap2.CHANNELS.index("chest gyro-z"), 39
    assert (pamap2.MINIMUM[chest_gyro_z], pamap2.MAXIMUM[chest_gyro_z]) == (-3.99487, 2.94183)
    assert (pamap2.MINIMUM[ankle_mag_z], pamap2.MAXIMUM[ankle_mag_z]) == (-102.232, 146.651)
    assert (pamap2.MAXIMUM > pamap2.MINIMUM).all()
    assert sum(pamap2.WINDOWS.values()) == 28_949


def test_scaling_clips_above_to_099_and_below_to_0():
    table = np.zeros((3, 54))
    table[:, 1] = 4
    table[0, 2:54] = 1e6
    found, labels = pamap2.prepare_rows(table)
    assert (found == np.float32(0.99)).all()
    assert labels.tolist() == [4]
    table[0, 2:54] = -1e6
    assert (pamap2.prepare_rows(table)[0] == 0).all()
    table[0, 2] = 202.0
    assert pamap2.prepare_rows(table)[0][0, 0] == 1  # the limit itself is not above the limit


def test_heart_rate_is_filled_after_deletion_and_nan_becomes_zero_before_scaling():
    table = np.zeros((9, 54))
    table[:, 1] = [1, 1, 1, 0, 1, 1, 1, 1, 1]
    table[:, 2] = np.nan
    table[3, 2] = 202.0  # a reading of a deleted row is not carried on
    table[5, 2] = 101.0
    table[:, 5] = np.nan
    found, _ = pamap2.prepare_rows(table)
    np.testing.assert_allclose(found[:, 0], [0, 0, 0.5])
    span = pamap2.MAXIMUM[3] - pamap2.MINIMUM[3]
    np.testing.assert_allclose(found[:, 3], -pamap2.MINIMUM[3] / span, rtol=1e-6)


def test_only_the_two_ends_of_a_window_are_compared():
    labels = np.array([9, 9, 1, 2, 1, 2, 2, 2, 2], np.int64)
    assert pamap2.window_starts(labels, 3, 1).tolist() == [2, 3, 5]
    assert pamap2.window_starts(labels, 3, 2).tolist() == [2]
    assert pamap2.window_starts(labels, 100, 22).tolist() == []


@pytest.mark.parametrize("nested", [False, True])
def test_the_archive_gives_the_same_as_the_files(write_pamap2, zipped, tmp_path, nested):
    raw = tmp_path / "a" / "pamap2"
    write_pamap2(raw, [102, 104])
    target = tmp_path / "b" / "pamap2"
    target.mkdir(parents=True)
    inner = tmp_path / "PAMAP2_Dataset.zip" if nested else target / "PAMAP2_Dataset.zip"
    zipped(raw, inner, "PAMAP2_Dataset/Protocol/")
    if nested:
        with zipfile.ZipFile(target / "pamap2+physical+activity+monitoring.zip", "w") as outer:
            outer.write(inner, inner.name)
    assert Pamap2().load(tmp_path / "b").fingerprint == Pamap2().load(tmp_path / "a").fingerprint


def test_optional_files_are_left_out(write_pamap2, tmp_path):
    base = tmp_path / "pamap2" / "PAMAP2_Dataset"
    write_pamap2(base / "Protocol", [105])
    write_pamap2(base / "Optional", [101, 105])
    assert set(Pamap2().load(tmp_path).subjects) == {"105"}


def test_a_subject_in_two_folders_is_refused(write_pamap2, tmp_path):
    write_pamap2(tmp_path / "pamap2", [101], rows=300)
    write_pamap2(tmp_path / "pamap2" / "Protocol", [101], rows=300)
    with pytest.raises(UserError, match="found a subject twice"):
        Pamap2().load(tmp_path)


def test_nine_files_with_other_counts_are_refused(write_pamap2, tmp_path):
    write_pamap2(tmp_path / "pamap2", list(range(101, 110)), rows=900)
    with pytest.raises(UserError, match=r"subject 101: found \d+ rows .* give 83319 and 3726"):
        Pamap2().load(tmp_path)


def test_nine_files_with_the_published_counts_are_accepted(write_pamap2, tmp_path, monkeypatch):
    subjects = list(range(101, 110))
    write_pamap2(tmp_path / "pamap2", subjects, rows=900)
    tables = {str(s): tmp_path / "pamap2" / f"subject{s}.dat" for s in subjects}
    rows, windows = {}, {}
    for name, path in tables.items():
        with path.open("rb") as file:
            rows[name] = len(pamap2.prepare_rows(pamap2.read_table(file, name))[0])
        windows[name] = len(slow_windows(path, 100, 22))
    monkeypatch.setattr(pamap2, "ROWS", rows)
    monkeypatch.setattr(pamap2, "WINDOWS", windows)
    assert len(Pamap2().load(tmp_path)) == sum(windows.values())
    assert len(Pamap2(window=50).load(tmp_path)) > 0
    monkeypatch.setattr(pamap2, "WINDOWS", windows | {"107": windows["107"] + 1})
    (tmp_path / "again").mkdir()
    (tmp_path / "pamap2").rename(tmp_path / "again" / "pamap2")
    for stored in (tmp_path / "again" / "pamap2").glob("pamap2-*"):
        stored.rename(tmp_path / stored.name)
    with pytest.raises(UserError, match="subject 107"):
        Pamap2().load(tmp_path / "again")


def test_missing_files_are_told_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="UCI Machine Learning Repository") as caught:
        Pamap2().load(tmp_path)
    assert str(tmp_path / "pamap2") in str(caught.value)
    assert "subject101.dat" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_tables_are_refused(write_pamap2, tmp_path):
    write_pamap2(tmp_path / "pamap2", [101], rows=300)
    path = tmp_path / "pamap2" / "subject101.dat"
    good = path.read_text()
    cases = {
        "found 53 columns": re.sub(r" \S+$", "", good, flags=re.MULTILINE),
        "cannot be read": good.replace("NaN", "nothing", 1),
        r"found activity 21, allowed are \[0, 1": re.sub(r"^(\S+) \S+", r"\1 21", good),
        "found no row of the activities 1, 2, .* in subject101.dat": re.sub(
            r"^(\S+) \S+", r"\1 0", good, flags=re.MULTILINE
        ),
        "line 3: found 3 numbers, the first line has 54": "\n".join(
            [*good.splitlines()[:2], "0.02 4 100", *good.splitlines()[3:]]
        ),
        "longer than every recording, of which the longest has 1 samples": re.sub(
            r"^(\S+) \S+", r"\1 4", "\n".join(good.splitlines()[:3]), flags=re.MULTILINE
        ),
    }
    for sentence, text in cases.items():
        path.write_text(text)
        with pytest.raises(UserError, match=sentence):
            Pamap2().load(tmp_path)
    path.write_text("")
    with pytest.raises(UserError, match="cannot be read"):
        Pamap2().load(tmp_path)
    path.unlink()
    with zipfile.ZipFile(tmp_path / "pamap2" / "x.zip", "w") as archive:
        archive.writestr("PAMAP2_Dataset/Optional/subject101.dat", good)
    with pytest.raises(UserError, match=r"x\.zip: found no Protocol/subject10X\.dat"):
        Pamap2().load(tmp_path)
    (tmp_path / "pamap2" / "x.zip").write_bytes(b"no")
    with pytest.raises(UserError, match=r"no readable .zip"):
        Pamap2().load(tmp_path)
