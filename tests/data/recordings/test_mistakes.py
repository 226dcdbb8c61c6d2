"""What users' files get wrong: each is one sentence with file and line."""

import numpy as np
import pandas as pd
import pytest

from tests.data.recordings.made import recordings, table
from tutelage.data import Recordings
from tutelage.data.prepare import describe
from tutelage.errors import UserError
from tutelage.inert import csv_text


def text_of(frame=None):
    return (table() if frame is None else frame).to_csv(index=False)


def replaced(line, old, new):
    lines = text_of().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    return "\n".join(lines)


def zones():
    stamps = pd.Timestamp("2026-01-31") + pd.to_timedelta(table()["t"], unit="s")
    texts = stamps.dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text_of(table().assign(t=[*(texts[:120] + "+01:00"), *(texts[120:] + "+02:00")]))


MISTAKES = {
    "a zip": (b"PK\x03\x04...", {}, "a.csv: line 1: found a .zip or .xlsx file, allowed is CSV"),
    "a page": (b"<html>", {}, "a.csv: line 1: found a page or XML, allowed is CSV"),
    "bytes": (b"t,x,y\n\0\0", {}, "a.csv: line 1: found bytes that are no text, allowed is CSV"),
    "nothing": (b"", {}, "a.csv: line 1: found nothing, allowed is CSV"),
    "latin": (text_of().replace("walk", "caf\xe9").encode("latin-1"), {}, "a.csv: found bytes that are no UTF-8"),
    "column": (text_of().replace("activity", "activty"), {},
        "a.csv: line 1: found no column 'activity' \\(label\\); "
               "did you mean 'activty'"),
    "channel": (text_of(), {"channels": ("x", "Y")}, "a.csv: line 1: found no column 'Y' \\(data\\)"),
    "twice": (text_of().replace("t,x,y", "t,x,x"), {}, "a.csv: line 1: found column 'x' twice"),
    "no header": (text_of().split("\n", 1)[1].replace("rest", "1").replace("walk", "2"), {},
                  "a.csv: line 1: found numbers where the names of columns stand"),
    "a word": (replaced(17, ",15.0,", ",many,"), {},
        "a.csv: line 17: column 'y': found 'many', allowed is a number"),
    "a comma": (text_of().replace(",", ";").replace(".", ","), {},
        "a.csv: line 2: column 't': found '0,0'.*decimal: ','"),
    "infinity": (replaced(17, ",15.0,", ",inf,"), {}, "a.csv: line 17: column 'y': found an infinite value"),
    "too many fields": (replaced(17, "rest", "rest,7,8,9"), {}, "a.csv: line 17: found 7 fields, allowed are 4"),
    "one field more": (replaced(17, "rest", "rest,7"), {},
        "a.csv: line 17: found 5 fields, allowed are 4.*','.* the sep"),
    "no time": (replaced(17, "0.3,", ","), {}, "a.csv: line 17: column 't': found no time"),
    "a time of words": (replaced(17, "0.3,", "soon,"), {}, "column 't': found"),
    "back in time": (replaced(17, "0.3,", "0.1,"), {}, "a.csv: line 17: found time that goes back by 0.18 s"),
    "time twice": (replaced(17, "0.3,", "0.28,"), {},
        "a.csv: line 17: found the time of the line before once more"),
    "two zones": (zones(), {},
        "a.csv: line 122: column 't': found the time zone '\\+02:00', the lines before have "
                  "'\\+01:00'; allowed is one"),
    "rate": (text_of(), {"rate": 100}, "a.csv: line 2: found timestamps 20 ms apart, which are 50 Hz, but "
             "Recordings.rate says 100; rate: 50 says what they are, resample: 100"),
    "milliseconds": (text_of(table().assign(t=np.arange(200) * 20)), {"rate": 50},
        "are they in ms.*time_unit: ms"),
    "window": (text_of(), {"window": "5 s"},
        "Recordings.window: found 5 s, which is 250 samples at 50 Hz; the longest "
               "recording without a gap has 200 .*a.csv: line 2"),
    "runs": (text_of(), {"window": "3 s"}, "the longest run of one label has 100 .*a purity below 1"),
    "class": (text_of(), {"classes": ("rest", "walks")},
        "Recordings.classes: unknown label 'walks'; did you mean 'walk'"),
    "no label": (text_of(table().assign(activity="")), {}, "a.csv: line 2: found no label in any of 1 recordings"),
    "header only": ("t,x,y,activity\n", {}, "a.csv: found no row"),
    "nobody": (text_of(table().assign(who=["a"] * 30 + [""] * 170)), {"subject": "who"},
               "a.csv: line 32: column 'who': found no subject"),
    "scattered": (text_of(table(seconds=40.0).assign(who=["a", "b"] * 1000)), {"subject": "who"},
                  "a.csv: found 2000 changes of subject in 2000 rows; allowed are rows sorted by them"),
    "part": (text_of(table().assign(side="exam")), {"part": "side"}, "Recordings.part: unknown part 'exam'"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_file_is_one_sentence_with_its_place(tmp_path, name):
    content, arguments, sentence = MISTAKES[name]
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=sentence) as caught:
        recordings(path, **arguments).load(tmp_path / "home")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "home").rglob("*.bin"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"window": "2.56 x"},
            "Recordings.window: found '2.56 x', allowed are lengths such as 128, '2.56 s'",
        ),
        ({"window": "50 %"}, "Recordings.window: found '50 %'"),
        ({"hop": "-1"}, "Recordings.hop: found '-1'"),
        ({"hop": "1 ms"}, "Recordings.hop: found 1 ms, which at 50 Hz is less than one sample"),
        ({"purity": 0}, "Recordings.purity: 0 must be in"),
        ({"rate": -1}, "Recordings.rate: -1 must be > 0"),
        ({"time": None}, "found neither time nor rate"),
        ({"label": None}, "Recordings.label: found none of label, annotations"),
        ({"files": "{label}.csv"}, "Recordings.label: found a column and {label} in the path"),
        ({"subject": "x"}, "Recordings: found 'x' twice"),
        ({"channels": ()}, "Recordings: found no channel"),
        ({"units": {"z": "g"}}, "Recordings.units: unknown channel 'z'"),
        ({"units": "m/s"}, "unknown unit 'm/s'; did you mean 'm/s2'"),
        (
            {"files": "nowhere/*.csv"},
            r"Recordings.files: found no file for 'nowhere/\*.csv' \(looked in ",
        ),
        ({"files": "."}, r"Recordings.files: found the folder '.', allowed is a pattern"),
        ({"files": "README.md"}, "README.md: found a file of another kind, allowed are .csv"),
    ],
)
def test_a_mistake_in_an_argument_is_one_sentence(tmp_path, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        recordings(**{"files": table(), **arguments}).load(tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_a_damaged_table_is_one_sentence(tmp_path, kind):
    pytest.importorskip("pyarrow")
    path = tmp_path / f"a.{kind}"
    getattr(table(), f"to_{kind}")(path)
    path.write_bytes(path.read_bytes()[:-300] + b"\xff" * 300)
    with pytest.raises(UserError, match=r"a\.\w+: found no readable table") as caught:
        recordings(path).load(tmp_path / "home")
    assert "\n" not in str(caught.value)


def test_a_class_that_one_person_alone_has_is_told(tmp_path):
    frame = pd.concat([table(labels=labels).assign(who=who)
                       for who, labels in (("a", ["rest", "walk"]), ("b", ["rest"]))])  # fmt: skip
    found = describe(recordings(frame, subject="who").load(tmp_path))
    assert any(note.startswith("walk: 9 samples of 1 subject only") for note in found.notes)


def test_what_files_say_reaches_no_terminal_and_no_table_alive(tmp_path):
    evil = {"activity": "=cmd|' /C calc'!A0", "x": "\x1b[2J<script>alert(1)</script>"}
    frame = table(labels=(evil["activity"], "walk")).rename(columns={"x": evil["x"]})
    found = recordings(frame, channels=(evil["x"], "y")).load(tmp_path)
    text = str(describe(found))
    assert "\x1b" not in text
    assert r"\x1b[2J" in text
    assert "\n'=cmd" in csv_text(("class",), [[name] for name in found.class_names])


def test_a_recipe_takes_the_same_arguments():
    from tutelage.recipe.instantiate import build

    told = {"type": "Recordings", "files": "*.csv", "channels": ["x"], "label": "l", "rate": 50,
            "window": "2.56 s",
            "hop": "50 %", "units": {"x": "g"}, "annotations": None}  # fmt: skip
    assert build("tutelage.data", told, "data") == Recordings(
        "*.csv", ("x",), "l", rate=50.0, window="2.56 s", hop="50 %", units={"x": "g"}
    )
    with pytest.raises(
        UserError, match=r"data: Recordings takes no 'chanels'; did you mean 'channels'"
    ):
        build("tutelage.data", told | {"chanels": []}, "data")
