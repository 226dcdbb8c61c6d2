import pytest
from PIL import Image

from tutelage.data import ImageFolder
from tutelage.errors import UserError


def test_a_missing_folder_is_refused(tmp_path):
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
