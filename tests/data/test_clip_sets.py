"""The sets of prompt learning on small trees of exactly the arrangement of CoOp."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from tutelage import data
from tutelage.data import ImageNet, ImageNetA, ImageNetR, ImageNetSketch, ImageNetV2, store
from tutelage.data import imagenet as imagenet_module
from tutelage.data.clip_sets import ListedSet
from tutelage.data.leakage import refuse_leakage
from tutelage.data.splits import OfficialSplit
from tutelage.errors import UserError

# Folder of the set, of its images, file of the parts, and two classes as that file spells them.
SPLIT = {
    "Caltech101": ("caltech-101", "101_ObjectCategories", "Caltech101", ("face", "yin_yang"),
                   "{1}/image_{0:04}.jpg"),
    "OxfordPets": ("oxford_pets", "images", "OxfordPets", ("abyssinian", "basset_hound"), "Pet_{1}_{0}.jpg"),
    "StanfordCars": ("stanford_cars", "", "StanfordCars", ("2000 AM General Hummer SUV", "2012 Acura RL Sedan"),
                     "cars_{2}/{0:05}.jpg"),
    "Flowers102": ("oxford_flowers", "jpg", "OxfordFlowers", ("pink primrose", "hard-leaved pocket orchid"),
                   "image_{0:05}.jpg"),
    "Food101": ("food-101", "images", "Food101", ("apple_pie", "baby_back_ribs"), "{1}/{0}.jpg"),
    "SUN397": ("sun397", "SUN397", "SUN397", ("abbey", "outdoor apartment_building"), "a/{1}/sun_{0}.jpg"),
    "DTD": ("dtd", "images", "DescribableTextures", ("banded", "zigzagged"), "{1}/{1}_{0:04}.jpg"),
    "EuroSAT": ("eurosat", "2750", "EuroSAT", ("Annual Crop Land", "Sea or Lake"), "{1}/{1}_{0}.jpg"),
    "UCF101": ("ucf101", "UCF-101-midframes", "UCF101", ("Apply_Eye_Makeup", "Yo_Yo"), "{1}/v_{0}.jpg"),
}  # fmt: skip
SHAPES = [(30, 20), (20, 31), (24, 24), (16, 40)]


def picture(path, seed, size, kind="JPEG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(size).save(path, kind)


def seen(path, size):
    """What CLIP's preparation would keep, [3, size, size]."""
    cut = transforms.Compose(
        [
            transforms.Resize(size, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
        ]
    )
    with Image.open(path) as image:
        return np.asarray(cut(image.convert("RGB"))).transpose(2, 0, 1)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Write a small set as CoOp arranges it; return the folder of all sets, and path and class by part."""

    def make(name):
        cls = getattr(data, name)
        place, images, stem, classes, pattern = SPLIT[name]
        root = tmp_path / "DATA"
        lists, seed = {}, 0
        for part, each in (("train", 3), ("val", 1), ("test", 2)):
            rows = []
            for label, kind in enumerate(classes):
                for _ in range(each):
                    folder = "test" if part == "test" else "train"
                    path = pattern.format(seed, kind.split(" ")[0], folder)
                    picture(root / place / images / path, seed, SHAPES[seed % 4])
                    rows.append([path, label, kind])
                    seed += 1
            lists[part] = rows[::-1]
        # what the archives hold besides
        picture(root / place / images / "BACKGROUND_Google" / "image_0001.jpg", 99, (9, 9))
        picture(root / place / images / "cars_train" / "99999.jpg", 99, (9, 9))
        (root / place / f"split_zhou_{stem}.json").write_text(json.dumps(lists))
        counts = {"train": 6, "validation": 2, "test": 4}
        monkeypatch.setattr(cls, "about", replace(cls.about, counts=counts, classes=2))
        return cls, root, lists

    return make


@pytest.mark.parametrize("name", SPLIT)
def test_parts_and_classes_are_those_of_the_list(tree, tmp_path, name):
    cls, root, lists = tree(name)
    place, images, _, classes, _ = SPLIT[name]
    found = cls(folder=str(root), stored=16).load(tmp_path / "cache")
    assert found.class_names == tuple(one.replace("_", " ") for one in classes)
    rows = [
        (part, label, path)
        for part in ("train", "val", "test")
        for label in (0, 1)
        for path, own, _ in sorted(lists[part])
        if own == label
    ]
    assert found.labels.tolist() == [label for _, label, _ in rows]
    assert found.official_test.tolist() == [part == "test" for part, *_ in rows]
    assert found.official_validation.tolist() == [part == "val" for part, *_ in rows]
    for image, (_, _, path) in zip(found.inputs, rows, strict=True):
        np.testing.assert_array_equal(image, seen(root / place / images / path, 16))
    order = {path: place for part in lists.values() for place, (path, *_) in enumerate(part)}
    mine = [order[path] for *_, path in rows]
    for part in ("train", "val", "test"):  # the same order within each part
        of_part = [i for i, (own, *_) in enumerate(rows) if own == part]
        assert (
            np.argsort(found.listed[of_part]).tolist()
            == np.argsort([mine[i] for i in of_part]).tolist()
        )
    split = OfficialSplit().split(found)
    assert [len(side) for side in split.sides().values()] == [6, 2, 4]
    refuse_leakage(found, split)
    assert found.modality == "image"
    assert not found.synthetic
    assert "SHA-256" in found.source


def test_a_set_is_found_in_its_folder_around_it_and_in_the_cache(tree, tmp_path):
    cls, root, _ = tree("OxfordPets")
    around = cls(folder=str(root), stored=8).load(tmp_path / "one")
    inside = cls(folder=str(root / "oxford_pets"), stored=8).load(tmp_path / "two")
    cached = cls(stored=8).load(root)
    assert around.fingerprint == inside.fingerprint == cached.fingerprint
    with pytest.raises(UserError) as told:
        cls().load(tmp_path / "nothing")
    assert str(told.value) == (
        f"OxfordPets.folder: found no folder 'images' in {tmp_path / 'nothing' / 'oxford_pets'}; get "
        "images.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/pets and put images, "
        f"split_zhou_OxfordPets.json into {tmp_path / 'nothing' / 'oxford_pets'}, or name where they are: folder"
    )


def test_each_set_has_a_size_of_its_own():
    sizes = {name: getattr(data, name).about.size for name in SPLIT}
    assert sizes == dict.fromkeys(SPLIT, 256) | {"EuroSAT": 64}


def test_some_images_are_no_jpeg(tree, tmp_path):
    cls, root, lists = tree("SUN397")
    for (path, *_), kind in zip(lists["train"], ("GIF", "BMP", "PNG"), strict=False):
        picture(root / "sun397" / "SUN397" / path, 5, (20, 20), kind)
    found = cls(folder=str(root), stored=8).load(tmp_path / "cache")
    last = sorted(path for path, label, _ in lists["train"] if label == 1)
    for row, path in zip((3, 4, 5), last, strict=True):
        np.testing.assert_array_equal(found.inputs[row], seen(root / "sun397" / "SUN397" / path, 8))


def test_what_is_missing_is_refused(tree, tmp_path):
    cls, root, lists = tree("DTD")
    place = root / "dtd"
    (place / "images" / lists["test"][0][0]).unlink()
    with pytest.raises(UserError) as told:
        cls(folder=str(root)).load(tmp_path / "cache")
    assert str(told.value) == (
        f"dtd: test part in {place}: found 3 images, the published one has 4; are the files complete? "
        "(expect_official: false takes what is there)"
    )
    found = cls(folder=str(root), expect_official=False, per_class=1, classes=("zigzagged",))
    assert found.load(tmp_path / "cache").labels.tolist() == [0, 0, 0]
    (place / "split_zhou_DescribableTextures.json").unlink()
    with pytest.raises(UserError, match=r"found no split_zhou_DescribableTextures.json in it"):
        cls(folder=str(root)).load(tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lists: lists.pop("val"), "found no lists train, val and test of .path, number, name"),
        (lambda lists: lists["val"][0].pop(), "found no lists train, val and test"),
        (lambda lists: lists["val"][0].__setitem__(1, "one"), "found no lists train, val and test"),
        (lambda lists: lists["val"][0].__setitem__(2, "dog"),
         "found classes 'basset_hound' and 'dog' of number 1"),
        (lambda lists: [row.__setitem__(1, 5) for rows in lists.values() for row in rows if row[1]],
         "found 2 classes, numbered 0 to 5, allowed is one name for each number from 0"),
        (lambda lists: [row.__setitem__(2, "abyssinian") for rows in lists.values() for row in rows],
         "found 2 classes, numbered 0 to 1"),
    ],
)  # fmt: skip
def test_a_damaged_list_is_refused(tree, tmp_path, change, sentence):
    cls, root, lists = tree("OxfordPets")
    change(lists)
    (root / "oxford_pets" / "split_zhou_OxfordPets.json").write_text(json.dumps(lists))
    with pytest.raises(UserError, match=sentence):
        cls(folder=str(root)).load(tmp_path / "cache")


def test_another_list_of_the_same_images_is_another_data_set(tree, tmp_path):
    cls, root, lists = tree("Food101")
    before = cls(folder=str(root), stored=8).load(tmp_path / "cache")
    lists["train"][0], lists["test"][0] = lists["test"][0], lists["train"][0]
    (root / "food-101" / "split_zhou_Food101.json").write_text(json.dumps(lists))
    after = cls(folder=str(root), stored=8).load(tmp_path / "cache")
    assert after.fingerprint != before.fingerprint
    assert after.source != before.source


def test_other_numbers_of_classes_and_sizes_are_refused(tree, tmp_path, monkeypatch):
    cls, root, _ = tree("EuroSAT")
    monkeypatch.setattr(cls, "about", replace(cls.about, classes=10))
    with pytest.raises(UserError, match="found 2 classes, the published one has 10"):
        cls(folder=str(root)).load(tmp_path / "cache")
    with pytest.raises(UserError, match=r"EuroSAT.stored: found 0, allowed are 1 or more"):
        cls(folder=str(root), stored=0).load(tmp_path / "cache")


def test_a_second_call_opens_at_once(tree, tmp_path, monkeypatch):
    cls, root, _ = tree("UCF101")
    before = cls(folder=str(root), stored=8).load(tmp_path / "cache")
    monkeypatch.setattr(cls, "_layout", lambda *_: pytest.fail("listed again"))
    monkeypatch.setattr(store, "sha256", lambda *_: pytest.fail("hashed again"))
    assert (
        cls(folder=str(root), stored=8).load(tmp_path / "cache").fingerprint == before.fingerprint
    )


def test_the_published_numbers():
    """Those of the official lists; their base and novel test images are those of the literature."""
    names = [*SPLIT, "FGVCAircraft", "ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR"]
    about = {name: getattr(data, name).about for name in names}
    found = {name: (one.classes, *one.counts.values()) for name, one in about.items()}
    assert found == {
        "Caltech101": (100, 4128, 1649, 2465),
        "OxfordPets": (37, 2944, 736, 3669),
        "StanfordCars": (196, 6509, 1635, 8041),
        "Flowers102": (102, 4093, 1633, 2463),
        "Food101": (101, 50500, 20200, 30300),
        "SUN397": (397, 15880, 3970, 19850),
        "DTD": (47, 2820, 1128, 1692),
        "EuroSAT": (10, 13500, 5400, 8100),
        "UCF101": (101, 7639, 1898, 3783),
        "FGVCAircraft": (100, 3334, 3333, 3333),
        "ImageNetV2": (1000, 10000),
        "ImageNetSketch": (1000, 50889),
        "ImageNetA": (200, 7500),
        "ImageNetR": (200, 30000),
    }
    assert {cls.__name__ for cls in ListedSet.__subclasses__()} == set(SPLIT)


def test_aircraft_has_lists_of_its_own(tmp_path, monkeypatch):
    root = tmp_path / "fgvc_aircraft"
    names = ["707-320", "Boeing 717", "F/A-18"]
    root.mkdir()
    (root / "variants.txt").write_text("\n".join(names) + "\n")
    rows, number = [], 1_000_000
    for part, each in (("train", 2), ("val", 1), ("test", 1)):
        lines = []
        for label, name in enumerate(names):
            for _ in range(each):
                number += 1
                picture(root / "images" / f"{number}.jpg", number, SHAPES[number % 4])
                lines.append(f"{number} {name}")
                rows.append((part, label, number))
        (root / f"images_variant_{part}.txt").write_text("\n".join(lines[::-1]) + "\n")
    picture(root / "images" / "0034309.jpg", 1, (9, 9))
    cls = data.FGVCAircraft
    counts = {"train": 6, "validation": 3, "test": 3}
    monkeypatch.setattr(cls, "about", replace(cls.about, counts=counts, classes=3))
    found = cls(folder=str(tmp_path), stored=16).load(tmp_path / "cache")
    assert found.class_names == ("707-320", "Boeing 717", "F/A-18")
    assert found.labels.tolist() == [label for _, label, _ in rows]
    assert found.official_validation.tolist() == [part == "val" for part, *_ in rows]
    for image, (*_, number) in zip(found.inputs, rows, strict=True):
        np.testing.assert_array_equal(image, seen(root / "images" / f"{number}.jpg", 16))
    (root / "images_variant_test.txt").write_text("0034309 Boeing 777\n")
    with pytest.raises(UserError, match="found class 'Boeing 777'"):
        cls(folder=str(root), expect_official=False).load(tmp_path / "cache")


NAMES = "n02 tench\nn01 goldfish\nn04 missile\nn03 missile\nn05 kite (bird of prey)\n"
WORDS = NAMES.replace("n0", "n0000000")
WNIDS = [f"n0000000{number}" for number in range(1, 6)]
READABLE = [
    "goldfish", "tench", "missile (n00000003)", "missile (n00000004)", "kite (bird of prey)",
]  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "place", "folder", "kinds"),
    [
        (ImageNetV2, "imagenetv2", "imagenetv2-matched-frequency-format-val", ["0", "1", "2", "3", "4"]),
        (ImageNetSketch, "imagenet-sketch", "images", WNIDS),
        (ImageNetA, "imagenet-adversarial", "imagenet-a", WNIDS[1:3]),
        (ImageNetR, "imagenet-rendition", "imagenet-r", WNIDS[3:]),
    ],
)  # fmt: skip
def test_shifted_sets_are_all_to_test(tmp_path, monkeypatch, cls, place, folder, kinds):
    root = tmp_path / place
    paths = [root / folder / kind / f"{number}.jpeg" for kind in kinds for number in range(2)]
    for seed, path in enumerate(paths):
        picture(path, seed, SHAPES[seed % 4])
    (root / folder / "README.txt").write_text("about")
    (root / "classnames.txt").write_text(WORDS)
    about = replace(cls.about, counts={"test": len(paths)}, classes=len(kinds))
    monkeypatch.setattr(cls, "about", about)
    found = cls(folder=str(tmp_path), stored=16).load(tmp_path / "cache")
    chosen = READABLE if kinds[0] == "0" else [READABLE[WNIDS.index(kind)] for kind in kinds]
    assert found.class_names == tuple(chosen)
    assert found.labels.tolist() == [number // 2 for number in range(len(paths))]
    assert found.official_test.all()
    assert found.official_validation is None
    for image, path in zip(found.inputs, paths, strict=True):
        np.testing.assert_array_equal(image, seen(path, 16))
    picture(root / folder / "n99999999" / "0.jpeg", 1, (9, 9))
    with pytest.raises(UserError, match="found class 'n99999999', allowed are the 5"):
        cls(folder=str(root), expect_official=False).load(tmp_path / "cache")


def test_imagenet_is_read_in_the_same_arrangement(tmp_path, monkeypatch):
    root = tmp_path / "imagenet"
    for part in ("train", "val"):
        for seed, kind in enumerate(WNIDS):
            picture(root / "images" / part / kind / f"{part}_{seed}.JPEG", seed, (20, 24))
    (root / "classnames.txt").write_text(WORDS)
    (root / "LOC_synset_mapping.txt").write_text("n00000001 Carassius auratus\n")
    monkeypatch.setattr(imagenet_module, "COUNTS", {"train": (5, None), "test": (5, 1)})
    monkeypatch.setattr(imagenet_module, "CLASSES", 5)
    found = ImageNet(str(root), stored=16).load(tmp_path / "cache")
    assert found.class_names == tuple(READABLE)
    assert found.labels.tolist() == [*range(5)] * 2


def test_a_file_that_is_no_image_is_refused(tree, tmp_path):
    cls, root, lists = tree("Flowers102")
    path = root / "oxford_flowers" / "jpg" / lists["train"][0][0]
    icon = BytesIO()
    Image.new("RGB", (16, 16)).save(icon, "ICO")
    path.write_bytes(icon.getvalue())
    with pytest.raises(UserError, match="found no readable image"):
        cls(folder=str(root)).load(tmp_path / "cache")
