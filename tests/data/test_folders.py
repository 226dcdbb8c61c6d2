import numpy as np
import pytest
from PIL import Image

from tutelage.data import Arrays, ImageFolder
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
    found = Arrays(str(tmp_path), rate=25.0, name="mine", units=("g", "V")).load()
    assert found.channel_units == ("g", "V")
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
        ({"X": signals(), "y": np.zeros(5)}, "y.npy: found type float64, allowed are integers"),
        ({"X": signals(), "y": np.zeros(4, int)}, r"labels: found shape \[4\]"),
        ({"X": signals(), "y": np.full(5, -1)}, "class_names: found|labels: found -1"),
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


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"Arrays.folder: found no folder"):
        Arrays(str(tmp_path / "no")).load()
    with pytest.raises(UserError, match=r"ImageFolder.folder: found no folder"):
        ImageFolder(str(tmp_path / "no")).load()


def paint(path, shade, size=(7, 5), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade).save(path)


def test_one_folder_for_each_class(tmp_path):
    raw = tmp_path / "raw"
    paint(raw / "dog" / "1.png", (10, 20, 30))
    paint(raw / "cat" / "10.png", (1, 2, 3))
    paint(raw / "cat" / "2.bmp", 200, mode="L")
    paint(raw / "cat" / "deep" / "1.png", (7, 7, 7))
    (raw / "cat" / "notes.txt").write_text("no image")
    (raw / ".hidden").mkdir()
    found = ImageFolder(str(raw)).load(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert found.labels.tolist() == [0, 0, 0, 1]
    assert found.inputs.shape == (4, 3, 5, 7)
    assert found.inputs[:, :, 0, 0].tolist() == [[200] * 3, [1, 2, 3], [7, 7, 7], [10, 20, 30]]
    assert found.official_test is None


def test_equal_file_names_in_two_classes_stay_apart(tmp_path):
    raw = tmp_path / "raw"
    paint(raw / "a" / "1.png", 1, mode="L")
    paint(raw / "b" / "1.png", 2, mode="L")
    before = ImageFolder(str(raw)).load(tmp_path)
    paint(raw / "a" / "1.png", 9, mode="L")
    after = ImageFolder(str(raw)).load(tmp_path)
    assert before.inputs[:, 0, 0, 0].tolist() == [1, 2]
    assert after.inputs[:, 0, 0, 0].tolist() == [9, 2]


def test_train_and_test_folders(tmp_path):
    raw = tmp_path / "raw"
    for part, kind, shade in (("train", "a", 1), ("train", "b", 2), ("test", "b", 3)):
        paint(raw / part / kind / "1.png", shade, mode="L")
    found = ImageFolder(str(raw)).load(tmp_path)
    assert found.labels.tolist() == [0, 1, 1]
    assert found.official_test.tolist() == [False, False, True]
    paint(raw / "test" / "c" / "1.png", 4, mode="L")
    with pytest.raises(UserError, match="found class 'c' in test only"):
        ImageFolder(str(raw)).load(tmp_path)
    (raw / "val").mkdir()
    with pytest.raises(UserError, match="found test, train, val"):
        ImageFolder(str(raw)).load(tmp_path)


def test_one_of_train_and_test_is_refused(tmp_path):
    paint(tmp_path / "raw" / "train" / "a" / "1.png", 1, mode="L")
    with pytest.raises(UserError, match="found train in"):
        ImageFolder(str(tmp_path / "raw")).load(tmp_path)


def test_unequal_sizes_need_a_size(tmp_path):
    raw = tmp_path / "raw"
    paint(raw / "a" / "1.png", 10, mode="L")
    paint(raw / "a" / "2.png", 20, size=(9, 9), mode="L")
    with pytest.raises(UserError, match="found 9x9 pixels, the first image has 7x5; set size"):
        ImageFolder(str(raw)).load(tmp_path)
    found = ImageFolder(str(raw), size=8).load(tmp_path)
    assert found.inputs.shape == (2, 3, 8, 8)
    assert found.inputs[:, 0, 3, 3].tolist() == [10, 20]
    with pytest.raises(UserError, match=r"ImageFolder.size: found 0"):
        ImageFolder(str(raw), size=0).load(tmp_path)


def test_no_images_and_broken_images_are_refused(tmp_path):
    (tmp_path / "raw" / "a").mkdir(parents=True)
    with pytest.raises(UserError, match="found no images"):
        ImageFolder(str(tmp_path / "raw")).load(tmp_path)
    (tmp_path / "raw" / "a" / "1.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="no readable image"):
        ImageFolder(str(tmp_path / "raw")).load(tmp_path)
