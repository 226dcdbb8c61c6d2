import numpy as np
import pandas as pd
import pytest

from tutelage.data import Arrays
from tutelage.errors import UserError


def save(folder, **arrays):
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=True)


def signals(kind=np.float32):
    return np.random.default_rng(0).normal(size=(5, 2, 8)).astype(kind)


def test_arrays_with_all_optional_files(tmp_path):
    save(
        tmp_path, X=signals(), y=np.array([0, 2, 1, 0, 0], np.uint8), subjects=np.arange(5),
        recordings=np.zeros(5, np.int32), starts=np.arange(5), test=np.arange(5) > 3,
    )  # fmt: skip
    (tmp_path / "classes.txt").write_text("rest\nwalk slowly\n\nrun\n")
    (tmp_path / "channels.txt").write_text("left\nright")
    found = Arrays(str(tmp_path), rate=25.0, name="mine").load()
    assert isinstance(found.inputs, np.memmap)
    np.testing.assert_array_equal(found.inputs, signals())
    assert (found.name, found.rate, found.window, found.modality) == ("mine", 25.0, 8, "signal")
    assert found.labels.tolist() == [0, 2, 1, 0, 0]
    assert found.subjects.tolist() == ["0", "1", "2", "3", "4"]
    assert found.class_names == ("rest", "walk slowly", "run")
    assert found.channel_names == ("left", "right")
    assert found.starts.tolist() == [0, 1, 2, 3, 4]
    assert found.official_test.tolist() == [False] * 4 + [True]


def test_arrays_with_the_two_needed_files(tmp_path):
    save(tmp_path, X=signals(np.float64), y=np.array([1, 0, 1, 0, 3]))
    found = Arrays(str(tmp_path)).load()
    assert found.inputs.dtype == np.float32
    assert found.class_names == ("class 0", "class 1", "class 2", "class 3")
    assert found.channel_names == ("channel 1", "channel 2")
    assert found.subjects is found.official_test is found.recordings is None


def test_image_arrays(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 7), dtype=np.uint8)
    save(tmp_path, X=images, y=np.zeros(4, int))
    found = Arrays(str(tmp_path)).load()
    assert (found.modality, found.window, found.channel_names[0]) == ("image", None, "red")


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"X": signals()}, "found no y.npy"),
        ({"y": np.zeros(5, int)}, "found no X.npy"),
        (
            {"X": signals(), "y": np.zeros(5)},
            "y.npy: found type float64, allowed are integers.* or texts",
        ),
        ({"X": signals(), "y": np.zeros(4, int)}, r"labels: found shape \[4\]"),
        (
            {"X": signals(), "y": np.full(5, -2)},
            "labels: found -2, allowed are class numbers from 0",
        ),
        ({"X": signals(), "y": np.full(5, -1)}, "found -1 everywhere"),
        ({"X": signals().astype(object), "y": np.zeros(5, int)}, "pickled objects are refused"),
        ({"X": signals(int), "y": np.zeros(5, int)}, "inputs: found .* int64"),
        (
            {"X": np.zeros(5, np.float32), "y": np.zeros(5, int)},
            r"X.npy: found shape \[5\], allowed are 3",
        ),
        ({"X": signals(), "y": np.zeros(0, int)}, "found"),
        (
            {"X": signals(), "y": np.zeros(5, int), "subjects": np.array(["a"], object)},
            "pickled objects",
        ),
        (
            {"X": signals(), "y": np.zeros(5, int), "recordings": np.zeros(5, int)},
            "both or neither",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, parts, sentence):
    save(tmp_path, **parts)
    with pytest.raises(UserError, match=sentence):
        Arrays(str(tmp_path)).load()


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"Arrays.folder: found no folder"):
        Arrays(str(tmp_path / "no")).load()


def test_labels_may_be_texts_and_some_may_be_missing(tmp_path):
    save(tmp_path, X=signals(), y=np.array(["walk", "S10", "", "S2", "walk"]))
    found = Arrays(str(tmp_path)).load()
    assert found.class_names == ("S2", "S10", "walk")
    assert found.labels.tolist() == [2, 1, -1, 0, 2]
    (tmp_path / "classes.txt").write_text("walk\nS2\nS10\n")
    assert Arrays(str(tmp_path)).load().labels.tolist() == [0, 2, -1, 1, 0]
    (tmp_path / "classes.txt").write_text("walks\nS2\nS10\n")
    with pytest.raises(UserError, match=r"y: unknown class 'walk'; did you mean 'walks'"):
        Arrays(str(tmp_path)).load()


def test_numbers_of_classes_may_be_missing_too(tmp_path):
    save(tmp_path, X=signals(), y=np.array([1, -1, 0, -1, 1]))
    assert Arrays(str(tmp_path)).load().labels.tolist() == [1, -1, 0, -1, 1]


def test_time_before_channels_where_that_is_declared(tmp_path):
    plain = signals()
    save(tmp_path, X=plain.transpose(0, 2, 1), y=np.array([0, 1, 0, 1, 0]))
    with pytest.raises(UserError, match=r"looks like .*time, channels.*layout: time_channels"):
        Arrays(str(tmp_path)).load()
    found = Arrays(str(tmp_path), layout="time_channels").load()
    np.testing.assert_array_equal(found.inputs, plain)
    assert found.inputs.flags.c_contiguous
    with pytest.raises(UserError, match=r"Arrays.layout: found 'time', allowed are channels_time"):
        Arrays(str(tmp_path), layout="time")


def test_arrays_in_memory_and_columns_of_pandas():
    table = pd.DataFrame({"who": ["a", "b", "c", "a", "b"], "test": [False] * 4 + [True]})
    table["what"] = pd.Categorical(["run", "sit", None, "run", "sit"], ["sit", "run"], ordered=True)
    given = {
        "X": signals(),
        "y": table["what"],
        "subjects": table["who"],
        "test": table["test"],
        "channels": ["l", "r"],
    }
    found = Arrays(given, rate=25.0).load()
    assert found.class_names == ("sit", "run")
    assert found.labels.tolist() == [1, 0, -1, 1, 0]
    assert found.subjects.tolist() == ["a", "b", "c", "a", "b"]
    assert found.channel_names == ("l", "r")
    assert found.official_test.tolist() == [False] * 4 + [True]
    for wrong, sentence in [({"z": 1}, "unknown array 'z'"), ({"X": np.zeros(5)}, r"X: found \[5\] float64"),
                            ({"starts": table["test"]}, "starts: found type bool"),
                            ({"y": np.zeros((5, 1))}, r"y: found \[5, 1\]")]:  # fmt: skip
        with pytest.raises(UserError, match=sentence):
            Arrays(given | wrong).load()
