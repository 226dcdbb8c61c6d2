"""CINIC-10, Tiny ImageNet, ImageNet and CIFAR-100 on small files of exactly the official arrangement."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from tutelage.data import Cifar100, Cinic10, ImageNet, TinyImageNet, image_loader, pictures, store
from tutelage.data import cifar100 as cifar100_module
from tutelage.data import cinic as cinic_module
from tutelage.data import imagenet as imagenet_module
from tutelage.data import tiny_imagenet as tiny_module
from tutelage.data.cifar import CLASSES
from tutelage.data.leakage import refuse_leakage, scan
from tutelage.data.prepare import describe
from tutelage.data.splits import OfficialSplit
from tutelage.data.synsets import readable, synonyms
from tutelage.errors import UserError

WNIDS = ["n02124075", "n01443537", "n02012849", "n03126707"]  # not in rising order, as in wnids.txt
WORDS = {
    "n01443537": "goldfish, Carassius auratus",
    "n02124075": "Egyptian cat",
    "n02012849": "crane",
    "n03126707": "crane",
}


def picture(path, seed, size=(32, 32), mode="RGB", kind=None):
    """Write a smooth random image and return what a decoder gives back, [3, height, width]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(size)
    image.convert(mode).save(path, kind or ("PNG" if path.suffix == ".png" else "JPEG"))
    with Image.open(path) as stored:
        return np.asarray(stored.convert("RGB")).transpose(2, 0, 1)


# CINIC-10


@pytest.fixture
def cinic(tmp_path, monkeypatch):
    """Three images in each class and part; return the folder and {path: pixels}."""
    root, pixels = tmp_path / "raw", {}
    for part in ("train", "valid", "test"):
        for name in CLASSES:
            for stem in (
                f"n02690373_{len(pixels)}",
                f"cifar10-train-{len(pixels)}",
                "cifar10-test-7",
            ):
                path = root / part / name / f"{stem}.png"
                pixels[path.relative_to(root).as_posix()] = picture(path, len(pixels))
    (root / "README.md").write_text("CINIC-10")
    (root / "imagenet-contributors.csv").write_text("synset,image_num")
    monkeypatch.setattr(
        cinic_module, "COUNTS", {name: (30, 3) for name in ("train", "validation", "test")}
    )
    return root, pixels


def as_tar(root, target, prefix="./"):
    """Pack as the publishers did: files in no useful order."""
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(root.rglob("*"), key=lambda one: one.name[::-1]):
            archive.add(path, f"{prefix}{path.relative_to(root).as_posix()}", recursive=False)
    return target


def expected(pixels, folders, classes):
    """Return images and labels in the order of the store, by the slow way."""
    names = [
        (part, number, name)
        for part in folders
        for number, kind in enumerate(classes)
        for name in sorted(pixels)
        if name.startswith(f"{part}/{kind}/")
    ]
    return np.stack([pixels[name] for *_, name in names]), [number for _, number, _ in names]


def test_cinic_keeps_its_three_parts(cinic, tmp_path):
    root, pixels = cinic
    told = []
    found = Cinic10(str(root)).load(
        tmp_path / "cache", lambda text, done: told.append((text, done))
    )
    images, labels = expected(pixels, ("train", "valid", "test"), CLASSES)
    np.testing.assert_array_equal(found.inputs, images)
    assert found.labels.tolist() == labels
    assert found.class_names == CLASSES
    assert (found.name, found.modality, found.subjects) == ("cinic10", "image", None)
    assert isinstance(found.inputs, np.memmap)
    assert not found.inputs.flags.writeable
    assert found.official_test.tolist() == [False] * 60 + [True] * 30
    assert found.official_validation.tolist() == [False] * 30 + [True] * 30 + [False] * 30
    assert told[-1] == ("checking Cinic10", 1.0)
    assert ("decoding Cinic10", 1.0) in told
    assert [done for _, done in told] == sorted(done for _, done in told)


def test_the_official_split_takes_the_three_parts(cinic, tmp_path):
    found = Cinic10(str(cinic[0])).load(tmp_path / "cache")
    split = OfficialSplit().split(found)
    assert [len(side) for side in split.sides().values()] == [30, 30, 30]
    assert split.validation.tolist() == list(range(30, 60))
    assert split.test.tolist() == list(range(60, 90))
    # a fraction is taken from everything outside the test part
    merged = OfficialSplit(validation=0.5).split(found)
    assert sorted([*merged.train, *merged.validation]) == list(range(60))
    assert np.bincount(found.labels[merged.validation]).tolist() == [3] * 10
    assert [row[1:4] for row in describe(found).rows] == [(3, 3, 3)] * 10
    assert describe(found).columns == ("class", "train", "validation", "test", "total", "share")
    assert found.summary()["official_validation"] == 30


@pytest.mark.parametrize("prefix", ["", "./", "CINIC-10/", "./data/cinic/"])
def test_archive_and_folders_give_the_same_data(cinic, tmp_path, prefix):
    root, _ = cinic
    archive = as_tar(root, tmp_path / "CINIC-10.tar.gz", prefix)
    named = Cinic10(str(archive)).load(tmp_path / "one")
    (tmp_path / "two" / "cinic10").mkdir(parents=True)
    shutil.copy(archive, tmp_path / "two" / "cinic10")
    cached = Cinic10().load(tmp_path / "two")
    folders = Cinic10(str(root)).load(tmp_path / "three")
    shutil.copytree(root, tmp_path / "four" / "cinic10" / "CINIC-10")
    unpacked = Cinic10().load(tmp_path / "four")
    prints = {one.fingerprint for one in (named, cached, folders, unpacked)}
    assert len(prints) == 1
    assert named.source.endswith("From: CINIC-10.tar.gz")
    np.testing.assert_array_equal(named.inputs, folders.inputs)


def stored(root, name):
    return [path for path in (root / name).iterdir() if path.is_dir()]


def test_a_second_call_opens_at_once(cinic, tmp_path, monkeypatch):
    root, _ = cinic
    for source in (root, as_tar(root, tmp_path / "CINIC-10.tar.gz")):
        before = Cinic10(str(source)).load(tmp_path / "cache")
        with monkeypatch.context() as patch:
            patch.setattr(pictures, "_image", lambda *_: pytest.fail("decoded again"))
            patch.setattr(Cinic10, "_listed", lambda *_: pytest.fail("listed again"))
            patch.setattr(os, "scandir", lambda *_: pytest.fail("looked through the folders again"))
            patch.setattr(store, "sha256", lambda *_: pytest.fail("hashed again"))
            patch.setattr("tutelage.data.dataset.blocks", lambda *_: pytest.fail("read again"))
            after = Cinic10(str(source)).load(tmp_path / "cache")
            assert after.fingerprint == before.fingerprint
    assert len(stored(tmp_path / "cache", "cinic10")) == 2


def test_the_remembered_fingerprint_is_that_of_the_contents(cinic, tmp_path):
    root, _ = cinic
    found = Cinic10(str(root)).load(tmp_path / "cache")
    known = found.fingerprint
    del found.__dict__["fingerprint"]
    assert found.fingerprint == known
    (place,) = stored(tmp_path / "cache", "cinic10")
    images = np.load(place / "inputs.npy", mmap_mode="r+")
    images[3, 0, 0, 0] ^= 1
    images.flush()
    os.utime(place / "inputs.npy", ns=(1, 1))
    assert store.open_saved(place).fingerprint != known


def test_changed_folders_are_read_again(cinic, tmp_path):
    root, _ = cinic
    before = Cinic10(str(root)).load(tmp_path / "cache")
    (root / "train" / "cat" / "cifar10-test-7.png").unlink()
    fresh = picture(root / "train" / "cat" / "zzz.png", 999)
    after = Cinic10(str(root)).load(tmp_path / "cache")
    assert after.fingerprint != before.fingerprint
    np.testing.assert_array_equal(after.inputs[11], fresh)
    # the same files in another place are the same data, and not decoded again
    shutil.copytree(root, tmp_path / "copy")
    again = Cinic10(str(tmp_path / "copy")).load(tmp_path / "cache")
    assert again.inputs.filename == after.inputs.filename


def test_other_numbers_of_images_are_refused(cinic, tmp_path):
    root, _ = cinic
    (root / "valid" / "dog" / "cifar10-test-7.png").unlink()
    with pytest.raises(UserError) as told:
        Cinic10(str(root)).load(tmp_path / "cache")
    assert str(told.value) == (
        f"cinic10: validation part in {root}: found 29 images, the published one has 30; are the files "
        "complete? (expect_official: false takes what is there)"
    )
    picture(root / "valid" / "cat" / "more.png", 5)
    with pytest.raises(UserError, match="class cat: found 4 images, the published one has 3"):
        Cinic10(str(root)).load(tmp_path / "cache")
    assert stored(tmp_path / "cache", "cinic10") == []
    found = Cinic10(str(root), expect_official=False).load(tmp_path / "cache")
    assert (
        np.bincount(found.labels[found.official_validation]).tolist()
        == [3, 3, 3, 4, 3, 2] + [3] * 4
    )


def test_the_published_numbers_are_those_of_the_design_page():
    assert cinic_module.COUNTS == {
        name: (90_000, 9_000) for name in ("train", "validation", "test")
    }
    assert tiny_module.COUNTS == {"train": (100_000, 500), "test": (10_000, 50)}
    assert imagenet_module.COUNTS == {"train": (1_281_167, None), "test": (50_000, 50)}
    assert (tiny_module.CLASSES, imagenet_module.CLASSES) == (200, 1000)


def test_parts_of_a_set_are_evenly_spaced(cinic, tmp_path):
    root, pixels = cinic
    found = Cinic10(str(root), per_class=2, classes=("truck", "bird")).load(tmp_path / "cache")
    assert found.class_names == ("bird", "truck")
    assert found.labels.tolist() == [0, 0, 1, 1] * 3
    names = sorted(name for name in pixels if name.startswith("train/bird/"))
    np.testing.assert_array_equal(found.inputs[0], pixels[names[0]])
    np.testing.assert_array_equal(found.inputs[1], pixels[names[1]])
    files = [str(number) for number in range(10)]
    assert image_loader._spaced(files, 4) == ["0", "2", "5", "7"]
    assert image_loader._spaced(files, 10) == image_loader._spaced(files, None) == files
    with pytest.raises(UserError, match="unknown class 'trukc'; did you mean 'truck'"):
        Cinic10(str(root), classes=("trukc",)).load(tmp_path / "cache")
    with pytest.raises(UserError, match=r"Cinic10.per_class: found 0, allowed are 1 or more"):
        Cinic10(str(root), per_class=0).load(tmp_path / "cache")


def test_what_is_no_image_of_the_set_is_refused(cinic, tmp_path):
    root, _ = cinic
    picture(root / "train" / "plane" / "1.png", 1)
    with pytest.raises(
        UserError, match="found class 'plane'; did you mean 'airplane'; allowed are the 10"
    ):
        Cinic10(str(root), expect_official=False).load(tmp_path / "cache")
    shutil.rmtree(root / "train" / "plane")
    picture(root / "test" / "cat" / "cifar10-test-7.png", 1, size=(32, 31))
    with pytest.raises(
        UserError, match=r"test/cat/cifar10-test-7.png: found 32x31 pixels, allowed are 32x32"
    ):
        Cinic10(str(root)).load(tmp_path / "cache")
    (root / "test" / "cat" / "cifar10-test-7.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(UserError, match=r"cifar10-test-7.png: found no readable image"):
        Cinic10(str(root)).load(tmp_path / "cache")
    picture(root / "test" / "cat" / "cifar10-test-7.png", 1)
    whole = (root / "test" / "cat" / "cifar10-test-7.png").read_bytes()
    (root / "test" / "cat" / "cifar10-test-7.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="found no readable image"):
        Cinic10(str(root)).load(tmp_path / "cache")
    leftovers = [path for path in (tmp_path / "cache" / "cinic10").iterdir() if path.is_dir()]
    assert leftovers == []


@pytest.mark.parametrize("damage", ["text", "half", "empty"])
def test_damaged_archives_are_refused(cinic, tmp_path, damage):
    archive = as_tar(cinic[0], tmp_path / "CINIC-10.tar.gz")
    whole = archive.read_bytes()
    archive.write_bytes(
        {"text": b"nothing", "half": whole[: len(whole) // 2], "empty": b""}[damage]
    )
    with pytest.raises(UserError, match=r"no readable \.tar\.gz archive"):
        Cinic10(str(archive)).load(tmp_path / "cache")


def test_missing_sets_tell_where_to_get_them(tmp_path):
    with pytest.raises(
        UserError, match=r"Cinic10.folder: .* get CINIC-10.tar.gz from https://datashare"
    ):
        Cinic10().load(tmp_path)
    with pytest.raises(
        UserError, match=r"TinyImageNet.folder: .* in 'no' .* get http://cs231n.*200.zip"
    ):
        TinyImageNet("no").load(tmp_path)
    with pytest.raises(
        UserError, match=r"ImageNet.folder: .* get ILSVRC2012 from https://image-net.org"
    ):
        ImageNet().load(tmp_path)
    with pytest.raises(
        UserError, match=r"Cifar100.folder: .* get it .* from https://www.cs.toronto.edu"
    ):
        Cifar100("no").load(tmp_path)
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(UserError, match=r"Cinic10.folder: found no folder"):
        Cinic10(str(tmp_path / "other.txt")).load(tmp_path)
    for loader in (Cinic10(), TinyImageNet(), ImageNet(), Cifar100()):
        with pytest.raises(UserError) as told:
            loader.load(tmp_path)
        assert "\n" not in str(told.value)


def test_a_full_disk_is_told_before_anything_is_decoded(cinic, tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path)._replace(free=(64 << 20) + 90 * 3072 - 1)
    monkeypatch.setattr(pictures.shutil, "disk_usage", lambda _: free)
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "_image", lambda *_: pytest.fail("decoded"))
        with pytest.raises(
            UserError, match=r"Cinic10 needs 276.5 kB and 67.4 MB are free; free some room"
        ):
            Cinic10(str(cinic[0])).load(tmp_path / "cache")
    Cinic10(str(cinic[0]), per_class=2).load(tmp_path / "cache")


def test_a_disk_that_runs_full_is_a_sentence(cinic, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "_place", fail)
    with pytest.raises(UserError, match=r"cannot be used \(.*No space left"):
        Cinic10(str(cinic[0])).load(tmp_path / "cache")
    assert stored(tmp_path / "cache", "cinic10") == []


_SLOW = """
import sys, time
from tutelage.data import Cinic10, cinic, pictures
cinic.COUNTS = {name: (30, 3) for name in ("train", "validation", "test")}
whole = pictures._image
def slow(*arguments):
    time.sleep(0.02)
    return whole(*arguments)
if sys.argv[3] == "slow":
    pictures._image, pictures._CHUNK = slow, 1
Cinic10(sys.argv[1]).load(__import__("pathlib").Path(sys.argv[2]), lambda *said: print(*said, flush=True))
print("done", flush=True)
"""


def test_a_killed_decode_leaves_no_half_store(cinic, tmp_path):
    root, pixels = cinic
    command = [sys.executable, "-c", _SLOW, str(root), str(tmp_path / "cache")]
    victim = subprocess.Popen([*command, "slow"], stdout=subprocess.PIPE, text=True)
    for line in victim.stdout:
        if line.startswith("decoding"):
            break
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    left = list((tmp_path / "cache" / "cinic10").iterdir())
    assert [path for path in left if path.name.startswith("cinic10-")] == []
    assert any(path.is_dir() and (path / "inputs.npy").exists() for path in left)
    # the next call starts afresh and removes what the killed one left
    found = Cinic10(str(root)).load(tmp_path / "cache")
    images, _ = expected(pixels, ("train", "valid", "test"), CLASSES)
    np.testing.assert_array_equal(found.inputs, images)
    assert len(stored(tmp_path / "cache", "cinic10")) == 1


def test_two_processes_decode_once(cinic, tmp_path):
    command = [sys.executable, "-c", _SLOW, str(cinic[0]), str(tmp_path / "cache"), "slow"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate()[0] for one in both]
    assert all(text.endswith("done\n") for text in said)
    assert sum("decoding" in text for text in said) == 1
    assert len(stored(tmp_path / "cache", "cinic10")) == 1


def test_few_files_are_open_or_decoded_at_a_time():
    from concurrent.futures import ThreadPoolExecutor

    begun, finished = [], []

    def items():
        for number in range(100):
            begun.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        for number in pictures._ahead(pool, lambda one: one, items(), 4):
            finished.append(number)
            assert len(begun) <= len(finished) + 4
    assert finished == list(range(100))
    assert [len(chunk) for chunk in pictures._chunks(range(70))] == [32, 32, 6]


def test_copies_between_the_parts_are_found_and_can_be_left_out(cinic, tmp_path):
    root, _ = cinic
    shutil.copy(
        root / "test" / "cat" / "cifar10-test-7.png", root / "train" / "dog" / "cifar10-test-7.png"
    )
    shutil.copy(
        root / "test" / "cat" / "cifar10-test-7.png", root / "valid" / "cat" / "cifar10-test-7.png"
    )
    shutil.copy(
        root / "valid" / "ship" / "cifar10-test-7.png",
        root / "train" / "ship" / "cifar10-test-7.png",
    )
    found = Cinic10(str(root)).load(tmp_path / "cache")
    with pytest.raises(UserError, match=r"bit-identical .* drop_copies: true leaves copies out"):
        refuse_leakage(found, OfficialSplit().split(found))
    split = OfficialSplit(drop_copies=True).split(found)
    assert [len(side) for side in split.sides().values()] == [28, 29, 30]
    assert scan(found, split) == []
    assert np.array_equal(split.test, OfficialSplit().split(found).test)


def test_a_validation_part_stands_beside_a_test_part(build):
    first, last = np.arange(6) < 2, np.arange(6) > 3
    plain = build(official_test=last)
    both = build(official_test=last, official_validation=first)
    assert both.fingerprint != plain.fingerprint
    assert build(official_test=last, official_validation=~last).fingerprint != both.fingerprint
    for wrong in (
        {"official_validation": first},
        {"official_test": last, "official_validation": last},
    ):
        with pytest.raises(
            UserError, match="official_validation: found no test part, or samples of it"
        ):
            build(**wrong)
    with pytest.raises(UserError, match=r"official_validation: found shape \[5\]"):
        build(official_test=last, official_validation=first[:5])


# Tiny ImageNet


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    root, pixels = tmp_path / "raw" / "tiny-imagenet-200", {}
    root.mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    more = {**WORDS, "n99999999": "another, not among the classes"}
    (root / "words.txt").write_text("".join(f"{token}\t{name}\n" for token, name in more.items()))
    for token in WNIDS:
        for number in range(3):
            path = root / "train" / token / "images" / f"{token}_{number}.JPEG"
            mode = "L" if number == 1 else "RGB"
            pixels[f"train/{token}/{path.name}"] = picture(path, len(pixels), (64, 64), mode)
        (root / "train" / token / f"{token}_boxes.txt").write_text(
            f"{token}_0.JPEG\t0\t10\t63\t58\n"
        )
    lines = []
    for number in range(8):
        name, token = f"val_{number}.JPEG", WNIDS[(number * 3) % 4]
        image = picture(root / "val" / "images" / name, 500 + number, (64, 64))
        pixels[f"val/{token}/{name}"] = image
        lines.append(f"{name}\t{token}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    picture(root / "test" / "images" / "test_0.JPEG", 9, (64, 64))
    monkeypatch.setattr(tiny_module, "COUNTS", {"train": (12, 3), "test": (8, 2)})
    monkeypatch.setattr(tiny_module, "CLASSES", 4)
    return root, pixels


def as_zip(root, target):
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, f"tiny-imagenet-200/{path.relative_to(root).as_posix()}")
    return target


def test_tiny_imagenet_is_read_as_it_unpacks(tiny, tmp_path):
    root, pixels = tiny
    found = TinyImageNet(str(root)).load(tmp_path / "cache")
    images, labels = expected(pixels, ("train", "val"), sorted(WNIDS))
    np.testing.assert_array_equal(found.inputs, images)
    assert found.labels.tolist() == labels
    assert found.inputs.shape == (20, 3, 64, 64)
    assert found.class_names == (
        "goldfish",
        "crane (n02012849)",
        "Egyptian cat",
        "crane (n03126707)",
    )
    assert found.official_test.tolist() == [False] * 12 + [True] * 8
    assert found.official_validation is None
    split = OfficialSplit(validation=1 / 3).split(found)
    assert [len(side) for side in split.sides().values()] == [8, 4, 8]
    zipped = TinyImageNet(str(as_zip(root, tmp_path / "tiny-imagenet-200.zip"))).load(
        tmp_path / "zip"
    )
    parent = TinyImageNet(str(root.parent)).load(tmp_path / "parent")
    (tmp_path / "own" / "tinyimagenet").mkdir(parents=True)
    shutil.copy(tmp_path / "tiny-imagenet-200.zip", tmp_path / "own" / "tinyimagenet")
    own = TinyImageNet().load(tmp_path / "own")
    assert {one.fingerprint for one in (found, zipped, parent, own)} == {found.fingerprint}


def test_tiny_imagenet_takes_classes_by_name_or_wnid(tiny, tmp_path):
    found = TinyImageNet(str(tiny[0]), classes=("n03126707", "goldfish")).load(tmp_path / "cache")
    assert found.class_names == ("goldfish", "crane (n03126707)")
    assert len(found) == 10
    assert found.labels[found.official_test].tolist() == [0, 0, 1, 1]


def test_a_val_that_was_sorted_by_class_gives_the_same(tiny, tmp_path):
    root, _ = tiny
    before = TinyImageNet(str(root)).load(tmp_path / "a")
    for line in (root / "val" / "val_annotations.txt").read_text().splitlines():
        name, kind, *_ = line.split("\t")
        (root / "val" / kind / "images").mkdir(parents=True, exist_ok=True)
        (root / "val" / "images" / name).rename(root / "val" / kind / "images" / name)
    (root / "val" / "images").rmdir()
    (root / "val" / "val_annotations.txt").unlink()
    assert TinyImageNet(str(root)).load(tmp_path / "b").fingerprint == before.fingerprint


def test_tiny_imagenet_that_is_not_whole_is_refused(tiny, tmp_path):
    root, _ = tiny
    cache = tmp_path / "cache"
    notes = root / "val" / "val_annotations.txt"
    lines = notes.read_text()
    notes.write_text(lines.replace("val_3.JPEG", "val_33.JPEG"))
    with pytest.raises(
        UserError, match=r"val/images/val_3.JPEG: found no line for it in val/val_annot"
    ):
        TinyImageNet(str(root)).load(cache)
    notes.write_text("val_0.JPEG n01443537")
    with pytest.raises(
        UserError, match=r"val_annotations.txt: found 'val_0.JPEG n01443537', allowed are"
    ):
        TinyImageNet(str(root)).load(cache)
    notes.unlink()
    with pytest.raises(
        UserError, match=r"found no val/val_annotations.txt in it, which the official"
    ):
        TinyImageNet(str(root)).load(cache)
    notes.write_text(lines)
    (root / "wnids.txt").write_text("\n".join(WNIDS[:3]))
    with pytest.raises(UserError, match=r"wnids.txt: found 3 classes, the published one has 4"):
        TinyImageNet(str(root)).load(cache)
    with pytest.raises(UserError, match=r"found class 'n03126707'"):
        TinyImageNet(str(root), expect_official=False).load(cache)
    (root / "wnids.txt").write_text("\n".join(WNIDS))
    (root / "words.txt").write_text("n01443537\tgoldfish\n")
    with pytest.raises(UserError, match="found no words for class n02012849"):
        TinyImageNet(str(root)).load(cache)
    (root / "words.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"words.txt: found no text"):
        TinyImageNet(str(root)).load(cache)


def test_edited_texts_are_read_again(tiny, tmp_path):
    root, _ = tiny
    before = TinyImageNet(str(root)).load(tmp_path / "cache")
    words = (root / "words.txt").read_text()
    (root / "words.txt").write_text(words.replace("Egyptian cat", "Albanian cat"))
    after = TinyImageNet(str(root)).load(tmp_path / "cache")
    assert (before.class_names[2], after.class_names[2]) == ("Egyptian cat", "Albanian cat")


@pytest.mark.parametrize("damage", ["text", "half"])
def test_damaged_zips_are_refused(tiny, tmp_path, damage):
    archive = as_zip(tiny[0], tmp_path / "tiny-imagenet-200.zip")
    whole = archive.read_bytes()
    archive.write_bytes({"text": b"nothing", "half": whole[: len(whole) // 2]}[damage])
    with pytest.raises(UserError, match=r"no readable \.zip archive"):
        TinyImageNet(str(archive)).load(tmp_path / "cache")


# ImageNet


SHAPES = [
    ((300, 200), "RGB"),
    ((90, 257), "RGB"),
    ((64, 64), "L"),
    ((70, 500), "CMYK"),
    ((20, 30), "RGB"),
]


def imagenet_files(root, val_folders=True):
    """Write train and val; return {part/wnid/name: path}."""
    paths = {}
    for token in WNIDS:
        for number, (size, mode) in enumerate(SHAPES):
            path = root / "train" / token / f"{token}_{number}.JPEG"
            kind = "PNG" if number == 0 and token == WNIDS[0] else "JPEG"
            picture(path, len(paths), size, mode, kind)
            paths[f"train/{token}/{path.name}"] = path
    for number in range(1, 9):
        token = WNIDS[(number * 3) % 4]
        name = f"ILSVRC2012_val_{number:08d}.JPEG"
        path = root / "val" / token / name if val_folders else root / "val" / name
        picture(path, 700 + number, (100, 80))
        paths[f"val/{token}/{name}"] = path
    return paths


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet_module, "COUNTS", {"train": (20, None), "test": (8, 2)})
    monkeypatch.setattr(imagenet_module, "CLASSES", 4)
    root = tmp_path / "ILSVRC2012"
    root.mkdir()
    return root


def mapping(root, name="LOC_synset_mapping.txt", between=" "):
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(
        "".join(f"{token}{between}{WORDS[token]}\n" for token in sorted(WORDS))
    )


def devkit(root, numbers="meta.mat"):
    """Write the truth, and the devkit's own numbering of the classes: that of WNIDS."""
    from scipy.io import savemat

    folder = root / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True)
    truth = [str(WNIDS.index(WNIDS[(number * 3) % 4]) + 1) for number in range(1, 9)]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(truth) + "\n")
    if numbers == "synsets.txt":
        (folder / numbers).write_text("\n".join(WNIDS))
        return folder
    kinds = [
        ("ILSVRC2012_ID", "O"),
        ("WNID", "O"),
        ("words", "O"),
        ("gloss", "O"),
        ("num_children", "O"),
    ]
    rows = [(number, token, WORDS[token], "", 0) for number, token in enumerate(WNIDS, 1)]
    rows += [(5, "n00001740", "entity", "", 2), (6, "n00002137", "abstraction", "", 4)]
    table = np.array(rows, dtype=kinds).reshape(-1, 1)
    savemat(folder / "meta.mat", {"synsets": table})
    return folder


def test_imagenet_is_resized_and_cropped_as_torchvision_does(imagenet, tmp_path):
    from torchvision.transforms.v2 import functional

    paths = imagenet_files(imagenet)
    mapping(imagenet)
    for stored_size in (32, 64):
        found = ImageNet(str(imagenet), stored=stored_size).load(tmp_path / "cache")
        assert found.inputs.shape == (28, 3, stored_size, stored_size)
        pixels = {}
        for name, path in paths.items():
            with Image.open(path) as image:
                resized = functional.resize(image.convert("RGB"), [stored_size])
                cut = functional.center_crop(resized, [stored_size])
            pixels[name] = np.asarray(cut).transpose(2, 0, 1)
        images, labels = expected(pixels, ("train", "val"), sorted(WNIDS))
        np.testing.assert_array_equal(found.inputs, images)
        assert found.labels.tolist() == labels
    assert found.class_names == (
        "goldfish",
        "crane (n02012849)",
        "Egyptian cat",
        "crane (n03126707)",
    )
    assert found.official_test.tolist() == [False] * 20 + [True] * 8
    with pytest.raises(UserError, match=r"ImageNet.stored: found 0"):
        ImageNet(str(imagenet), stored=0).load(tmp_path / "cache")


def test_imagenet_takes_the_first_classes(imagenet, tmp_path):
    imagenet_files(imagenet)
    mapping(imagenet)
    first = sorted(WNIDS)[:2]
    found = ImageNet(str(imagenet), stored=16, first=2).load(tmp_path / "cache")
    named = ImageNet(str(imagenet), stored=16, classes=tuple(first)).load(tmp_path / "cache")
    assert found.class_names == ("goldfish", "crane (n02012849)")
    assert found.fingerprint == named.fingerprint
    with pytest.raises(UserError, match=r"ImageNet.first: found 5, allowed are 1 to 4 classes"):
        ImageNet(str(imagenet), first=5).load(tmp_path / "cache")
    with pytest.raises(UserError, match=r"ImageNet.first: found classes as well"):
        ImageNet(str(imagenet), first=2, classes=("goldfish",)).load(tmp_path / "cache")


@pytest.mark.parametrize("form", ["folders", "kaggle", "meta.mat", "synsets.txt"])
def test_every_form_of_the_truth_gives_the_same_data(imagenet, tmp_path, form):
    root = imagenet / "ILSVRC" / "Data" / "CLS-LOC" if form == "kaggle" else imagenet
    paths = imagenet_files(root, val_folders=form == "folders")
    if form == "kaggle":
        mapping(imagenet)
        picture(root / "test" / "ILSVRC2012_test_00000001.JPEG", 1)
        lines = ["ImageId,PredictionString"]
        for name in paths:
            part, token, file = name.split("/")
            if part == "val":
                lines.append(f"{file.removesuffix('.JPEG')},{token} 85 1 499 272 {token} 1 2 3 4 ")
        (imagenet / "LOC_val_solution.csv").write_text("\n".join(lines))
    elif form == "folders":
        mapping(imagenet, "synset_words.txt")
    else:
        devkit(imagenet, form)
        if form == "synsets.txt":
            mapping(imagenet, "words.txt", "\t")
    found = ImageNet(str(imagenet), stored=24).load(tmp_path / "cache")
    counts = [
        np.bincount(found.labels[side]).tolist()
        for side in (~found.official_test, found.official_test)
    ]
    assert counts == [[5] * 4, [2] * 4]
    other = tmp_path / "other"
    imagenet_files(other)
    mapping(other)
    assert found.fingerprint == ImageNet(str(other), stored=24).load(tmp_path / "cache").fingerprint


def test_a_sorted_list_is_not_the_devkits_order(imagenet, tmp_path):
    imagenet_files(imagenet, val_folders=False)
    folder = devkit(imagenet, "synsets.txt")
    mapping(imagenet)
    (folder / "synsets.txt").write_text("\n".join(sorted(WNIDS)))
    with pytest.raises(
        UserError, match=r"synsets.txt: found wnids in rising order, allowed is the order"
    ):
        ImageNet(str(imagenet)).load(tmp_path / "cache")
    (folder / "synsets.txt").write_text("\n".join(WNIDS[:3]))
    with pytest.raises(
        UserError, match=r"ground_truth.txt: found '4', allowed are 1 to 3, as numbered in"
    ):
        ImageNet(str(imagenet)).load(tmp_path / "cache")
    (folder / "meta.mat").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"meta.mat: found no synsets of the devkit"):
        ImageNet(str(imagenet)).load(tmp_path / "cache")


def test_imagenet_that_is_not_whole_is_refused(imagenet, tmp_path):
    cache = tmp_path / "cache"
    imagenet_files(imagenet, val_folders=False)
    with pytest.raises(
        UserError, match="found images in val, but no class folders and no LOC_val_solution"
    ):
        ImageNet(str(imagenet)).load(cache)
    folder = devkit(imagenet, "synsets.txt")
    with pytest.raises(
        UserError,
        match=r"found no names of the classes; put one of classnames.txt, LOC_synset_mapping.txt",
    ):
        ImageNet(str(imagenet)).load(cache)
    mapping(imagenet)
    truth = folder / "ILSVRC2012_validation_ground_truth.txt"
    lines = truth.read_text().split()
    truth.write_text("\n".join(lines[:7]))
    with pytest.raises(
        UserError, match=r"val/ILSVRC2012_val_00000008.JPEG: found no class for this image"
    ):
        ImageNet(str(imagenet)).load(cache)
    truth.write_text("\n".join(lines))
    (imagenet / "train" / WNIDS[1] / f"{WNIDS[1]}_0.JPEG").unlink()
    with pytest.raises(
        UserError, match=r"train part in .*: found 19 images, the published one has 20"
    ):
        ImageNet(str(imagenet), stored=8).load(cache)
    shutil.rmtree(imagenet / "train" / WNIDS[1])
    with pytest.raises(UserError, match="found 3 classes, the published one has 4"):
        ImageNet(str(imagenet), stored=8).load(cache)
    # part of the training folders with the whole validation part: its other classes are left out
    found = ImageNet(str(imagenet), stored=8, expect_official=False).load(cache)
    assert np.bincount(found.labels).tolist() == [7, 7, 7]


def test_names_of_classes_are_all_different():
    tokens = ["n00000001", "n00000002", "n00000003", "n00000004"]
    words = synonyms(
        "n00000001 maillot\nn00000002\tmaillot, tank suit\nn00000003 crane\nheader\nn00000004 crane\n"
    )
    assert list(readable(tokens, words, "here").values()) == [
        "maillot", "maillot, tank suit", "crane (n00000003)", "crane (n00000004)",
    ]  # fmt: skip


# CIFAR-100


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """Return an archive of the official binary form, and what is in it."""
    rng = np.random.default_rng(3)
    fine = [f"fine_{number:03d}" for number in range(100)]
    parts = {}
    for name, count in (("train.bin", 30), ("test.bin", 12)):
        labels = rng.integers(0, 100, count).astype("u1")
        pixels = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        parts[name] = (labels // 5, labels, pixels)
    files = {
        name: np.concatenate([a[:, None], b[:, None], x.reshape(len(x), -1)], axis=1).tobytes()
        for name, (a, b, x) in parts.items()
    }
    files["fine_label_names.txt"] = ("\n".join(fine) + "\n").encode()
    files["coarse_label_names.txt"] = "\n".join(f"coarse_{n}" for n in range(20)).encode() + b"\n\n"
    archive = tmp_path / "cifar100" / "cifar-100-binary.tar.gz"
    write_tar(archive, files)
    seal(archive, monkeypatch)
    return archive, files, parts


def write_tar(archive, files):
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:gz") as opened:
        for name, data in files.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(data)
            opened.addfile(member, io.BytesIO(data))


def seal(archive, monkeypatch):
    import hashlib

    monkeypatch.setattr(cifar100_module, "CHECKSUM", hashlib.md5(archive.read_bytes()).hexdigest())


def test_cifar100_has_fine_and_coarse_labels(cifar100, tmp_path):
    archive, _, parts = cifar100
    for found in (Cifar100().load(tmp_path), Cifar100(str(archive)).load(tmp_path / "other")):
        np.testing.assert_array_equal(found.inputs, np.concatenate([x for *_, x in parts.values()]))
        assert found.labels.tolist() == [int(y) for _, fine, _ in parts.values() for y in fine]
        assert (found.class_names[7], len(found.class_names)) == ("fine_007", 100)
        assert found.official_test.tolist() == [False] * 30 + [True] * 12
    coarse = Cifar100(labels="coarse").load(tmp_path)
    assert coarse.labels.tolist() == [int(y) for group, *_ in parts.values() for y in group]
    assert (coarse.name, len(coarse.class_names)) == ("cifar100-coarse", 20)
    fine = [int(y) for _, fine, _ in parts.values() for y in fine]
    assert coarse.concepts["global"].argmax(axis=1).tolist() == fine
    assert (coarse.concepts["global"].sum(axis=1) == 1).all()
    assert (coarse.concept_names["global"], found.concepts) == (found.class_names, {})


def test_another_cifar100_is_refused(cifar100, tmp_path, monkeypatch):
    archive, files, _ = cifar100
    write_tar(archive, {**files, "train.bin": files["test.bin"]})
    with pytest.raises(
        UserError, match=r"found MD5 .*, the published one is .*; expect_official: false"
    ):
        Cifar100().load(tmp_path)
    found = Cifar100(expect_official=False).load(tmp_path)
    assert len(found) == 24
    write_tar(archive, {**files, "test.bin": files["test.bin"][:-1]})
    seal(archive, monkeypatch)
    with pytest.raises(
        UserError, match=r"test.bin: found 36887 bytes, allowed are multiples of 3074"
    ):
        Cifar100().load(tmp_path)
    write_tar(archive, {"train.bin": files["train.bin"]})
    seal(archive, monkeypatch)
    with pytest.raises(UserError, match="no readable CIFAR-100 archive"):
        Cifar100().load(tmp_path)
    archive.write_bytes(b"nothing")
    with pytest.raises(UserError, match="no readable CIFAR-100 archive"):
        Cifar100(expect_official=False).load(tmp_path)


def test_the_published_checksum():
    assert cifar100_module.CHECKSUM == "03b5dce01913d631647c71ecec9e9cb8"
