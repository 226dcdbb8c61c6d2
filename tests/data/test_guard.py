"""Files that are broken, forged or huge: each is told in one sentence, before anything is allocated."""

import io
import os
import random
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from tutelage.data import Arrays, Hapt, ImageFolder, Pamap2, TinyImageNet, guard
from tutelage.data.sources import Folder, Zip
from tutelage.errors import UserError


def header(shape, descr="<f4", body=b"", magic=b"\x93NUMPY\x01\x00"):
    """Return a .npy file whose header says what it likes."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return magic + struct.pack("<H", len(text)) + text + body


NPY = {
    "negative shape": (header("(-5, 2, 8)"), r"found shape \[-5, 2, 8\], allowed are 3 or 4 axes"),
    "more than there is": (header("(10**12, 2, 8)"), "readable .npy header|the header promises"),
    "absurd": (header("(1000000000000, 2, 8)"), "found 0 bytes of numbers, the header promises 64,000,000"),
    "beyond 64 bits": (header("(9" + "0" * 40 + ", 2, 8)"), "the header promises"),
    "records": (header("(5, 2, 8)", [("a", "<f4")]), "found type .*, allowed are floating-point"),
    "void": (header("(5, 2, 8)", "|V4"), r"found type \|V4, allowed are"),
    "objects": (header("(5, 2, 8)", "|O"), "pickled objects are refused"),
    "complex": (header("(5, 2, 8)", "<c8"), "found type complex64, allowed are"),
    "no header": (b"\x93NUMPY\x01\x00\xff\xff{", "found no readable .npy header"),
    "code": (header("__import__('os')"), "found no readable .npy header"),
    "npz": (b"PK\x03\x04rest", r"found a .zip or .npz archive, allowed is a plain .npy file"),
    "pickle": (b"\x80\x04rest.", "found a pickle, allowed is a plain .npy file"),
    "text": (b"1,2,3\n", "found no .npy file"),
    "empty file": (b"", "found no .npy file"),
    "empty array": (header("(0, 2, 8)"), "found shape .* not empty"),
    "version 9": (header("(5, 2, 8)", magic=b"\x93NUMPY\x09\x00"), "found no readable .npy header"),
}  # fmt: skip


@pytest.mark.parametrize("case", NPY)
def test_forged_arrays_are_told_with_their_path(tmp_path, case):
    data, sentence = NPY[case]
    np.save(tmp_path / "y.npy", np.arange(5) % 2)
    (tmp_path / "X.npy").write_bytes(data)
    with pytest.raises(UserError, match=sentence) as told:
        Arrays(str(tmp_path)).load()
    assert str(tmp_path / "X.npy") in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400


def good(folder, **more):
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    parts = {"X": rng.normal(size=(6, 2, 8)).astype(np.float32), "y": np.arange(6) % 2}
    for name, values in (parts | more).items():
        np.save(folder / f"{name}.npy", values)
    return Arrays(str(folder))


def test_pipes_folders_and_devices_are_told_at_once(tmp_path):
    loader = good(tmp_path)
    (tmp_path / "y.npy").unlink()
    os.mkfifo(tmp_path / "y.npy")
    with pytest.raises(UserError, match=r"y.npy: found a named pipe, allowed is a file"):
        loader.load()
    (tmp_path / "y.npy").unlink()
    (tmp_path / "y.npy").symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"y.npy: found a device, allowed is a file"):
        loader.load()
    (tmp_path / "y.npy").unlink()
    (tmp_path / "y.npy").symlink_to("y.npy")
    with pytest.raises(UserError, match=r"y.npy: cannot be read"):
        loader.load()
    (tmp_path / "y.npy").unlink()
    (tmp_path / "y.npy").mkdir()
    with pytest.raises(UserError, match=r"y.npy: found a folder, allowed is a file"):
        loader.load()


PARTS = {
    "a person who is NaN": ({"subjects": np.array(["a", "nan", "b"] * 2)}, r"subjects: found 'nan' \(sample 1\)"),
    "floats": ({"subjects": np.array([1.0, np.nan] * 3)}, "subjects.npy: found type float64, allowed are texts"),
    "a person without a name": ({"subjects": np.array(["a", "b", ""] * 2)}, r"subjects: found '' \(sample 2\)"),
    "a space": ({"subjects": np.array(["S1", "S1 ", "S2"] * 2)}, "found 'S1' and 'S1 ', allowed is one spelling"),
    "zeros": ({"subjects": np.array(["1", "01", "2"] * 2)}, "found '01' and '1', allowed is one spelling"),
    "case": ({"subjects": np.array(["s1", "S1", "S2"] * 2)}, "found 'S1' and 's1', allowed is one spelling"),
    "labels from 1": ({"y": np.arange(6) % 2 + 1}, r"y.npy: found labels from 1 to 2, .*np.save\(path, y - 1\)"),
    "a huge label": ({"y": np.array([0, 1, 10**8, 0, 1, 0])}, "labels: found 100000000, allowed are class"),
    "time before channels": (
        {"X": np.zeros((6, 100, 4), np.float32)},
        r"found \[6, 100, 4\], so 100 channels of 4 samples, which looks like \[N, time, channels\]",
    ),
    "colours last": ({"X": np.zeros((6, 9, 9, 3), np.uint8)}, r"looks like \[N, height, width, 3\]"),
    "NaN": (
        {"X": np.where(np.arange(96).reshape(6, 2, 8) == 16 * 4 + 8 + 3, np.nan, 0).astype(np.float32)},
        "NaN in sample 4, channel 'channel 2', time 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PARTS)
def test_arrays_are_not_believed(tmp_path, case):
    parts, sentence = PARTS[case]
    with pytest.raises(UserError, match=sentence):
        good(tmp_path, **parts).load()


def test_what_a_user_states_is_believed(tmp_path):
    long = good(tmp_path / "a", X=np.zeros((6, 10, 4), np.float32))
    (tmp_path / "a" / "channels.txt").write_text("\n".join(f"c{n}" for n in range(10)))
    assert long.load().inputs.shape == (6, 10, 4)
    first = good(tmp_path / "b", y=np.arange(6) % 2 + 1)
    (tmp_path / "b" / "classes.txt").write_text("none yet\nrest\nwalk\n")
    assert first.load().class_names == ("none yet", "rest", "walk")
    people = np.array(["101", "102", "S10", "S1", "S100", "A01"])
    assert good(tmp_path / "c", subjects=people).load().subjects.tolist() == people.tolist()


def test_lists_of_names_are_judged(tmp_path):
    loader = good(tmp_path)
    (tmp_path / "classes.txt").write_bytes("Gehen\nSt\xfchle\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"classes.txt: found no text in UTF-8 \(byte 8\)"):
        loader.load()
    (tmp_path / "classes.txt").write_text("walk\n" * 1_000_000)
    with pytest.raises(UserError, match=r"classes.txt: found 5,000,000 bytes, allowed are at most"):
        loader.load()
    (tmp_path / "classes.txt").write_text("walk\n" * 10_000)
    with pytest.raises(UserError, match="a different name for every class") as told:
        loader.load()
    assert len(str(told.value)) < 250


def test_double_precision_that_does_not_fit_is_told(tmp_path, monkeypatch):
    import psutil

    loader = good(tmp_path, X=np.zeros((6, 2, 8)))
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=300))
    with pytest.raises(
        UserError, match=r"X.npy: 0.0 GB of memory are needed .* store it as float32"
    ):
        loader.load()


def paint(path, mode="RGB", size=(7, 5), **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 90).save(path, **more)
    return path


def folder_of(tmp_path):
    for kind in ("cat", "dog"):
        paint(tmp_path / "raw" / kind / "1.png")
    return ImageFolder(str(tmp_path / "raw"))


def test_hidden_files_and_folders_are_no_images(tmp_path):
    loader = folder_of(tmp_path)
    paint(tmp_path / "raw" / "cat" / ".thumbnails" / "1.png")
    (tmp_path / "raw" / "dog" / "._1.png").write_bytes(b"of another system")
    assert len(loader.load(tmp_path)) == 2


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path):
    loader = folder_of(tmp_path)
    grey = np.arange(35, dtype=np.uint16).reshape(5, 7) * 257 * 7
    Image.fromarray(grey).save(tmp_path / "raw" / "cat" / "1.png")
    found = loader.load(tmp_path)
    assert found.inputs[0, 0].ravel().tolist() == [7 * number for number in range(35)]
    Image.fromarray(np.full((5, 7), 0.5, np.float32)).save(tmp_path / "raw" / "cat" / "1.tif")
    with pytest.raises(
        UserError, match=r"1.tif: found pixels from 0.5 to 0.5, allowed are 8 or 16"
    ):
        loader.load(tmp_path)


def test_a_picture_is_turned_as_the_camera_was_held(tmp_path):
    loader = folder_of(tmp_path)
    for kind in ("cat", "dog"):
        (tmp_path / "raw" / kind / "1.png").unlink()
        image = Image.new("RGB", (6, 4))
        image.putpixel((0, 0), (255, 255, 255))
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        image.save(tmp_path / "raw" / kind / "2.png", exif=exif)
    found = loader.load(tmp_path)
    assert found.inputs.shape == (2, 3, 6, 4)
    assert np.argwhere(found.inputs[0, 0] == 255).tolist() == [[0, 3]]


def test_pictures_that_would_be_left_out_silently_are_told(tmp_path):
    loader = folder_of(tmp_path)
    paint(tmp_path / "raw" / "cat" / "2.gif", "P")
    with pytest.raises(UserError, match=r"cat/2.gif: found a picture of a kind that is not read"):
        loader.load(tmp_path)
    (tmp_path / "raw" / "cat" / "2.gif").unlink()
    (tmp_path / "raw" / "mouse").mkdir()
    with pytest.raises(UserError, match=r"found no images in the class folder .*mouse"):
        loader.load(tmp_path)


def test_bombs_cut_pictures_and_other_formats_are_told(tmp_path):
    loader = folder_of(tmp_path)
    path = tmp_path / "raw" / "cat" / "1.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"IEND") - 4])
    with pytest.raises(UserError, match=r"1.png: found no readable image \(its end is missing\)"):
        loader.load(tmp_path)
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(UserError, match=r"1.png: found no readable image"):
        loader.load(tmp_path)
    Image.new("1", (9000, 9000)).save(path)
    with pytest.raises(UserError, match=r"1.png: found 9000x9000 pixels, allowed are at most 67,1"):
        loader.load(tmp_path)
    Image.new("1", (15000, 15000)).save(path)
    with pytest.raises(UserError, match=r"1.png: found"):
        loader.load(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"1.png: found a named pipe"):
        loader.load(tmp_path)


def tiny_zip(path, change=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/n01443537/images/1.JPEG", b"x" * 100)
        archive.writestr("wnids.txt", "n01443537\n")
        archive.writestr("words.txt", "n01443537\tgoldfish\n")
    data = bytearray(path.read_bytes())
    if change:
        change(data)
        path.write_bytes(bytes(data))
    return path


def test_archives_are_judged_by_their_members(tmp_path, monkeypatch):
    def encrypt(data):
        for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = -1
            while (place := data.find(sign, place + 1)) >= 0:
                data[place + at] |= 1

    def misname(data):
        for sign, at, name in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
            place = data.find(sign)
            data[place + at + 1] |= 8  # says that the name is UTF-8
            data[place + name] = 0xFF

    locked = tiny_zip(tmp_path / "locked.zip", encrypt)
    with pytest.raises(UserError, match=r"locked.zip: wnids.txt: found it encrypted"):
        TinyImageNet(str(locked)).load(tmp_path)
    with pytest.raises(UserError, match=r"odd.zip: found no readable .zip archive"):
        TinyImageNet(str(tiny_zip(tmp_path / "odd.zip", misname))).load(tmp_path)
    whole = Zip(tiny_zip(tmp_path / "whole.zip"))
    assert whole.text("wnids.txt") == "n01443537\n"
    monkeypatch.setattr(guard.sized, "__defaults__", (50,))
    with pytest.raises(UserError, match=r"1.JPEG: found 100 bytes, allowed are at most 50"):
        list(whole.contents(["train/n01443537/images/1.JPEG"]))


@pytest.mark.parametrize("loader", [Hapt(), Pamap2()])
def test_encrypted_archives_of_recordings_are_told(tmp_path, loader):
    folder = tmp_path / loader.cache_name
    folder.mkdir()
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("HAPT/RawData/labels.txt", "1 1 1 1 1\n")
        archive.writestr("PAMAP2_Dataset/Protocol/subject101.dat", "1 1\n")
    data = bytearray((folder / "x.zip").read_bytes())
    place = -1
    while (place := data.find(b"PK\x01\x02", place + 1)) >= 0:
        data[place + 8] |= 1
    (folder / "x.zip").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"x.zip: .*found it encrypted"):
        loader.load(tmp_path)


def test_a_folder_that_links_to_itself_is_walked_once(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.png").write_bytes(b"x")
    (tmp_path / "train" / "again").symlink_to(tmp_path / "train")
    os.mkfifo(tmp_path / "train" / "pipe.png")
    assert Folder(tmp_path, ["train"]).names == ["train/1.png"]


def damaged(rng, original):
    """Return a file with a part changed, cut, doubled or taken from elsewhere."""
    data = bytearray(original)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(max(1, len(data)))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data = data[:place]
        elif kind == 2:
            data[place:place] = rng.randbytes(rng.randint(1, 20))
        elif kind == 3:
            data[place : place + 8] = b""
        elif kind == 4:
            data = bytearray(bytes(data).replace(rng.choice([b"<f4", b"<i8", b"|b1"]), rng.choice(
                [b"|O8", b"<U9", b"<c8", b"|V4", b">f8", b"<f2", b"<M8"])))  # fmt: skip
        else:
            data = bytearray(
                bytes(data).replace(
                    b"(6,", rng.choice([b"(0,", b"(9,", b"(-1,", b"(6e9,", b"('6',"])
                )
            )
    return bytes(data)


FILES = {
    "X.npy": np.random.default_rng(0).normal(size=(6, 2, 8)).astype(np.float32),
    "y.npy": np.arange(6) % 2,
    "subjects.npy": np.array(["S1", "S1", "S2", "S2", "S3", "S3"]),
    "sessions.npy": np.array([1, 2, 1, 2, 1, 2]),
    "test.npy": np.arange(6) > 3,
    "recordings.npy": np.zeros(6, np.int64),
    "starts.npy": np.arange(6) * 8,
}


@pytest.mark.slow
def test_damaged_folders_give_sentences_and_no_traceback(tmp_path):
    rng = random.Random(5)
    originals = {"classes.txt": b"rest\nwalk\n", "channels.txt": b"x\ny\n"}
    for name, values in FILES.items():
        buffer = io.BytesIO()
        np.save(buffer, values)
        originals[name] = buffer.getvalue()
    loader, told, loaded = Arrays(str(tmp_path)), 0, 0
    for _ in range(650):
        for name, data in originals.items():
            (tmp_path / name).write_bytes(data)
        for name in rng.sample(sorted(originals), rng.choice([1, 1, 1, 2])):
            (tmp_path / name).write_bytes(damaged(rng, originals[name]))
        try:
            dataset = loader.load()
            _ = dataset.fingerprint
            loaded += 1
        except UserError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 600
            told += 1
    assert told > 200
    assert loaded > 30
