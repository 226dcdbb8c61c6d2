import shutil

import numpy as np
import pandas as pd
import pytest

from tests.data.recordings.made import put, recordings, table
from tutelage.data import Hapt, Recordings
from tutelage.data.hapt import ACTIVITIES, CHANNELS, TRANSITIONS, read_package
from tutelage.data.recordings import Annotations
from tutelage.data.splits import OfficialSplit, RandomSplit, SessionOut, TimeSplit
from tutelage.errors import UserError


@pytest.fixture(scope="module")
def two(hapt_package):
    """Return the first two recordings of HAPT as tables, by person and number."""
    names = np.array(["", *ACTIVITIES, *TRANSITIONS])
    found = {}
    for number, one in enumerate(read_package(hapt_package)[:2]):
        frame = pd.DataFrame(one.rows, columns=list(CHANNELS))
        frame["t"], frame["activity"] = np.arange(len(frame)) / 50, names[np.maximum(one.labels, 0)]
        found[f"S{one.subject:02d}", number] = frame
    return found


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "feather", "frame"])
def test_hapt_as_tables_gives_the_windows_of_hapt_to_the_bit(two, hapt, tmp_path, kind):
    if kind in ("parquet", "feather"):
        pytest.importorskip("pyarrow")
    for (subject, number), frame in two.items():
        path = tmp_path / "raw" / subject / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind.startswith("csv"):
            frame.to_csv(path, index=False)
        elif kind != "frame":
            getattr(frame, f"to_{kind}")(path)
    told = {"files": str(tmp_path / "raw" / "{subject}" / f"*.{kind}")}
    if kind == "frame":
        parts = [frame.assign(who=s, occasion=n) for (s, n), frame in two.items()]
        told = {"files": pd.concat(parts), "subject": "who", "session": "occasion"}
    found = Recordings(
        channels=CHANNELS,
        label="activity",
        classes=ACTIVITIES,
        time="t",
        rate=50,
        window="2.56 s",
        hop="50 %",
        **told,
    ).load(tmp_path / "home")
    count = len(found)
    assert count > 300
    assert hapt.recordings[count] == 2
    assert isinstance(found.inputs, np.memmap)
    np.testing.assert_array_equal(found.inputs, hapt.inputs[:count])
    for column in ("labels", "recordings", "starts"):
        np.testing.assert_array_equal(getattr(found, column), getattr(hapt, column)[:count])
    assert [name.removeprefix("S") for name in found.subjects] == hapt.subjects[:count].tolist()
    assert (found.rate, found.window, found.class_names) == (50.0, 128, ACTIVITIES)


def test_hapt_is_one_of_many_whose_windows_are_counted(hapt):
    assert len(hapt) == 10_411
    assert Hapt().window == 128


@pytest.mark.parametrize(
    ("stamps", "told"),
    [
        (lambda t: t, {}),
        (lambda t: t + 1.7e9, {}),
        (lambda t: np.round(t * 1000).astype(int), {"time_unit": "ms"}),
        (lambda t: np.round((t + 1.7e9) * 1000).astype(int), {}),
        (lambda t: np.round((t + 1.7e9) * 1e9).astype(np.int64), {}),
        (lambda t: [f"2026-03-29T01:59:{58 + s:06.3f}+01:00" for s in t[:100] % 2] * 2, {}),
        (lambda t: pd.Timestamp("2026-01-31 23:59:59") + pd.to_timedelta(t, unit="s"), {}),
    ],
    ids=["seconds", "epoch", "ms", "epoch-ms", "epoch-ns", "iso-zone", "iso"],
)
def test_all_kinds_of_timestamps_say_the_same(tmp_path, stamps, told):
    frame = table(seconds=2.0)
    plain = recordings(put(frame, tmp_path / "a.csv")).load(tmp_path)
    other = stamps(frame["t"].to_numpy())
    found = recordings(
        put(frame.assign(t=list(other)[: len(frame)]), tmp_path / "b.csv"), **told
    ).load(tmp_path)
    assert found.rate == 50
    np.testing.assert_array_equal(found.inputs, plain.inputs)


def test_a_frame_with_dates_of_a_zone_and_ordered_categories(tmp_path):
    frame = table()
    frame["t"] = pd.Timestamp("2026-01-31", tz="Europe/Athens") + pd.to_timedelta(
        frame["t"], unit="s"
    )
    frame["activity"] = pd.Categorical(frame["activity"], ["walk", "run", "rest"], ordered=True)
    found = recordings(frame).load(tmp_path)
    assert found.class_names == ("walk", "rest")
    assert found.labels.tolist() == [1] * 9 + [0] * 9


def test_a_frame_of_polars_reads_as_one_of_pandas(tmp_path):
    polars = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    frame = table()
    found = recordings(polars.DataFrame(frame.to_dict("list"))).load(tmp_path)
    np.testing.assert_array_equal(found.inputs, recordings(frame).load(tmp_path).inputs)


def test_whole_numbers_with_holes_are_named_as_they_are(tmp_path):
    frame = table().assign(activity=[2.0] * 100 + [np.nan] * 40 + [10.0] * 60)
    found = recordings(frame).load(tmp_path)
    assert found.class_names == ("2", "10")
    assert np.bincount(found.labels).tolist() == [9, 5]


def test_majority_and_purity_are_those_of_a_slow_count(tmp_path):
    rng = np.random.default_rng(0)
    names = np.repeat(rng.choice(["a", "b", "c"], 40), 5)
    frame = table().assign(activity=names)
    for purity in (0.3, 0.5, 0.75):
        found = recordings(frame, purity=purity).load(tmp_path)
        kept = {}
        for first in range(0, len(names) - 19, 10):
            counts = {name: names[first : first + 20].tolist().count(name) for name in "abc"}
            best = max(counts, key=counts.get)
            if counts[best] >= purity * 20:
                kept[first] = "abc".index(best)
        assert dict(zip(found.starts.tolist(), found.labels.tolist(), strict=True)) == kept


def test_rows_without_a_label_give_windows_without_one_where_they_are_kept(tmp_path):
    frame = table(seconds=18.0, labels=("rest", "walk", "") * 3).assign(who="a")
    other = table(seconds=2.0).drop(columns="activity").assign(who="b")
    put(frame, tmp_path / "a.csv")
    put(other, tmp_path / "b.csv")
    found = recordings(tmp_path / "?.csv", unlabelled="keep", subject="who").load(tmp_path)
    assert found.class_names == ("rest", "walk")
    assert np.bincount(found.labels + 1).tolist() == [36, 27, 27]
    assert (found.labels[found.subjects == "b"] == -1).all()
    assert sum(found.summary()["classes"].values()) == 54
    dropped = recordings(tmp_path / "a.csv", subject="who").load(tmp_path)
    assert np.bincount(dropped.labels).tolist() == [27, 27]
    assert found.summary()["unlabelled"] == 36


def test_people_sessions_and_parts_from_paths_and_columns(tmp_path):
    for subject in ("S2", "S10"):
        for session in ("one", "two"):
            put(table(), tmp_path / "raw" / subject / f"{session}_test.csv")
            put(
                table().iloc[::-1].assign(t=table()["t"].to_numpy()),
                tmp_path / "raw" / subject / f"{session}_train.csv",
            )
    found = recordings(tmp_path / "raw" / "{subject}" / "{session}_{part}.csv").load(tmp_path)
    assert list(dict.fromkeys(found.subjects.tolist())) == ["S2", "S10"]
    assert set(found.sessions.tolist()) == {"one", "two"}
    assert len(np.unique(found.recordings)) == 8
    assert found.official_test.sum() * 2 == len(found)
    session = SessionOut(validation=0).split(found, 1)
    assert set(found.sessions[session.test]) == {"two"}
    with pytest.raises(UserError, match="a random split would put on two sides"):
        RandomSplit().split(found)
    assert len(OfficialSplit(validation=0).split(found).test) == len(found) // 2
    many = pd.concat([table().assign(who=w, when=s) for w in "ab" for s in (1, 2)])
    columns = recordings(many, subject="who", session="when").load(tmp_path)
    assert columns.subjects.tolist()[::36] == ["a", "b"]
    assert columns.sessions.tolist()[::18] == ["1", "2", "1", "2"]


def test_labels_from_the_path(tmp_path):
    for kind in ("walk", "rest"):
        put(table().drop(columns="activity"), tmp_path / f"S1-{kind}.csv")
    found = recordings(tmp_path / "{subject}-{label}.csv", label=None).load(tmp_path)
    assert found.class_names == ("rest", "walk")
    assert np.bincount(found.labels).tolist() == [19, 19]


def annotated(tmp_path, *lines):
    put(table().drop(columns="activity"), tmp_path / "raw" / "S1" / "a.csv")
    (tmp_path / "raw" / "S1-marks.csv").write_text("\n".join(["start,end,label", *lines]))
    return recordings(
        tmp_path / "raw" / "{subject}" / "*.csv", label=None,
        annotations=Annotations(str(tmp_path / "raw" / "{subject}-marks.csv")),
    )  # fmt: skip


def test_annotations_from_when_to_when(tmp_path):
    found = annotated(tmp_path, "2.5,3.3,walk", "0.1,1.1,rest").load(tmp_path)
    assert found.starts.tolist() == [5, 15, 25, 35, 125, 135, 145]
    assert [found.class_names[n] for n in found.labels] == ["rest"] * 4 + ["walk"] * 3


def test_annotations_that_overlap_are_refused_with_both_places(tmp_path):
    sentence = r"S1-marks.csv: line 3: found a stretch that begins before the one of .*S1-marks.csv: line 2 ends"
    with pytest.raises(UserError, match=sentence):
        annotated(tmp_path, "0.1,1.1,rest", "1.0,3.3,walk").load(tmp_path)
    with pytest.raises(UserError, match=r"line 2: found an end that is not after its start"):
        annotated(tmp_path, "1.1,0.1,rest").load(tmp_path)


def test_one_table_of_annotations_for_several_recordings(tmp_path):
    for name in ("a", "b"):
        put(table().drop(columns="activity"), tmp_path / "raw" / f"{name}.csv")
    (tmp_path / "marks.csv").write_text("file,start,end,label\nb.csv,0,1,walk\na,2,3,rest\n")
    marks = Annotations(str(tmp_path / "marks.csv"), recording="file")
    found = recordings(tmp_path / "raw" / "*.csv", label=None, annotations=marks).load(tmp_path)
    assert [found.class_names[n] for n in found.labels] == ["rest"] * 4 + ["walk"] * 4
    assert found.recordings.tolist() == [0] * 4 + [1] * 4


def test_declared_units_are_brought_to_one(tmp_path):
    plain = recordings(table()).load(tmp_path)
    found = recordings(table(), units={"x": "m/s2"}).load(tmp_path)
    np.testing.assert_allclose(found.inputs[:, 0], plain.inputs[:, 0] / 9.80665, rtol=1e-6)
    np.testing.assert_array_equal(found.inputs[:, 1], plain.inputs[:, 1])
    assert found.units == ("g", "")
    assert found.fingerprint != plain.fingerprint


def test_what_is_stored_is_found_by_content_wherever_the_files_lie(tmp_path):
    put(table(), tmp_path / "here" / "S1.csv")
    first = recordings(tmp_path / "here" / "{subject}.csv").load(tmp_path / "home")
    shutil.move(tmp_path / "here", tmp_path / "there")
    second = recordings(tmp_path / "there" / "{subject}.csv").load(tmp_path / "home")
    assert second.inputs.filename == first.inputs.filename
    assert (second.notes, second.units) == (first.notes, first.units)
    put(table(hz=3.0), tmp_path / "there" / "S1.csv")
    third = recordings(tmp_path / "there" / "{subject}.csv").load(tmp_path / "home")
    assert third.inputs.filename != first.inputs.filename
    assert not list((tmp_path / "home").rglob("*.bin"))


def test_semicolons_decimal_commas_and_files_without_a_header(tmp_path):
    plain = recordings(table()).load(tmp_path)
    path = put(table(), tmp_path / "a.csv", sep=";", decimal=",", header=False)
    path.write_text("made by a device\n" + path.read_text())
    found = recordings(
        path, decimal=",", skip=1, columns=("t", "x", "y", "activity"), separator=";"
    ).load(tmp_path)
    np.testing.assert_array_equal(found.inputs, plain.inputs)


def test_a_split_by_time_trains_on_what_was_before(tmp_path):
    frame = pd.concat([table(labels=("rest", "walk") * 5).assign(who=name) for name in "ab"])
    found = recordings(frame, subject="who", window=10, hop=5).load(tmp_path)
    split = TimeSplit(test=0.25, validation=0.25).split(found)
    assert split.within_subjects
    for who in "ab":
        sides = [found.starts[side][found.subjects[side] == who] for side in split.sides().values()]
        assert sides[0].max() + 10 <= sides[1].min()
        assert sides[1].max() + 10 <= sides[2].min()
        assert len(sides[2]) == round(0.25 * (found.subjects == who).sum())
    with pytest.raises(
        UserError, match="the last part of 'recordings' has walk, which no earlier part has"
    ):
        TimeSplit(test=0.4).split(recordings(table()).load(tmp_path))
