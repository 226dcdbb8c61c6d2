"""What ``tutelage new`` guesses of a folder, and that what it writes is a recipe and a study."""

import numpy as np
import pandas as pd
import pytest

from tests.data.recordings.made import put, table
from tutelage.errors import UserError
from tutelage.recipe.config import load
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.study.file import load_study
from tutelage.study.start import guess, write_start


def people(folder, count=7, seconds=12.0):
    for number in range(count):
        put(table(seconds=seconds, labels=("rest", "walk")), folder / f"P{number}" / "one.csv")


def test_folders_of_people(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people(tmp_path / "raw")
    (tmp_path / "raw" / "notes.md").write_text("no table")
    found = guess(tmp_path / "raw")
    assert (found.time, found.label, found.channels, found.rate) == (
        "t",
        "activity",
        ("x", "y"),
        50.0,
    )
    assert found.files.endswith("raw/{subject}/*.csv")
    assert (found.people, found.rows) == (7, 7 * 600)
    recipe, study = write_start("mine", found, tmp_path)
    loaded = load(recipe)
    dataset = load_data(loaded.data, tmp_path / "home")
    assert loaded.train.batch_size == 8 <= len(dataset) / 4
    assert (dataset.window, dataset.rate, len(np.unique(dataset.subjects))) == (128, 50.0, 7)
    split = DataSpec.of(loaded).splitter().split(dataset, 0)
    assert all(len(side) for side in split.sides().values())
    cells = load_study(study).cells
    assert [cell.recipe.distiller["soft"]["term"]["temperature"] for cell in cells] == [2, 8]
    with pytest.raises(UserError, match="mine: there is something of that name"):
        write_start("mine", found, tmp_path)


@pytest.mark.parametrize(
    ("count", "kind"), [(3, "GroupedFolds"), (2, "TimeSplit"), (1, "TimeSplit")]
)
def test_few_people_are_split_as_they_can_be(tmp_path, count, kind):
    for number in range(count):
        put(table(seconds=60.0, labels=("rest", "walk") * 5), tmp_path / "raw" / f"P{number}.csv")
    loaded = load(write_start("mine", guess(tmp_path / "raw"), tmp_path)[0])
    assert loaded.split["type"] == kind
    split = DataSpec.of(loaded).splitter().split(load_data(loaded.data, tmp_path / "home"), 0)
    assert all(len(side) for side in split.sides().values())


def test_one_table_with_columns_of_people_and_occasions(tmp_path):
    parts = [
        table().assign(subject_id=who, Session=1, timestamp=table()["t"]).drop(columns="t")
        for who in "abc"
    ]
    put(pd.concat(parts), tmp_path / "raw" / "all.csv")
    found = guess(tmp_path / "raw")
    assert (found.subject, found.session, found.time, found.people) == (
        "subject_id",
        "Session",
        "timestamp",
        3,
    )
    assert "{subject}" not in found.files
    loaded = load(write_start("mine", found, tmp_path)[0], ["data.window=20"])
    assert len(np.unique(load_data(loaded.data, tmp_path / "home").subjects)) == 3


def test_names_of_columns_stay_texts(tmp_path):
    evil = {"x": "a: [b]#", "y": "'\x1b{{ 977 * 983 }}", "activity": "label"}
    put(table().rename(columns=evil), tmp_path / "raw" / "a.csv")
    recipe, _ = write_start("mine", guess(tmp_path / "raw"), tmp_path)
    assert load(recipe).data["channels"] == [evil["x"], evil["y"]]
    assert "\x1b" not in recipe.read_text()
    assert str(977 * 983) not in recipe.read_text()


def test_what_cannot_be_guessed_is_told(tmp_path):
    with pytest.raises(UserError, match="--from: found no folder"):
        guess(tmp_path / "none")
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match=r"--from: found no table in .*, allowed are .csv"):
        guess(tmp_path / "raw")
    (tmp_path / "raw" / "a.csv").write_text("name,label\nx,walk\n")
    with pytest.raises(
        UserError, match=r"a.csv: found no column of numbers for a channel \(there: name, label"
    ):
        guess(tmp_path / "raw")
    with pytest.raises(UserError, match=r"new: found the name '\.\./a'"):
        write_start("../a", None, tmp_path)


def test_without_recordings_it_begins_with_hapt(tmp_path):
    recipe, study = write_start("mine", None, tmp_path)
    assert load(recipe).data == {"type": "Hapt", "window": 128, "stride": 64}
    assert len(load_study(study).cells) == 2
    with pytest.raises(
        UserError, match=r"study.yaml: is a study, not a recipe; tutelage study run"
    ):
        load(study)
    with pytest.raises(UserError, match=r"recipe.yaml: is a recipe, not a study; tutelage run"):
        load_study(recipe)


def test_dates_without_people_and_labels_leave_places_to_fill(tmp_path):
    frame = table().drop(columns="activity")
    frame["time"] = (pd.Timestamp("2026-01-31") + pd.to_timedelta(frame.pop("t"), unit="s")).astype(
        str
    )
    put(frame, tmp_path / "raw" / "a.csv")
    found = guess(tmp_path / "raw")
    assert (found.time, found.label, found.people, found.rate) == ("time", None, 0, 50.0)
    text = write_start("mine", found, tmp_path)[0].read_text()
    assert "label: LABEL    # no column of labels was found" in text
    assert "# subject: COLUMN" in text
